import { isDeepStrictEqual } from 'node:util';
import { BertuneError } from '../../errors.js';
import { readJsonObject } from '../../files/input.js';
import { isObject, JsonFields } from '../../files/json.js';
import { option } from '../../options/names.js';
import type { EpochRow, RunPosition, StepTotals } from '../position.js';

/* run.json of a checkpoint: what the run is, so that another is not taken for it, and where it stands. */

export const RUN_FILE = 'run.json';

/** Raised when the meaning of a file changes. */
const FORMAT = 2;

/** What must be the same when a run is resumed. */
export interface RunIdentity {
  /** The trainer's as they were given, but for those about saving and the length of the run. */
  settings: Record<string, unknown>;
  /** Optimizer steps of the whole run: may be more when it is resumed. */
  total_steps: number;
  labels: readonly string[];
  precision: string;
  /** SHA-256 of the parameters that do not train. */
  frozen: string;
  /** SHA-256 of the training and validation examples as token ids; null: no validation split. */
  train: string;
  validation: string | null;
}

/** What a run computes on: another may differ in last bits. */
export interface RunMachine {
  device: string;
  threads: number;
  /** Of matrix products, with version and kernel. */
  blas: string;
}

/** Early stopping and the best epoch. */
export interface BestRecord {
  /** null: no evaluation yet. */
  best: { metric: number; step: number; epoch: number } | null;
  /** Evaluations in a row without a better metric. */
  waited: number;
}

/** What run.json holds. */
export interface RunRecord {
  identity: RunIdentity;
  machine: RunMachine;
  position: RunPosition;
  /** null: no best epoch is looked for. */
  best: BestRecord | null;
}

/** The text of run.json. */
export function formatRun(run: RunRecord): Record<string, unknown> {
  return { format: FORMAT, ...run };
}

/** @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID */
export async function readRun(path: string): Promise<RunRecord> {
  const json = await readJsonObject(path);
  if (json.format !== FORMAT) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected "format": ${FORMAT} in ${path} but found ${JSON.stringify(json.format)?.slice(0, 100)}: it is of another version`,
    );
  }
  const fields = new JsonFields(json, path);
  const best = fields.optional('best');
  return {
    identity: identityOf(fields.object('identity')),
    machine: machineOf(fields.object('machine')),
    position: positionOf(fields.object('position')),
    best: best && {
      best: bestOf(best.optional('best')),
      waited: best.count('waited'),
    },
  };
}

/**
 * Checks that a run that is resumed is the one that was saved.
 *
 * @param where the checkpoint
 * @throws BertuneError INVALID_OPTION naming the setting that differs, INVALID_DATA for other data
 */
export function expectSameRun(saved: RunIdentity, now: RunIdentity, where: string): void {
  // What is undefined is not in a file.
  const settings = JSON.parse(JSON.stringify(now.settings)) as Record<string, unknown>;
  for (const name of new Set([...Object.keys(saved.settings), ...Object.keys(settings)])) {
    const [before, after] = [saved.settings[name], settings[name]];
    if (name === 'method' && isObject(before) && isObject(after)) expectSameMethod(before, after, where);
    else expectSame(name, before, after, where);
  }
  if (now.total_steps < saved.total_steps) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected at least ${saved.total_steps} steps, as in the run that saved ${where}, but epochs or maxSteps come to ` +
        `${now.total_steps}; a resumed run can become longer, but not shorter`,
    );
  }
  expectSame('labels', saved.labels, now.labels, where);
  expectSame('precision', saved.precision, now.precision, where);
  for (const split of ['train', 'validation'] as const) {
    if (saved[split] === now[split]) continue;
    const what = saved[split] === null ? 'no' : 'the same';
    throw new BertuneError(
      'INVALID_DATA',
      `Expected ${what} ${split} split as in the run that saved ${where} but ` +
        `${now[split] === null ? 'received none' : 'its texts, their order or their labels differ'}`,
    );
  }
  if (saved.frozen !== now.frozen) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected the model that the run of ${where} began with but the frozen parameters differ`,
    );
  }
}

/** What to know of a run that is made longer, in a sentence; none where it is as long as it was. */
export function extensionNotes(saved: RunIdentity, now: RunIdentity, step: number): string[] {
  if (now.total_steps === saved.total_steps) return [];
  return [
    `The run now takes ${now.total_steps} steps, ${saved.total_steps} before. From step ${step} on the learning rate is that ` +
      'of the longer schedule, so the result is not that of a run of this length from the beginning.',
  ];
}

/** In what the machine differs, in sentences. */
export function machineNotes(saved: RunMachine, now: RunMachine): string[] {
  const words: Record<keyof RunMachine, string> = { device: 'device', threads: 'threads', blas: 'BLAS' };
  return (Object.keys(words) as (keyof RunMachine)[])
    .filter((key) => saved[key] !== now[key])
    .map((key) => `The ${words[key]} differ: ${now[key]}, ${saved[key]} before. Last bits may differ from there on.`);
}

type Settings = Readonly<Record<string, unknown>>;

function expectSameMethod({ kind, ...saved }: Settings, { kind: kindNow, ...now }: Settings, where: string): void {
  expectSame('method', kind, kindNow, where);
  for (const name of new Set([...Object.keys(saved), ...Object.keys(now)]))
    expectSame(name, saved[name], now[name], where);
}

function expectSame(name: string, saved: unknown, now: unknown, where: string): void {
  if (isDeepStrictEqual(saved, now)) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected ${show(saved)} for ${option(name)}, as in the run that saved ${where}, but received ${show(now)}; ` +
      'resume a run with the settings it started with',
  );
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 200);
}

function identityOf(fields: JsonFields): RunIdentity {
  return {
    settings: fields.object('settings').json,
    total_steps: fields.count('total_steps'),
    labels: fields.list('labels').map((label) => {
      if (typeof label !== 'string') throw fields.error('labels', 'strings', label);
      return label;
    }),
    precision: fields.text('precision'),
    frozen: fields.text('frozen'),
    train: fields.text('train'),
    validation: fields.json.validation === null ? null : fields.text('validation'),
  };
}

function machineOf(fields: JsonFields): RunMachine {
  return { device: fields.text('device'), threads: fields.count('threads'), blas: fields.text('blas') };
}

function positionOf(fields: JsonFields): RunPosition {
  return {
    step: fields.count('step'),
    epochs_done: fields.count('epochs_done'),
    examples: fields.count('examples'),
    loss_sum: fields.number('loss_sum'),
    last_grad_norm: fields.number('last_grad_norm'),
    unlogged: totalsOf(fields.object('unlogged')),
    epoch_totals: totalsOf(fields.object('epoch_totals')),
    step_seconds: fields.number('step_seconds'),
    seconds: fields.number('seconds'),
    epochs: fields.objects('epochs').map(epochOf),
  };
}

function totalsOf(fields: JsonFields): StepTotals {
  return {
    steps: fields.count('steps'),
    loss: fields.number('loss'),
    correct: fields.count('correct'),
    examples: fields.count('examples'),
  };
}

function epochOf(fields: JsonFields): EpochRow {
  return {
    epoch: fields.number('epoch'),
    step: fields.count('step'),
    train_loss: fields.number('train_loss'),
    train_accuracy: fields.number('train_accuracy'),
  };
}

function bestOf(fields: JsonFields | null): BestRecord['best'] {
  return fields && { metric: fields.number('metric'), step: fields.count('step'), epoch: fields.number('epoch') };
}
