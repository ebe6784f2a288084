// Every operation of native/core/backend.h at BERT-base's dimensions, against what the machine does at best.
//
//   node bench/kernels.js --device cuda                    (needs npm run build)
//   ... --precision bf16,tf32,fp32 --only attention --tokens 22,352,1408,16x512 --json kernels.json --quick
//   ... --only attention --texts 16,32,64 --lengths 64,128,256,512       (attention at every one of these sizes)
//
//   ... --products                                         (matrix products of one CPU thread by the BLAS and by oneDNN)
//
// µs      the median of several repetitions; on a GPU each is the replay of a graph that holds the operation many times,
//         divided by their number: the gap from a kernel to the next is part of it, the launch from the host is not.
// MB      what has to be read and written once by the table in bench/kernels/trials.js (of the rows that are there:
//         padding is not counted, nor are workspaces); GFLOP: of the matrix products
// share   of the machine's own rate, copy or product, whichever the operation is closer to
//
// The rates themselves come first: `copy` is dropout_apply without dropout on arrays larger than any cache, `product` a
// large linear_forward in the same precision.
//
// Warm or cold: the runs of a repetition use the same arrays, so whatever fits the L2 cache (50 MB on an H100) comes from
// there, and a share of `copy` can go beyond 100 %. All rows are warm but those over more than the cache: copy, product,
// embedding_backward's word table, norm and AdamW over `full`. In training activations are as warm as here, having
// just been written. Weights are not: of linear_forward and linear_backward_input they come from the device's memory
// (12 layers of 14 MB in bf16, met once in forward and once in backward), and the gradients that linear_backward_weight
// writes and AdamW reads go there. What a product costs cold is at least its weight's bytes at the rate of copy.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { makeArguments } from './kernels/arrays.js';
import { BATCHES, parseBatch } from './kernels/batches.js';
import { measureProducts } from './kernels/products.js';
import { withSegments } from './kernels/segments.js';
import { PACES, timeOperation } from './kernels/timing.js';
import { CEILING_SIZES, CEILINGS, TRIALS } from './kernels/trials.js';
import { LABELS, modelConfig, SCALES } from './support/dimensions.js';
import { describeMachine, findDevice, findPrecisions } from './support/machine.js';
import { runMain } from './support/main.js';
import { digits, Lines, printRecord } from './support/print.js';

const OPTIONS = {
  device: { type: 'string', default: 'cpu' },
  precision: { type: 'string' },
  threads: { type: 'string', default: String(os.availableParallelism()) },
  only: { type: 'string', default: '' },
  tokens: { type: 'string' },
  texts: { type: 'string' },
  lengths: { type: 'string' },
  scale: { type: 'string', default: 'base' },
  quick: { type: 'boolean', default: false },
  products: { type: 'boolean', default: false },
  json: { type: 'string' },
};

const lines = new Lines([
  ['operation', -36],
  ['trial', -30],
  ['batch', 7],
  ['rows', 6],
  ['µs', 9],
  ['MB', 8],
  ['GFLOP', 8],
  ['GB/s', 7],
  ['TFLOP/s', 8],
  ['share', 7],
  ['of', -8],
]);

/** Letters of the model, as backend.h has them. */
function lettersOf(config, scale) {
  return {
    C: config.hiddenSize,
    F: config.feedForwardSize,
    NH: config.heads,
    L: config.layers,
    V: config.vocabSize,
    M: config.maxPositions,
    NC: LABELS.length,
    P: scale === 'tiny' ? 4 : 20,
  };
}

/** Batches of texts of one length, of every number of texts and every length asked for. */
function uniformBatches({ texts, lengths }, standard, kind) {
  const counts = texts?.split(',') ?? [standard.texts];
  return counts.flatMap((count) =>
    (lengths?.split(',') ?? standard.lengths).map((length) => parseBatch(`${count}x${length}`, kind)),
  );
}

/** The batches that a trial runs on; one that needs none runs once. */
function batchesOf(trial, { batches, lengths }) {
  if (trial.over === 'once') return [undefined];
  if (trial.over === 'lengths') return lengths;
  if (trial.over === 'tokens') return batches;
  return batches.filter(({ B }, i) => batches.findIndex((other) => other.B === B) === i);
}

const isWanted = (trial, words) => words.some((word) => `${trial.operation} ${trial.name}`.includes(word));

