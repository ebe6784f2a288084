// The routes: POST /predict, GET /healthz, GET /metrics.
import { promisify } from 'node:util';
import Fastify from 'fastify';
import { acceptJsonOnly } from './body.js';
import { answerEverything, expectSound, refuseConnection, signalOf } from './connection.js';
import { describeFailure, NotReady } from './failure.js';
import { bodySchema, DEFAULT_LIMITS, serverOptions } from './limits.js';
import { createMetrics } from './metrics.js';

/**
 * @typedef {object} State
 * @property {'loading' | 'ready' | 'draining'} phase
 * @property {import('bertune').PredictionService} [service] once it is loaded
 */

/**
 * @param {State} state the owner changes it
 * @param {Partial<import('./limits.js').Limits> & { logger?: boolean }} [options]
 */
export function createApp(state, options = {}) {
  const limits = { ...DEFAULT_LIMITS, ...options };
  const answerFailure = (error, request, reply) => {
    const { status, code, message, retryAfter } = describeFailure(error);
    metrics.countError(code);
    if (status === 500) request.log.error(error);
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    reply.code(status).send({ error: { code, message } });
  };
  const app = Fastify({
    ...serverOptions(limits),
    logger: options.logger ?? false,
    clientErrorHandler: refuseConnection,
    frameworkErrors: answerFailure,
    // While it drains a request is refused below, in the same form as ever.
    return503OnClosing: false,
    // A number is no text, and an unknown key is a mistake: say so instead of mending it.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  const connections = promisify(app.server.getConnections).bind(app.server);
  const metrics = createMetrics(() => state.service, connections);
  app.server.maxConnections = limits.connections;
  answerEverything(app.server);
  acceptJsonOnly(app);
  app.addHook('onRequest', async (request) => expectSound(request));

  /** Refuses before the body is read: under too much load that is most requests, and they must cost little. */
  const expectRoom = async () => {
    if (state.phase !== 'ready') throw new NotReady(`The service is ${state.phase}`);
    state.service.expectRoom();
  };

  app.post('/predict', { onRequest: expectRoom, schema: { body: bodySchema(limits) } }, async (request) => {
    // It may have begun to end while the body came.
    if (state.phase !== 'ready') throw new NotReady(`The service is ${state.phase}`);
    const { text, texts = [text] } = request.body;
    const signal = signalOf(request.raw.socket);
    return { predictions: await state.service.predict(texts, { signal, timeout: limits.timeout }) };
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

  app.setErrorHandler(answerFailure);

  app.setNotFoundHandler((request, reply) => {
    metrics.countError('NOT_FOUND');
    reply.code(404).send({ error: { code: 'NOT_FOUND', message: `There is no ${request.method} ${request.url}` } });
  });

  return { app, metrics };
}
