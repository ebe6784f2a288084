import type { ModelConfig } from '../architectures/index.js';
import { headRows, type ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { readSettled } from '../files/journal.js';
import { arrangeHead, type Head, outputName, taskOfConfig } from '../formats/checkpoint/head.js';
import type { Tensor } from '../formats/tensor.js';
import { modelDirectory } from '../hub/index.js';
import { type Adapter, fitAdapter, formatOf, readAdapter } from '../methods/adapter/files.js';
import { type AdapterHead, adapterHead } from '../methods/adapter/head.js';
import type { NativeAdapterConfig, NativeDtype, NativeTensor } from '../native/index.js';
import type { LongTexts } from '../options/long-texts.js';
import { option } from '../options/names.js';
import { copyArray, invalidOption, isArray, nearest, shorten } from '../options/validation.js';
import { DEFAULT_TASK, type TaskKind } from '../tasks/index.js';
import { areNumbers } from '../tasks/labels.js';
import { throwIfAborted } from '../time-slice.js';
import type { Precision } from './device.js';
import type { ModelParts } from './load.js';
import { DTYPES, type Session } from './session.js';

/** An adapter loaded beside a model. */
export interface AdapterInfo {
  /** The name given to `loadAdapter`. */
  name: string;
  kind: Adapter['kind'];
  /** Names of its classes, in the order of its logits. */
  labels: readonly string[];
  /** Whether it was trained on pairs of texts; null if its file does not say. */
  pairs: boolean | null;
  /** What its labels are for. */
  task: TaskKind;
  /** Tuned scores above which a label is predicted, by label; null if none were tuned. */
  thresholds: Readonly<Record<string, number>> | null;
  /** The calibrated temperature that logits are divided by; null if there is none. */
  temperature: number | null;
  /** How long texts were read in training; null if they were truncated as the tokenizer does, or if that is unknown. */
  longTexts: LongTexts | null;
  /** P, the virtual tokens of a prefix; 0 for LoRA. */
  virtualTokens: number;
  /** Bytes of its weights in its file. */
  bytes: number;
  /** Remarks about its labels, e.g. that they are those of the base. */
  notes: readonly string[];
}

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions {
  /**
   * Names of the adapter's classes, in the order you want: the names it was saved with, or else the base's (its rows are
   * reordered to match); or new names for rows that neither file names. Defaults to the names it was saved with, or else to the
   * base's, in the order of its file, if the number matches, or else to LABEL_0, LABEL_1, ...
   */
  labels?: readonly string[] | undefined;
  /** Stops the loading. Defaults to none. */
  signal?: AbortSignal | undefined;
}

/** An adapter in a session. */
export interface NamedAdapter extends AdapterInfo {
  readonly session: Session;
  /** Of the native session. */
  handle: number;
  /** Calls that use it now. */
  users: number;
  /** Called when the last of them ends. */
  unused: (() => void) | undefined;
}

/** The model that an adapter is put beside. */
type Carrier = Pick<
  ModelParts,
  'config' | 'labels' | 'base' | 'pairs' | 'task' | 'thresholds' | 'temperature' | 'longTexts' | 'session'
> & { readonly precision: Precision };

/** An adapter that was read and checked against its base. */
export interface ReadAdapter {
  info: Omit<AdapterInfo, 'name'>;
  config: NativeAdapterConfig;
  tensors: NativeTensor[];
}

/**
 * The adapters beside a model in one session, by name. They go away with it. Every adapter in use is held: unloading waits
 * for the calls that use it.
 */
export class NamedAdapters {
  readonly #session: Session;
  readonly #byName = new Map<string, NamedAdapter>();
  /** Names that are being loaded. */
  readonly #pending = new Set<string>();

  constructor(session: Session) {
    this.#session = session;
  }

  get list(): AdapterInfo[] {
    return [...this.#byName.values()].map(
      ({ session: _session, handle: _handle, users: _users, unused: _unused, ...info }) => {
        return info;
      },
    );
  }

  /**
   * Loads what `read` gives under a name.
   *
   * @throws BertuneError INVALID_OPTION where the name is taken; OUT_OF_MEMORY; whatever `read` throws
   */
  async load(name: string, read: () => Promise<ReadAdapter>): Promise<AdapterInfo> {
    if (this.#byName.has(name) || this.#pending.has(name)) {
      throw new BertuneError(
        'INVALID_OPTION',
        `Expected a name that no adapter has but ${JSON.stringify(shorten(name))} is taken; unload that one first`,
      );
    }
    this.#pending.add(name);
    try {
      const { info, config, tensors } = await read();
      const handle = await this.#session.use((native) => native.addAdapter(config, tensors, true));
      this.#byName.set(name, { name, ...info, session: this.#session, handle, users: 0, unused: undefined });
      return { name, ...info };
    } finally {
      this.#pending.delete(name);
    }
  }

  /** Takes an adapter away and frees its memory after the calls that use it. @throws BertuneError NOT_FOUND */
  async unload(name: string): Promise<void> {
    const adapter = this.#find(name);
    this.#byName.delete(name);
    if (adapter.users > 0) {
      await new Promise<void>((resolve) => {
        adapter.unused = resolve;
      });
    }
    if (this.#session.isRetired) return; // and frees it, as it does everything
    await this.#session.use((native) => native.removeAdapter(adapter.handle));
  }

  /**
   * Holds adapters while `work` runs.
   *
   * @param names null: the model as it was loaded
   * @throws BertuneError NOT_FOUND listing the names there are
   */
  async hold<T>(
    names: readonly (string | null)[],
    work: (adapters: readonly (NamedAdapter | null)[]) => Promise<T>,
  ): Promise<T> {
    const adapters = names.map((name) => (name === null ? null : this.#find(name)));
    const held = new Set(adapters.filter((adapter) => adapter !== null));
    for (const adapter of held) adapter.users += 1;
    try {
      return await work(adapters);
    } finally {
      for (const adapter of held) {
        adapter.users -= 1;
        if (adapter.users === 0) adapter.unused?.();
      }
    }
  }

  #find(name: string): NamedAdapter {
    const adapter = this.#byName.get(name);
    if (adapter) return adapter;
    const names = [...this.#byName.keys()];
    const near = nearest(name, names);
    const advice =
      names.length === 0
        ? 'none is loaded; load it with loadAdapter'
        : `loaded are ${names.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
    throw new BertuneError(
      'NOT_FOUND',
      `Expected the name of a loaded adapter but received ${JSON.stringify(shorten(name))}: ${advice}`,
    );
  }
}

/**
 * Reads an adapter to put beside a model: its files of one moment, where somebody saves over them meanwhile. One without a
 * classifier takes the model's own.
 *
 * @param labels names of its classes, in the order to have them in. Defaults to the adapter's own, else those of the base
 *   in the order of its file where there are as many, else LABEL_0, LABEL_1, ...
 * @throws BertuneError as readAdapter and fitAdapter; INVALID_OPTION; SHAPE_MISMATCH; ABORTED
 */
export async function readForModel(
  model: Carrier,
  directory: string,
  labels: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadAdapter> {
  throwIfAborted(signal);
  const found = await modelDirectory(directory, signal ? { signal } : {});
  const adapter = fitAdapter(await readSettled(found, () => readAdapter(found)), model.config);
  if (adapter.kind === 'lora' && adapter.dora && model.precision === 'int8') {
    throw new BertuneError(
      'INVALID_OPTION',
      'A model in int8 does not keep the weights whose lengths a DoRA adapter sets; load the model with ' +
        `${option('precision', 'fp32')}, or the adapter as the model`,
    );
  }
  const baseTask = taskOfConfig(model.config, model.base.name);
  throwIfAborted(signal);
  const adapterOwn = adapterHead(adapter, model.base.labels);
  const own = adapterOwn ?? (await modelHead(model, directory));
  throwIfAborted(signal);
  const head = labels ? arrangeHead(own, labels) : { ...own, notes: [] };
  const { lora, prefix, rows } = formatOf(adapter).beside(adapter, model.config);
  const tensors = [...tensorsOf(adapter, head, rows, model.config)];
  return {
    info: {
      kind: adapter.kind,
      labels: head.labels,
      pairs: adapterOwn ? (adapter.pairs ?? null) : model.pairs,
      task: adapterOwn ? (adapter.task ?? baseTask ?? DEFAULT_TASK) : model.task,
      thresholds: adapterOwn ? (adapter.thresholds ?? null) : model.thresholds,
      temperature: adapterOwn ? (adapter.temperature ?? null) : model.temperature,
      longTexts: adapterOwn ? (adapter.longTexts ?? null) : model.longTexts,
      virtualTokens: prefix?.virtualTokens ?? 0,
      bytes: tensors.reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
      notes: [...own.notes, ...head.notes],
    },
    config: { labels: head.labels.length, lora, prefix },
    tensors,
  };
}

function* tensorsOf(
  adapter: Adapter,
  head: Head,
  rows: readonly ParameterRow[],
  config: ModelConfig,
): Generator<NativeTensor> {
  for (const row of headRows(config, 'classifier', head.labels.length)) {
    yield nativeTensor(row, head.tensors.get(row.name)!);
  }
  const { tensorOf } = formatOf(adapter);
  for (const row of rows) yield nativeTensor(row, tensorOf(adapter, row)!);
}

function nativeTensor({ name, role, layer, part }: ParameterRow, { dtype, data }: Tensor): NativeTensor {
  if (!DTYPES.includes(dtype)) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected ${name} in ${DTYPES.join(', ')} but found ${dtype}`);
  }
  return { name, role, layer, part, dtype: dtype as NativeDtype, bytes: data };
}

/** The model's classifier, which stands in for an adapter's. */
async function modelHead({ session, labels, config }: Carrier, directory: string): Promise<AdapterHead> {
  if (session.plan.head !== 'classifier' || session.plan.lora || session.plan.prefix) {
    const own = session.plan.head === 'classifier' ? "an adapter's" : 'a probe';
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected an adapter with a classifier, because the model's own is ${own}, but ${directory} has none`,
    );
  }
  const tensors = new Map<string, Tensor>();
  for (const { name, shape, group } of session.plan.parameters) {
    if (group !== 'head') continue;
    const values = await session.read(name);
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    tensors.set(name, { dtype: values instanceof Float64Array ? 'F64' : 'F32', shape: [...shape], data });
  }
  const output = outputName(config, 'classifier');
  return { kind: 'classifier', labels, named: !areNumbers(labels), output, tensors, notes: [] };
}

/** The adapters that a call's texts are predicted with. */
export type AdapterChoice = string | null | readonly (string | null)[];

/**
 * The adapter of each text.
 *
 * @param choice one for all, or one per text
 * @throws BertuneError INVALID_OPTION
 */
export function expectAdapterNames(choice: unknown, texts: number): readonly (string | null)[] {
  const isName = (name: unknown): name is string | null => name === null || (typeof name === 'string' && name !== '');
  if (isName(choice)) return new Array<string | null>(texts).fill(choice);
  if (!isArray(choice)) throw invalidOption('adapter', 'a name, null or an array of them', choice);
  const { items, odd } = copyArray(choice, isName);
  if (odd >= 0) throw invalidOption(`adapter[${odd}]`, 'a name or null', choice[odd]);
  if (items.length !== texts) throw invalidOption('adapter', `one name or null for each of ${texts} texts`, choice);
  return items;
}
