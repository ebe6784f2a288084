// The routes: POST /predict, GET /healthz, GET /ready, GET /adapters, GET /metrics.
import { promisify } from 'node:util';
import Fastify from 'fastify';
import { acceptJsonOnly } from './body.js';
import { answerEverything, expectSound, refuseConnection, signalOf } from './connection.js';
import { describeFailure, Refusal } from './failure.js';
import { bodySchema, DEFAULT_LIMITS, serverOptions } from './limits.js';
import { createMetrics } from './metrics.js';

/**
 * @typedef {object} State
 * @property {'loading' | 'ready' | 'draining' | 'closing'} phase draining: it still takes requests, and says that it is to be sent
 *   none; closing: it takes none
 * @property {import('bertune').PredictionService} [service] once it is loaded
 * @property {import('./adapters.js').Adapters} [adapters] beside the model, where there are to be some
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
  const metrics = createMetrics(state, connections);
  app.server.maxConnections = limits.connections;
  answerEverything(app.server);
  acceptJsonOnly(app);
  app.addHook('onRequest', async (request) => expectSound(request));

  const expectOpen = () => {
    if (state.phase === 'ready' || state.phase === 'draining') return;
    throw new Refusal(503, 'NOT_READY', `The service is ${state.phase}`);
  };

  /** Refuses before the body is read: under too much load that is most requests, and they must cost little. */
  const expectRoom = async () => {
    expectOpen();
    state.service.expectRoom();
  };

  app.post('/predict', { onRequest: expectRoom, schema: { body: bodySchema(limits) } }, async (request) => {
    // It may have begun to end while the body came.
    expectOpen();
    const { text, texts = [text], adapter = null } = request.body;
    if (adapter !== null && !state.adapters) throw new Refusal(404, 'NOT_FOUND', 'There are no adapters here');
    const options = { signal: signalOf(request.raw.socket), timeout: limits.timeout };
    const keys = state.adapters?.keysOf(adapter) ?? null;
    return { predictions: await state.service.predict(texts, { ...options, adapter: keys }) };
  });

  // Whether requests are to be sent to it: once it is warm, until it is told to end.
  app.get('/ready', async (_, reply) => {
    reply.code(state.phase === 'ready' ? 200 : 503);
    return { phase: state.phase };
  });

  // Whether it runs: a process that does not answer is to be started again, one that loads or ends is not.
  app.get('/healthz', async () => ({ phase: state.phase }));

  app.get('/adapters', async () => Object.fromEntries(state.adapters?.sources ?? []));

  app.get('/metrics', async (_, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });

  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    metrics.observeRequest(route, reply.statusCode, reply.elapsedTime / 1000);
  });

  // A connection that is kept alive would keep the process alive as well, and bring requests after it has ended.
  app.addHook('onSend', async (_, reply) => {
    if (state.phase === 'draining' || state.phase === 'closing') reply.header('connection', 'close');
  });

  app.setErrorHandler(answerFailure);

  app.setNotFoundHandler((request, reply) => {
    metrics.countError('NOT_FOUND');
    reply.code(404).send({ error: { code: 'NOT_FOUND', message: `There is no ${request.method} ${request.url}` } });
  });

  return { app, metrics };
}
