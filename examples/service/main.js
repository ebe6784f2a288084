// Serves a text classifier over HTTP until SIGTERM or SIGINT.
//
//   node main.js --model ../../assets/models/bert-mini --port 8080
//   ... --host 127.0.0.1 --threads 2 --device auto --precision fp32 --labels sad,happy --max-batch-tokens 1024 --max-queued-texts 16384
//   ... --max-queue-time 250 --max-wait 0 --timeout 10000 --drain-delay 0 --drain-seconds 20 --adapters adapters.json --sync-seconds 10
//   ... --headers-timeout 5000 --request-timeout 10000 --keep-alive-timeout 65000 --idle-timeout 15000 --connections 2048
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PredictionService, TextClassifier } from 'bertune';
import { Adapters } from './adapters.js';
import { createApp } from './app.js';
import { warmUp } from './warm-up.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8080' },
    device: { type: 'string', default: 'auto' },
    threads: { type: 'string' },
    precision: { type: 'string', default: 'fp32' },
    labels: { type: 'string' },
    'max-batch-tokens': { type: 'string' },
    'max-queued-texts': { type: 'string' },
    // Milliseconds. Under too much load what is accepted takes about this and a batch longer; the rest is refused.
    'max-queue-time': { type: 'string', default: '250' },
    'max-wait': { type: 'string' },
    timeout: { type: 'string' },
    'headers-timeout': { type: 'string' },
    'request-timeout': { type: 'string' },
    'keep-alive-timeout': { type: 'string' },
    'idle-timeout': { type: 'string' },
    connections: { type: 'string' },
    // Seconds between the signal and the end of new connections: until whoever sends requests has seen that /ready says no.
    'drain-delay': { type: 'string', default: '0' },
    'drain-seconds': { type: 'string', default: '20' },
    adapters: { type: 'string' },
    'sync-seconds': { type: 'string', default: '10' },
  },
});
if (values.model === undefined) throw new Error('Expected --model, the directory of a checkpoint or an adapter');

/** The options that were given, as numbers. */
const numbers = (names) =>
  Object.fromEntries(
    Object.entries(names)
      .filter(([, option]) => values[option] !== undefined)
      .map(([name, option]) => [name, Number(values[option])]),
  );

/** Milliseconds that clients have to read the last answers. */
const READING_TIME = 1_000;

/** @type {import('./app.js').State} */
const state = { phase: 'loading' };
const { app, metrics } = createApp(
  state,
  numbers({
    timeout: 'timeout',
    headersTimeout: 'headers-timeout',
    requestTimeout: 'request-timeout',
    keepAliveTimeout: 'keep-alive-timeout',
    idleTimeout: 'idle-timeout',
    connections: 'connections',
  }),
);
let classifier;
let ending;
/** Resolves when no adapter is loaded any more. */
let following;
const over = new AbortController();

/**
 * Says that it is not ready, and answers for a while what comes all the same; then answers what has come, refuses what comes, and
 * frees the model. Exits with 1 where that takes longer than it may.
 */
async function end(signal) {
  over.abort();
  const delay = Number(values['drain-delay']);
  if (state.phase === 'ready' && delay > 0) {
    console.error(`${signal}: not ready any more; taking requests for ${delay} s`);
    state.phase = 'draining';
    await sleep(delay * 1000);
  }
  console.error(`${signal}: finishing ${state.service?.stats().calls ?? 0} requests`);
  state.phase = 'closing';
  const seconds = Number(values['drain-seconds']);
  setTimeout(() => {
    console.error(`not done after ${seconds} s: giving up`);
    process.exit(1);
  }, seconds * 1000).unref();
  await loaded.catch(() => {});
  const closed = app.close();
  await state.service?.dispose();
  // All that was accepted is computed. Who has not sent the whole request by now, or does not read the answer, is not
  // waited for: Node no longer looks for late requests once the server is closing.
  setTimeout(() => app.server.closeAllConnections(), READING_TIME).unref();
  await closed;
  await following;
  await classifier?.dispose();
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    ending ??= end(signal);
  });
}

async function load() {
  classifier = await TextClassifier.load(values.model, {
    device: values.device,
    precision: values.precision,
    ...(values.threads && { threads: Number(values.threads) }),
    ...(values.labels && { labels: values.labels.split(',').map((name) => name.trim()) }),
  });
  for (const note of classifier.notes) console.warn(`note: ${note}`);
  state.service = new PredictionService(classifier, {
    onBatch: metrics.observeBatch,
    ...numbers({
      maxBatchTokens: 'max-batch-tokens',
      maxQueuedTexts: 'max-queued-texts',
      maxQueueTime: 'max-queue-time',
      maxWait: 'max-wait',
    }),
  });
  await warmUp(classifier);
  if (values.adapters !== undefined) await serveAdapters(values.adapters);
  if (state.phase === 'loading') state.phase = 'ready';
}

/** Loads the adapters of a list, and goes on doing so as it changes. */
async function serveAdapters(file) {
  const adapters = new Adapters(classifier, file);
  await adapters.synchronise();
  state.adapters = adapters;
  const show = () => [...adapters.sources].map(([name, source]) => `${name} from ${source}`).join(', ') || 'none';
  console.log(`adapters: ${show()}`);
  const onOutcome = (error) => {
    metrics.countChange(error === undefined ? 'done' : 'failed');
    if (error === undefined) console.log(`adapters: ${show()}`);
    else console.error(`the adapters stay as they were: ${error.message}`);
  };
  following = adapters.follow(Number(values['sync-seconds']), onOutcome, over.signal);
}

// It listens while the model loads, so that /ready can say so.
const address = await app.listen({ host: values.host, port: Number(values.port) });
console.log(`listening on ${address}`);
const loaded = load();
try {
  await loaded;
  console.log('ready');
} catch (error) {
  console.error(`error [${error.code ?? 'INTERNAL'}]: ${error.message}`);
  process.exitCode = 1;
  await app.close();
}
