// What a Prometheus server reads of the service.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/**
 * @param {() => import('bertune').PredictionService | undefined} service undefined while the model loads
 * @param {() => Promise<number>} connections how many there are
 */
export function createMetrics(service, connections) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'bertune_queued_texts',
    help: 'Texts that wait for a batch',
    registers,
    collect() {
      this.set(service()?.stats().queuedTexts ?? 0);
    },
  });
  new Gauge({
    name: 'bertune_calls',
    help: 'Predictions that were asked for and are not answered yet',
    registers,
    collect() {
      this.set(service()?.stats().calls ?? 0);
    },
  });
  new Gauge({
    name: 'bertune_connections',
    help: 'Connections, idle ones included',
    registers,
    async collect() {
      this.set(await connections());
    },
  });
  new Gauge({
    name: 'bertune_expected_wait_seconds',
    help: 'Time that a request would wait for its batch; refused where it is more than --max-queue-time',
    registers,
    collect() {
      this.set((service()?.stats().expectedWait ?? 0) / 1000);
    },
  });
  const requests = new Histogram({
    name: 'bertune_request_duration_seconds',
    help: 'Time from a request to its answer',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const batchTokens = new Histogram({
    name: 'bertune_batch_tokens',
    help: 'Tokens of a batch',
    buckets: [16, 32, 64, 128, 256, 512, 1024, 2048],
    registers,
  });
  const batchSeconds = new Histogram({
    name: 'bertune_batch_duration_seconds',
    help: 'Time that a batch computes',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  });
  const texts = new Counter({ name: 'bertune_texts_total', help: 'Texts that were computed', registers });
  const errors = new Counter({
    name: 'bertune_errors_total',
    help: 'Requests that ended in an error, by its code',
    labelNames: ['code'],
    registers,
  });
  return {
    registry,
    /** @param {import('bertune').BatchFigures} figures */
    observeBatch({ texts: count, tokens, computeSeconds }) {
      texts.inc(count);
      batchTokens.observe(tokens);
      batchSeconds.observe(computeSeconds);
    },
    observeRequest: (route, status, seconds) => requests.observe({ route, status }, seconds),
    countError: (code) => errors.inc({ code }),
  };
}
