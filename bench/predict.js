// Predictions of 1 to 256 texts of 16 to 512 tokens, from random weights, by the calls of TextClassifier: no shape ought to
// be much slower than the others.
//
//   node bench/predict.js                                        (needs npm run build)
//   ... --scale mini,base --precision fp32,bf16,int8 --texts 1,16,256 --tokens 16,64,256,512 --threads 2
//   ... --seconds 1 --json predict.json
//
// ms         of a call, the median
// GFLOP/s    2 operations for each multiplication of the model's products, attention's included, per second: all threads
//            together
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { createSession, initialise } from './step/session.js';
import { LABELS, modelConfig, SCALES } from './support/dimensions.js';
import { load } from './support/library.js';
import { describeMachine, findDevice, findPrecisions } from './support/machine.js';
import { runMain } from './support/main.js';
import { METHODS } from './support/methods.js';
import { digits, Lines, printRecord } from './support/print.js';
import { median, randomNumbers } from './support/statistics.js';

const { DEFAULT_BATCH_TOKENS, longestFirst, packBatches } = await load('model/batches');
const { forwardBatches, predictBatch } = await load('model/forward');

const OPTIONS = {
  device: { type: 'string', default: 'cpu' },
  precision: { type: 'string' },
  threads: { type: 'string', default: String(os.availableParallelism()) },
  scale: { type: 'string', default: 'mini' },
  texts: { type: 'string', default: '1,16,256' },
  tokens: { type: 'string', default: '16,64,256,512' },
  seconds: { type: 'string', default: '1' },
  json: { type: 'string' },
};

/** Calls at least, after one to warm up. */
const LEAST_CALLS = 3;

const lines = new Lines([
  ['scale', -5],
  ['precision', -9],
  ['texts', 5],
  ['tokens', 6],
  ['ms', 8],
  ['texts/s', 8],
  ['tokens/s', 9],
  ['GFLOP/s', 8],
]);

/** Random texts of one length. */
function drawTexts(count, length, vocabSize) {
  const next = randomNumbers(count + length);
  const ids = Int32Array.from({ length: count * length }, () => 1 + Math.floor(next() * (vocabSize - 1)));
  return { ids, offsets: Int32Array.from({ length: count + 1 }, (_, i) => i * length) };
}

/** Of one text. The last layer computes its first token alone, behind keys and values of all. */
function operations({ layers, hiddenSize: C, feedForwardSize: F }, length) {
  const projections = 2 * (4 * C * C + 2 * C * F);
  const attention = (queries) => 4 * queries * length * C;
  const inner = (layers - 1) * (length * projections + attention(length));
  const last = 2 * length * 2 * C * C + (projections - 4 * C * C) + attention(1);
  return inner + last + 2 * C * C + 2 * C * LABELS.length;
}

/** Milliseconds of single calls. */
async function time(call, seconds) {
  await call();
  const times = [];
  const began = performance.now();
  while (times.length < LEAST_CALLS || performance.now() - began < seconds * 1000) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  return times;
}

/** A call of the model with these texts, as TextClassifier makes it. */
async function measure(session, texts, seconds) {
  const batches = packBatches(texts.offsets, longestFirst(texts.offsets), DEFAULT_BATCH_TOKENS);
  if (batches.starts.length === 2) {
    return session.use((native) => time(() => predictBatch(native, texts, batches), seconds));
  }
  return session.withDataset(texts, (handle, native) =>
    time(() => forwardBatches(native, handle, batches, undefined), seconds),
  );
}

const numbers = (list) => list.split(',').map(Number);

await runMain(async () => {
  const { values } = parseArgs({ options: OPTIONS });
  const device = findDevice(values.device);
  const threads = device.device === 'cpu' ? Number(values.threads) : 1;
  const machine = describeMachine(device, threads);
  printRecord(machine);
  console.log();
  lines.printHead();
  const rows = [];
  for (const scale of values.scale.split(',')) {
    if (!SCALES.includes(scale)) throw new Error(`Expected ${SCALES.join(', ')} for --scale but received ${scale}`);
    const config = modelConfig(scale);
    for (const precision of findPrecisions(device, values.precision)) {
      const session = await createSession([METHODS.full], config, { device: device.device, precision, threads });
      await initialise(session);
      for (const tokens of numbers(values.tokens).filter((length) => length <= config.maxTokens)) {
        for (const count of numbers(values.texts)) {
          const ms = median(await measure(session, drawTexts(count, tokens, config.vocabSize), Number(values.seconds)));
          const rate = (1000 * count) / ms;
          const row = { scale, precision, texts: count, tokens, ms, texts_per_s: rate };
          rows.push({ ...row, gflops_per_s: (rate * operations(config, tokens)) / 1e9 });
          const figures = [ms, rate, rate * tokens, rows.at(-1).gflops_per_s].map(digits);
          lines.print([scale, precision, String(count), String(tokens), ...figures]);
        }
      }
      await session.retire();
    }
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
});