async function runTrial(trial, batch, setting) {
  const { where, config, letters, pace } = setting;
  const whole = trial.segments ? withSegments(trial, config) : trial;
  const args = makeArguments(whole, { model: letters, batch, precision: where.precision });
  const timed = await timeOperation(trial.operation, where, args, pace);
  const { bytes, flops } = args;
  return {
    operation: trial.operation,
    trial: trial.name,
    ...trial.about,
    precision: where.precision,
    ...(batch && {
      batch: batch.title,
      texts: batch.B,
      tokens: batch.T,
      rows: trial.over === 'texts' ? batch.padded.B : batch.padded.T,
      longest: Math.max(...batch.lengths),
    }),
    microseconds: timed.seconds * 1e6,
    repetitions: timed.repetitions,
    repeat: timed.repeat,
    bytes,
    flops,
    bytes_per_s: bytes / timed.seconds,
    flops_per_s: flops / timed.seconds,
  };
}

/** How near the operation is to the machine's own rates: of the two, the one it is closer to. */
function shareOf(row, rates) {
  const copy = row.bytes_per_s / rates.copy;
  const product = row.flops_per_s / rates.product;
  return product > copy ? { share: product, of: 'product' } : { share: copy, of: 'copy' };
}

function printRow(row) {
  lines.print([
    row.operation,
    row.trial,
    row.batch ?? '-',
    row.rows === undefined ? '-' : String(row.rows),
    digits(row.microseconds),
    digits(row.bytes / 1e6),
    row.flops ? digits(row.flops / 1e9) : '-',
    digits(row.bytes_per_s / 1e9),
    row.flops ? digits(row.flops_per_s / 1e12) : '-',
    row.share === undefined ? '-' : `${(100 * row.share).toFixed(1)} %`,
    row.of ?? '',
  ]);
}

async function measureRates(setting) {
  const rates = {};
  const rows = [];
  for (const trial of CEILINGS) {
    const row = await runTrial(trial, undefined, setting);
    rates[trial.name] = trial.name === 'copy' ? row.bytes_per_s : row.flops_per_s;
    rows.push(row);
    printRow(row);
  }
  return { rates, rows };
}

/** @returns rows, and how many trials failed */
async function measurePrecision(setting, trials) {
  console.log(`\n${setting.where.precision}\n`);
  lines.printHead();
  const { rates, rows } = await measureRates(setting);
  let failures = 0;
  for (const trial of trials) {
    for (const batch of batchesOf(trial, setting)) {
      try {
        const row = await runTrial(trial, batch, setting);
        Object.assign(row, shareOf(row, rates));
        rows.push(row);
        printRow(row);
      } catch (error) {
        failures += 1;
        console.log(
          `${trial.operation} ${trial.name} ${batch?.title ?? ''} failed: ${error.code ?? ''} ${error.message}`,
        );
      }
    }
  }
  return { rows, failures };
}

async function main() {
  const { values } = parseArgs({ options: OPTIONS });
  const { scale } = values;
  if (!SCALES.includes(scale)) throw new Error(`Expected ${SCALES.join(', ')} for --scale but received ${scale}`);
  const device = findDevice(values.device);
  const threads = device.device === 'cpu' ? Number(values.threads) : 1;
  const kind = device.device === 'cpu' ? 'cpu' : 'cuda';
  const config = modelConfig(scale);
  const machine = describeMachine(device, threads);
  const letters = lettersOf(config, scale);
  if (values.products) {
    printRecord(machine);
    console.log();
    const products = measureProducts({ letters, seconds: values.quick ? 0.001 : 0.05 });
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, scale, products }, null, 1)}\n`);
    return;
  }
  const standard = BATCHES[scale];
  const trials = TRIALS.filter((trial) => isWanted(trial, values.only.split(',')));
  if (trials.length === 0) throw new Error(`Expected --only to name operations or trials but none has ${values.only}`);
  const setting = {
    config,
    letters: { ...letters, ...CEILING_SIZES[kind][scale] },
    batches: (values.tokens?.split(',') ?? standard.tokens).map((text) => parseBatch(text, kind)),
    lengths: uniformBatches(values, standard, kind),
    pace: values.quick ? PACES.quick : PACES.full,
  };
  printRecord(machine);
  const rows = [];
  let failures = 0;
  for (const precision of findPrecisions(device, values.precision)) {
    const where = { device: device.device, precision, threads };
    const part = await measurePrecision({ ...setting, where }, trials);
    rows.push(...part.rows);
    failures += part.failures;
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, scale, rows }, null, 1)}\n`);
  }
  if (failures > 0) process.exitCode = 1;
}

await runMain(main);
