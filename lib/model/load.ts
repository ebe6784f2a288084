import { resolve } from 'node:path';
import type { ModelConfig } from '../architectures/index.js';
import type { ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { isDirectory } from '../files/input.js';
import { readSettled } from '../files/journal.js';
import { type Checkpoint, readCheckpoint } from '../formats/checkpoint.js';
import type { Tensor } from '../formats/tensor.js';
import type { Found, HubProgress } from '../hub/index.js';
import { type Adapter, fitAdapter, formatOf, isAdapter, noAdapter, readAdapter } from '../methods/adapter/files.js';
import { hasHead } from '../methods/adapter/head.js';
import { type Method, type MethodPlan, methodPlan } from '../methods/index.js';
import { loadNative } from '../native/index.js';
import type { LongTexts } from '../options/long-texts.js';
import { option } from '../options/names.js';
import { expectNames, expectObject, expectOneOf, expectPath, expectSeed } from '../options/validation.js';
import { type DefaultTask, TASK_KINDS, type TaskKind } from '../tasks/index.js';
import { throwIfAborted } from '../time-slice.js';
import { Tokenizer } from '../tokenizer/index.js';
import { type Base, findBase, findSettled } from './base.js';
import { type DeviceOptions, type ResolvedDevice, resolveDevice } from './device.js';
import { HEAD_CHOICES, type HeadChoice, type ModelHead, modelHead } from './head.js';
import { Session } from './session.js';

/** Options of `TextClassifier.load`. */
export interface LoadOptions<Kind extends TaskKind = DefaultTask, Label extends string = string> extends DeviceOptions {
  /**
   * Names of the classes, in the order of the logits. A trained classifier must have the same names, whose rows are put into
   * this order (case and outer spaces are forgiven, with a note); if its file only numbers its rows, these become their names,
   * in order. Defaults to the adapter's, else the checkpoint's, else LABEL_0 and LABEL_1.
   */
  labels?: readonly Label[] | undefined;
  /**
   * What happens to a trained classifier. 'keep': it stays, and `labels` that are not its classes are refused. 'fit': it stays,
   * with its own labels, if it has all of `labels`; otherwise a new one replaces it, with a note. 'name': like 'fit', but if
   * the file only numbers its rows and there are as many `labels`, it stays and takes these as names. 'new': the classifier is
   * always new. Defaults to 'keep'.
   */
  head?: HeadChoice | undefined;
  /**
   * What the labels are for: 'single-label', 'multi-label' or 'regression'. A trained classifier of another task is refused or
   * replaced, as `head` says. Defaults to what the files say, else 'single-label'.
   */
  task?: Kind | undefined;
  /** Directory or hub id of an adapter for the checkpoint. Defaults to none. */
  adapter?: string | undefined;
  /** Directory or hub id of the checkpoint under an adapter. Defaults to the one that its adapter_config.json names. */
  base?: string | undefined;
  /** Branch, tag or commit of a model on the hub. Defaults to the one after the id's `@`, else `main`. */
  revision?: string | undefined;
  /** Stops transfers from the hub. Defaults to none. */
  signal?: AbortSignal | undefined;
  /** Called as files are downloaded from the hub. Defaults to none. */
  onProgress?: ((progress: HubProgress) => void) | undefined;
  /** Seed of parameters that the files lack: 0 to 2^32 − 1. Defaults to 42. */
  seed?: number | undefined;
}

const LOAD_OPTIONS = [
  'labels',
  'head',
  'task',
  'device',
  'precision',
  'threads',
  'adapter',
  'base',
  'revision',
  'signal',
  'onProgress',
  'seed',
] as const;

/** What a model is made of when it is loaded. */
export interface ModelParts {
  config: ModelConfig;
  labels: readonly string[];
  tokenizer: Tokenizer;
  device: ResolvedDevice;
  base: Base;
  /** Method of the adapter, null without one. */
  method: Method | null;
  /** Whether its classifier was trained on pairs of texts; null where that is not known. */
  pairs: boolean | null;
  task: TaskKind;
  thresholds: Readonly<Record<string, number>> | null;
  temperature: number | null;
  /** What was made of long texts in training; null where that is not known. */
  longTexts: LongTexts | null;
  session: Session;
  notes: readonly string[];
}

/** Reads a model from files into a session. Parameters and errors as TextClassifier.load. */
export async function loadModel(source: string, given: LoadOptions<TaskKind>): Promise<ModelParts> {
  const options = expectObject('options', given, LOAD_OPTIONS);
  const seed = expectSeed('seed', options.seed ?? 42);
  const wanted = options.labels === undefined ? undefined : expectNames('labels', options.labels);
  const device = resolveDevice(options);
  const choice = expectOneOf('head', options.head ?? 'keep', HEAD_CHOICES);
  // Where it cannot be loaded, that is said before files are read or fetched.
  loadNative();
  const parts = await readParts(expectPath('source', source), choice, options);
  const { base, notes, checkpoint, tokenizer } = parts;
  const adapter = parts.adapter && fitAdapter(parts.adapter, checkpoint.config);
  const task = options.task === undefined ? undefined : expectOneOf('task', options.task, TASK_KINDS);
  const head = modelHead(adapter, checkpoint, choice, wanted, task);
  const { labels } = head;

  const method = adapter && formatOf(adapter).methodOf(adapter);
  const trained = methodPlan(method, checkpoint.config, labels.length, head.kind);
  const plan = withoutTraining(trained);
  if (tokenizer.vocabSize > checkpoint.config.vocabSize) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a tokenizer of at most ${checkpoint.config.vocabSize} word pieces, as config.json says, in ` +
        `${base.directory} but found ${tokenizer.vocabSize}`,
    );
  }
  const session = await Session.create(checkpoint.config, plan, device);
  try {
    const fresh: ParameterRow[] = [];
    for (const row of plan.parameters) {
      const tensor = tensorOf(row, head, checkpoint, adapter);
      if (tensor) await session.writeTensor(row.name, tensor);
      else {
        await session.initialize(row, seed);
        fresh.push(row);
      }
    }
    const newPooler = fresh.some(({ group }) => group === 'encoder');
    return {
      config: { ...checkpoint.config, labels: [...labels] },
      labels: Object.freeze([...labels]),
      tokenizer,
      device,
      base: {
        name: base.name,
        onHub: base.files !== null,
        revision: base.revision,
        directory: resolve(base.directory),
        intact: !newPooler,
        labels: head.baseLabels,
      },
      method,
      pairs: head.pairs,
      task: head.task,
      thresholds: head.thresholds,
      temperature: head.temperature,
      longTexts: head.longTexts,
      session,
      notes: [...notes, ...head.notes, ...notesOn(fresh, checkpoint)],
    };
  } catch (cause) {
    await session.retire();
    throw cause;
  }
}

/** Reads the files, those of one moment where somebody writes to their directories meanwhile. */
async function readParts(source: string, choice: HeadChoice, options: LoadOptions<TaskKind>) {
  const readAll = async () => {
    const { adapter, base, notes } = await findParts(source, options);
    throwIfAborted(options.signal);
    return readSettled(base.directory, async () => {
      const replaced = choice === 'new' || (adapter && hasHead(adapter));
      const checkpoint = await readCheckpoint(base.directory, { head: replaced ? 'skip' : 'read' });
      const tokenizer = await Tokenizer.load(base.directory);
      return { adapter, base, notes, checkpoint, tokenizer };
    });
  };
  return (await isDirectory(source)) ? readSettled(source, readAll) : readAll();
}

interface Parts {
  adapter: Adapter | null;
  base: Pick<Found, 'name' | 'revision' | 'directory' | 'files'>;
  notes: readonly string[];
}

/** Which directories hold what; what lies on the hub is fetched. */
async function findParts(source: string, options: LoadOptions<TaskKind>): Promise<Parts> {
  const { revision, signal, onProgress } = options;
  const shared = { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) };
  const found = await findSettled(source, { ...shared, ...(revision === undefined ? {} : { revision }) });
  if (!(await isAdapter(found.directory))) {
    if (options.base !== undefined) {
      throw new BertuneError(
        'INVALID_OPTION',
        `${option('base')} names the checkpoint under an adapter, but ${source} is not an adapter; leave it out` +
          ((await isAdapter(expectPath('base', options.base)))
            ? `, or give the adapter ${options.base} as the model, and this as its base`
            : ''),
      );
    }
    if (options.adapter === undefined) return { adapter: null, base: found, notes: found.notes };
    const wish = await findSettled(expectPath('adapter', options.adapter), shared);
    if (!(await isAdapter(wish.directory))) {
      throw await noAdapter(wish.directory);
    }
    const adapter = await readSettled(wish.directory, () => readAdapter(wish.directory));
    return { adapter, base: found, notes: [...found.notes, ...wish.notes] };
  }
  if (options.adapter !== undefined) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${source} is an adapter itself; leave out ${option('adapter')}, or name a checkpoint to put that one on`,
    );
  }
  const adapter = await readAdapter(found.directory);
  const base =
    options.base === undefined
      ? await findBase(found.directory, adapter, shared)
      : await findSettled(expectPath('base', options.base), shared);
  return { adapter, base, notes: [...found.notes, ...base.notes] };
}

function tensorOf(
  row: ParameterRow,
  head: ModelHead,
  checkpoint: Checkpoint,
  adapter: Adapter | null,
): Tensor | undefined {
  if (row.group === 'head') return head.tensors.get(row.name);
  return (adapter && formatOf(adapter).tensorOf(adapter, row)) ?? checkpoint.tensors.get(row.name);
}

/** A plan that trains nothing. */
export function withoutTraining(plan: MethodPlan): MethodPlan {
  return { ...plan, parameters: plan.parameters.map((row) => ({ ...row, trainable: false })) };
}

/** Noted for an untrained classifier. */
export const NEW_CLASSIFIER = 'The classifier is new: train it before relying on what it predicts.';

function notesOn(fresh: readonly ParameterRow[], { ignored }: Checkpoint): string[] {
  const isNew = (wanted: ParameterRow['group']) => fresh.some(({ group }) => group === wanted);
  return [
    ...(isNew('head') ? [NEW_CLASSIFIER] : []),
    ...(isNew('encoder') ? ['The pooler is new: the checkpoint has none.'] : []),
    ...(ignored.length === 0 ? [] : [`Not used from the checkpoint: ${ignored.join(', ')}.`]),
  ];
}
