/*
 * One rank: trains a small model in each way that it is told, on splits of its own making, and prints what came of it.
 *
 *   node --import tsx test/distributed/program.ts JSON
 */
import { createHash } from 'node:crypto';
import { withEmulator } from '../../bench/support/operations.js';
import { Trainer } from '../../lib/api/trainer.js';
import { BertuneError } from '../../lib/errors.js';
import { bitfit, full, linear, lora, prefix } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Device, Precision } from '../../lib/model/device.js';
import { loadNative } from '../../lib/native/index.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { tinySplit } from '../lib/tiny-model.js';

export interface Program {
  model: string;
  precision: Precision;
  /** Defaults to 'cpu'. */
  device?: 'cpu' | 'cuda-emulated';
  runs: {
    method: keyof typeof METHODS;
    options: TrainerOptions;
    resume?: string;
    /** Of the training rows; that of ranks above 0 is one more where `differs`. */
    seed?: number;
    differs?: boolean;
    /** The rank of this number ends before it trains. */
    absent?: number;
    /** The step after which the rank of this number stops the run. */
    stop?: { rank: number; step: number };
  }[];
}

export interface Outcome {
  rank: number;
  method: string;
  losses: number[];
  gradNorms: number[];
  /** Of the evaluations. */
  evaluations: number[];
  accuracy: number[];
  /** Of all parameters, at the end. */
  digest: string;
  error?: { code: string; message: string };
}

const METHODS = {
  full: () => full(),
  linear: () => linear(),
  bitfit: () => bitfit(),
  lora: () => lora({ rank: 4, dropout: 0.1 }),
  dora: () => lora({ rank: 4, dropout: 0.1, dora: true, targets: ['all-linear'] }),
  prefix: () => prefix({ virtualTokens: 3 }),
};

const { model: directory, precision, device = 'cpu', runs } = JSON.parse(process.argv[2]!) as Program;
const rank = Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK ?? process.env.RANK ?? 0);
if (device !== 'cpu') withEmulator(loadNative());
// Where a test ends it while it waits.
process.on('SIGUSR2', () => process.exit(7));

for (const { method, options, resume, seed = 3, differs = false, absent, stop } of runs) {
  if (absent === rank) process.exit(1);
  await using model = await TextClassifier.load(directory, { device: device as Device, threads: 1, precision });
  const trainer = new Trainer(model, { learningRate: 3e-3, batchSize: 6, ...options, method: METHODS[method]() });
  const outcome: Outcome = { rank, method, losses: [], gradNorms: [], evaluations: [], accuracy: [], digest: '' };
  trainer.on('epoch', ({ trainAccuracy }) => outcome.accuracy.push(trainAccuracy));
  const controller = new AbortController();
  trainer.on('progress', ({ step }) => {
    process.stderr.write(`step ${step}\n`);
    if (stop?.rank === rank && step >= stop.step) controller.abort();
  });
  try {
    const train = tinySplit('train', 46, seed + (differs && rank > 0 ? 1 : 0));
    const validation = tinySplit('validation', 31, 4);
    await trainer.train(train, { validation, signal: controller.signal, ...(resume === undefined ? {} : { resume }) });
  } catch (error) {
    if (!(error instanceof BertuneError)) throw error;
    outcome.error = { code: error.code, message: error.message };
  }
  for (const row of trainer.state?.log_history ?? []) {
    if ('loss' in row) {
      outcome.losses.push(row.loss);
      outcome.gradNorms.push(row.grad_norm);
    }
    if ('eval_loss' in row) outcome.evaluations.push(row.eval_loss, row.eval_f1_macro ?? 0);
  }
  const hash = createHash('sha256');
  for (const { name } of model.parameters()) {
    const values = await model.parameter(name);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  outcome.digest = hash.digest('hex');
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
  if (outcome.error !== undefined) process.exitCode = 1;
}
