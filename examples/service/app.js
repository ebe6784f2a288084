// The routes: POST /predict, GET /healthz, GET /metrics.
import Fastify from 'fastify';
import { describeFailure, NotReady } from './failure.js';
import { createMetrics } from './metrics.js';

/**
 * @typedef {object} Limits
 * @property {number} bodyBytes of a request
 * @property {number} texts of a request
 * @property {number} characters of a text
 * @property {number} timeout milliseconds that a prediction may take
 */

/** @type {Limits} */
export const DEFAULT_LIMITS = { bodyBytes: 1 << 20, texts: 256, characters: 10_000, timeout: 10_000 };

/**
 * @typedef {object} State
 * @property {'loading' | 'ready' | 'draining'} phase
 * @property {import('bertune').PredictionService} [service] once it is loaded
 */

/** @param {{ texts: number, characters: number }} limits */
function bodySchema({ texts, characters }) {
  const text = { type: 'string', maxLength: characters };
  return {
    type: 'object',
    properties: { text, texts: { type: 'array', items: text, minItems: 1, maxItems: texts } },
    oneOf: [{ required: ['text'] }, { required: ['texts'] }],
    additionalProperties: false,
  };
}

/**
 * @param {State} state the owner changes it
 * @param {Partial<Limits> & { logger?: boolean }} [options]
 */
export function createApp(state, options = {}) {
  const limits = { ...DEFAULT_LIMITS, ...options };
  const metrics = createMetrics(() => state.service);
  const app = Fastify({
    bodyLimit: limits.bodyBytes,
    logger: options.logger ?? false,
    // A number is no text, and an unknown key is a mistake: say so instead of mending it.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });

  app.post('/predict', { schema: { body: bodySchema(limits) } }, async (request, reply) => {
    if (state.phase !== 'ready') throw new NotReady(`The service is ${state.phase}`);
    const { text, texts = [text] } = request.body;
    const gone = new AbortController();
    const onClose = () => {
      if (!reply.raw.writableFinished) gone.abort(new Error('The client closed the connection'));
    };
    reply.raw.once('close', onClose);
    try {
      const predictions = await state.service.predict(texts, { signal: gone.signal, timeout: limits.timeout });
      return { predictions };
    } finally {
      reply.raw.off('close', onClose);
    }
  });

  // 200 once it can predict; 503 while it loads and while it drains, so that nothing is sent to it. A process that does
  // not answer at all is to be started again.
  app.get('/healthz', async (_, reply) => {
    reply.code(state.phase === 'ready' ? 200 : 503);
    return { live: true, ready: state.phase === 'ready', phase: state.phase };
  });

  app.get('/metrics', async (_, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });

  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    metrics.observeRequest(route, reply.statusCode, reply.elapsedTime / 1000);
  });

  // A connection that is kept alive would keep the process alive as well.
  app.addHook('onSend', async (_, reply) => {
    if (state.phase === 'draining') reply.header('connection', 'close');
  });

  app.setErrorHandler((error, request, reply) => {
    const { status, code, message, retryAfter } = describeFailure(error);
    metrics.countError(code);
    if (status === 500) request.log.error(error);
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    reply.code(status).send({ error: { code, message } });
  });

  return { app, metrics };
}
