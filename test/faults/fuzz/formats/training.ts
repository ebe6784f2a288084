import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expectWhole, MANIFEST_FILE } from '../../../../lib/files/manifest.js';
import { parseConfig } from '../../../../lib/formats/checkpoint/config.js';
import { full, methodPlan } from '../../../../lib/methods/index.js';
import { RUN_FILE, readRun } from '../../../../lib/training/checkpoint/run-record.js';
import { OPTIMIZER_FILE, readTrained } from '../../../../lib/training/checkpoint/tensors.js';
import { readTrainerState, STATE_FILE } from '../../../../lib/training/state.js';
import { expectedTensors } from '../../../lib/shapes.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { CODES, CONFIG, safetensorsBytes, tensor } from '../seeds.js';

const LABELS = ['no', 'maybe', 'yes'];
const BASE = parseConfig(CONFIG);
const PLAN = methodPlan(full(), BASE, LABELS.length, 'classifier');
const OTHER = 'model.safetensors';

const totals = { steps: 1, loss: 0.5, correct: 2, examples: 4 };
const RUN = {
  format: 2,
  identity: {
    settings: { method: { kind: 'full' }, learningRate: 1e-4 },
    total_steps: 4,
    labels: LABELS,
    precision: 'fp32',
    frozen: 'a'.repeat(64),
    train: 'b'.repeat(64),
    validation: null,
  },
  machine: { device: 'cpu', threads: 2, blas: 'OpenBLAS 0.3.21 (Zen)' },
  position: {
    step: 3,
    epochs_done: 1,
    examples: 12,
    loss_sum: 1.5,
    last_grad_norm: 0.9,
    unlogged: totals,
    epoch_totals: totals,
    step_seconds: 0.1,
    seconds: 0.2,
    epochs: [{ epoch: 1, step: 2, train_loss: 0.4, train_accuracy: 0.75 }],
  },
  best: { best: { metric: 0.7, step: 2, epoch: 1 }, waited: 0 },
};
const STATE = {
  best_global_step: 2,
  best_metric: 0.7,
  best_model_checkpoint: 'checkpoint-2',
  epoch: 1.5,
  global_step: 3,
  log_history: [
    { epoch: 0.5, grad_norm: 1, learning_rate: 1e-4, loss: 0.9, step: 1 },
    { epoch: 1, eval_loss: null, eval_accuracy: 0.5, step: 2 },
  ],
};
const SHAPES = [...expectedTensors(BASE)];
const WEIGHTS = safetensorsBytes(new Map(SHAPES.map(([name, shape]) => [name, tensor(...shape)])));
const OPTIMIZER = safetensorsBytes(
  new Map(
    SHAPES.flatMap(([name, shape]) =>
      ['exp_avg', 'exp_avg_sq'].map((part) => [`${part}.${name}`, tensor(...shape)] as const),
    ),
  ),
);
const MANIFEST = {
  files: {
    [OTHER]: { size: WEIGHTS.length, sha256: createHash('sha256').update(WEIGHTS).digest('hex') },
  },
};
const JSONS = { [RUN_FILE]: RUN, [STATE_FILE]: STATE, [MANIFEST_FILE]: MANIFEST };
const TEXTS: Record<string, string> = Object.fromEntries(
  Object.entries(JSONS).map(([name, value]) => [name, JSON.stringify(value)]),
);
const DOCUMENTS = Object.fromEntries(Object.entries(JSONS).map(([name, value]) => [name, new JsonDocument(value)]));
const NAMES = Object.keys(JSONS);

/** Every file of the checkpoint, one of them bad. */
const withOne = (name: string, data: string | Uint8Array, what: string): Input => ({
  files: { ...TEXTS, [OPTIMIZER_FILE]: OPTIMIZER, [name]: data },
  what: `${name}: ${what}`,
});

export const format: Format = {
  fixed: [
    ...NAMES.flatMap((name) =>
      cuts(name, Buffer.from(TEXTS[name]!)).map((cut) => ({
        ...withOne(name, cut.files[name]!, cut.what),
        isCut: true as const,
      })),
    ),
    ...cuts(OPTIMIZER_FILE, OPTIMIZER, 2000).map((cut) => ({
      ...withOne(OPTIMIZER_FILE, cut.files[OPTIMIZER_FILE]!, cut.what),
      isCut: true as const,
    })),
    ...['../config.json', '/etc/passwd', 'a\\..\\b', 'a/../../b', './config.json', 'x\0'].map((name) =>
      withOne(MANIFEST_FILE, JSON.stringify({ files: { [name]: { size: 1, sha256: 'a'.repeat(64) } } }), name),
    ),
    ...NAMES.map((name) => withOne(name, `${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}`, '100,000 levels')),
  ],
  async prepare(directory) {
    await writeFile(join(directory, 'config.json'), JSON.stringify(CONFIG));
    await writeFile(join(directory, OTHER), WEIGHTS);
  },
  generate(random) {
    if (random.chance(0.25)) {
      const { bytes, what } = damage(OPTIMIZER, random);
      return withOne(OPTIMIZER_FILE, bytes, what);
    }
    const name = random.pick(NAMES);
    if (random.chance(0.6)) {
      const { text, what } = DOCUMENTS[name]!.mutated(random);
      return withOne(name, text, what);
    }
    const { bytes, what } = damage(Buffer.from(TEXTS[name]!), random);
    return withOne(name, bytes, what);
  },
  async read(directory) {
    await expectWhole(directory);
    const { identity, position, best } = await readRun(join(directory, RUN_FILE));
    sound(
      identity.labels.every((label) => typeof label === 'string'),
      'labels are no texts',
    );
    const counts = [position.step, position.epochs_done, position.examples, position.unlogged.steps, best?.waited ?? 0];
    sound(
      counts.every((count) => Number.isSafeInteger(count) && count >= 0),
      `counts are ${counts}`,
    );
    sound([position.loss_sum, position.seconds].every(Number.isFinite), 'sums are no numbers');
    const state = await readTrainerState(join(directory, STATE_FILE));
    sound(Number.isSafeInteger(state.global_step) && state.global_step >= 0, `global_step is ${state.global_step}`);
    sound(
      state.log_history.every((row) => Object.values(row).every((value) => typeof value === 'number')),
      'a row of the log',
    );
    const trained = await readTrained(directory, PLAN, 'fp32', identity.labels);
    for (const [name, shape] of SHAPES) {
      for (const part of ['value', 'm', 'v'] as const) {
        sound(trained[part].get(name)?.shape.join() === shape.join(), `${part} of ${name} has another shape`);
      }
    }
  },
  codes: CODES,
};
