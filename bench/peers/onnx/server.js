// POST /predict as examples/service has it, with transformers.js behind it: what bench/service.js measures by
//   node bench/service.js --server bench/peers/onnx/server.js --server-args='--onnx EXPORTED --modules FOLDER [--precision int8] [--batching]'
// Each request is a call of the pipeline; with --batching, what arrives while one call computes makes the next one.
import path from 'node:path';
import { parseArgs } from 'node:util';
import Fastify from 'fastify';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createPeer, fileOf } from './peer.js';

const { values } = parseArgs({
  options: {
    onnx: { type: 'string' },
    modules: { type: 'string' },
    threads: { type: 'string' },
    precision: { type: 'string', default: 'fp32' },
    batching: { type: 'boolean', default: false },
  },
});
const peer = await createPeer(
  path.resolve(values.modules),
  path.resolve(values.onnx),
  Number(values.threads),
  fileOf(values.precision),
);

/** Texts a call at most. */
const MAX_TEXTS = 64;
const waiting = [];
let running = false;

async function work() {
  if (running) return;
  running = true;
  while (waiting.length > 0) {
    const batch = waiting.splice(0, MAX_TEXTS);
    try {
      const predictions = await peer.predict(batch.map(({ text }) => text));
      batch.forEach(({ resolve }, i) => {
        resolve([predictions[i]]);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
  running = false;
}

function predictInBatches(text) {
  return new Promise((resolve, reject) => {
    waiting.push({ text, resolve, reject });
    setImmediate(work);
  });
}

const app = Fastify();
const registry = new Registry();
collectDefaultMetrics({ register: registry });
app.post('/predict', async ({ body: { text } }) => ({
  predictions: await (values.batching ? predictInBatches(text) : peer.pipeline.predict([text])),
}));
app.get('/metrics', () => registry.metrics());
console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}`);
console.log('ready');
process.on('SIGTERM', () => process.exit(0));
