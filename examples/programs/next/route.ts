// app/predict/route.ts of a Next.js application. next.config.js needs serverExternalPackages: ['bertune'].
//
//   curl localhost:3000/predict --header 'content-type: application/json' --data '{"text": "i feel great"}'
import { BertuneError, PredictionService, TextClassifier } from 'bertune';

/** Native code runs in Node.js, not on the edge. */
export const runtime = 'nodejs';

async function createService(): Promise<PredictionService> {
  const model = await TextClassifier.load(process.env.MODEL ?? 'model');
  return new PredictionService(model, { maxQueueTime: 250 });
}

// In development, Next.js evaluates this file again after every change: keep one model for all of them.
const kept = globalThis as typeof globalThis & { service?: Promise<PredictionService> };

export async function POST(request: Request): Promise<Response> {
  const { text } = (await request.json()) as { text?: unknown };
  if (typeof text !== 'string') return Response.json({ error: 'Expected { "text": "..." }' }, { status: 400 });
  kept.service ??= createService();
  const service = await kept.service;
  try {
    return Response.json(await service.predict(text, { signal: request.signal }));
  } catch (error) {
    if (!(error instanceof BertuneError) || error.code !== 'QUEUE_FULL') throw error;
    const seconds = Math.ceil((error.retryAfter ?? 1000) / 1000);
    return Response.json({ error: error.message }, { status: 503, headers: { 'retry-after': String(seconds) } });
  }
}
