// What a Prometheus server reads of the service.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/**
 * @param {import('./app.js').State} state
 * @param {() => Promise<number>} connections how many there are
 */
export function createMetrics(state, connections) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'bertune_ready',
    help: '1 once it is warm, until it is told to end; else 0',
    registers,
    collect() {
      this.set(state.phase === 'ready' ? 1 : 0);
    },
  });
  new Gauge({
    name: 'bertune_adapter_info',
    help: '1 for each adapter that is served, by its name and the version it comes from',
    labelNames: ['adapter', 'source'],
    registers,
    collect() {
      this.reset();
      for (const [adapter, source] of state.adapters?.sources ?? []) this.set({ adapter, source }, 1);
    },
  });
  new Gauge({
    name: 'bertune_queued_texts',
    help: 'Texts that wait for a batch',
    registers,
    collect() {
      this.set(state.service?.stats().queuedTexts ?? 0);
    },
  });
  new Gauge({
    name: 'bertune_calls',
    help: 'Predictions that were asked for and are not answered yet',
    registers,
    collect() {
      this.set(state.service?.stats().calls ?? 0);
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
      this.set((state.service?.stats().expectedWait ?? 0) / 1000);
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
  const waited = new Counter({
    name: 'bertune_text_wait_seconds_total',
    help: 'Time that these texts waited for their batches, added up',
    registers,
  });
  const changes = new Counter({
    name: 'bertune_adapter_changes_total',
    help: 'Changes of the list of adapters that were carried out (done) or could not be (failed)',
    labelNames: ['outcome'],
    registers,
  });
  const errors = new Counter({
    name: 'bertune_errors_total',
    help: 'Requests that ended in an error, by its code',
    labelNames: ['code'],
    registers,
  });
  return {
    registry,
    /** @param {import('bertune').BatchFigures} figures */
    observeBatch({ texts: count, tokens, waitSeconds, computeSeconds }) {
      texts.inc(count);
      waited.inc(waitSeconds);
      batchTokens.observe(tokens);
      batchSeconds.observe(computeSeconds);
    },
    observeRequest: (route, status, seconds) => requests.observe({ route, status }, seconds),
    countError: (code) => errors.inc({ code }),
    /** @param {'done' | 'failed'} outcome */
    countChange: (outcome) => changes.inc({ outcome }),
  };
}
