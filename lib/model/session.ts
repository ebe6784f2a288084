import { readFileSync } from 'node:fs';
import type { ModelConfig } from '../architectures/index.js';
import { nativeModel } from '../architectures/native.js';
import type { ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import type { Tensor } from '../formats/tensor.js';
import type { LoraPlan, MethodPlan } from '../methods/index.js';
import {
  loadNative,
  type NativeDataset,
  type NativeDtype,
  type NativeLoraConfig,
  type NativeLoss,
  type NativeMemory,
  type NativeParameter,
  type NativeSession,
  type NativeTrainPlan,
  type NativeTrainResult,
  type Values,
} from '../native/index.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import type { ResolvedDevice } from './device.js';
import { isOfVariant, variantOf } from './variants.js';

export type { Values } from '../native/index.js';

/** Element types that the addon reads. */
export const DTYPES: readonly string[] = ['F64', 'F32', 'F16', 'BF16'] satisfies NativeDtype[];

/**
 * A native session with the plan that shaped it: head, adapter and which parameters train are fixed for its lifetime.
 * It may be replaced while work on it is under way; it then goes away after the last of that work.
 */
export class Session {
  readonly plan: MethodPlan;
  readonly #native: NativeSession;
  readonly #borrows: boolean;
  #users = 0;
  #unused: (() => void) | undefined;
  #retirement: Promise<void> | undefined;

  private constructor(native: NativeSession, plan: MethodPlan, borrows = false) {
    this.#native = native;
    this.plan = plan;
    this.#borrows = borrows;
  }

  /**
   * Makes a session; its parameters are still to be written.
   *
   * @param loss what it trains on. Defaults to cross-entropy.
   * @throws BertuneError OUT_OF_MEMORY, CUDA_ERROR, NATIVE_UNAVAILABLE
   */
  static async create(
    config: ModelConfig,
    plan: MethodPlan,
    device: ResolvedDevice,
    loss: NativeLoss = 'cross_entropy',
  ): Promise<Session> {
    const { parameters, lora, probeDropout } = plan;
    const native = await loadNative().createSession({
      ...device,
      model: nativeModel(config, probeDropout),
      loss,
      parameters: nativeRows(parameters),
      lora: lora && nativeLora(lora),
    });
    return new Session(native, plan);
  }

  /**
   * Makes a session of several variants, one for each plan; each is a session of its own with the same memory, which goes once
   * all are retired.
   *
   * @param plans of LoRA alone, which train nothing that others share
   * @param train does the steps of one variant, with those of the others
   * @throws BertuneError as `create`
   */
  static async createVariants(
    config: ModelConfig,
    plans: readonly MethodPlan[],
    device: ResolvedDevice,
    loss: NativeLoss,
    train: (native: NativeSession, variant: number, plan: NativeTrainPlan) => Promise<NativeTrainResult>,
  ): Promise<Session[]> {
    const rows = plans.flatMap(({ parameters }, variant) =>
      nativeRows(variant === 0 ? parameters : parameters.filter(isOfVariant)).map((row) => ({ ...row, variant })),
    );
    const native = await loadNative().createSession({
      ...{ ...device, model: nativeModel(config, 0), loss, parameters: rows },
      lora: plans.map(({ lora }) => nativeLora(lora!)),
    });
    const users = new Set(plans.keys());
    return plans.map((plan, variant) => {
      const own = variantOf(native, variant, {
        train: (given) => train(native, variant, given),
        dispose: async () => {
          users.delete(variant);
          if (users.size === 0) await native.dispose();
        },
      });
      return new Session(own, plan, variant > 0);
    });
  }

  /** Whether a parameter is the session's to set: a variant's frozen ones are those of variant 0. */
  owns(row: ParameterRow): boolean {
    return !this.#borrows || isOfVariant(row);
  }

  /** Bytes by kind. */
  memory(): NativeMemory {
    return this.#native.memory();
  }

  /**
   * Does work on the native session, which stays until the work is done.
   *
   * @throws BertuneError DISPOSED once the session is retired, and whatever the work throws
   */
  async use<T>(work: (native: NativeSession) => Promise<T>): Promise<T> {
    if (this.#retirement) throw new BertuneError('DISPOSED', 'The model has been disposed; load it again');
    this.#users += 1;
    try {
      return await work(this.#native);
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#unused?.();
    }
  }

  /** Whether it takes no more work. */
  get isRetired(): boolean {
    return this.#retirement !== undefined;
  }

  /** Frees the session after the work that is under way. Safe to call twice. */
  retire(): Promise<void> {
    if (!this.#retirement) {
      const retirement = this.#freeWhenUnused();
      this.#retirement = retirement;
      // One that failed for want of memory can be asked for again.
      retirement.catch(() => {
        this.#retirement = undefined;
      });
    }
    return this.#retirement;
  }

  /** A copy of a parameter's values, row-major. */
  read(name: string): Promise<Values> {
    return this.use((native) => native.read(name, 'value'));
  }

  /** Sets a parameter's values. */
  write(name: string, values: Values): Promise<void> {
    return this.use((native) => writeValues(native, name, values));
  }

  /**
   * Sets a parameter's values from a file's tensor, which must not change; half precision is widened on the way.
   *
   * @throws BertuneError CHECKPOINT_INVALID where it is of another type, or has a number that is not finite
   */
  async writeTensor(name: string, { dtype, data }: Tensor): Promise<void> {
    if (!DTYPES.includes(dtype)) {
      throw new BertuneError('CHECKPOINT_INVALID', `Expected ${name} in ${DTYPES.join(', ')} but found ${dtype}`);
    }
    const odd = await this.use((native) => native.write(name, 'value', dtype as NativeDtype, data, true));
    if (odd < 0) return;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected finite weights but element ${odd} of ${name} is NaN or infinite: the file is damaged, or was saved after ` +
        'training had diverged',
    );
  }

  /** Fills a parameter anew; the addon mixes its name into the seed. */
  initialize({ name, initial }: ParameterRow, seed: number): Promise<void> {
    return this.use((native) => native.initialize(name, { ...initial, seed }));
  }

  /** Puts examples on the device for as long as `work` needs them. */
  withDataset<T>(dataset: NativeDataset, work: (handle: number, native: NativeSession) => Promise<T>): Promise<T> {
    return this.use((native) => withDatasetOn(native, dataset, (handle) => work(handle, native)));
  }

  async #freeWhenUnused(): Promise<void> {
    if (this.#users > 0) {
      await new Promise<void>((resolve) => {
        this.#unused = resolve;
      });
    }
    await this.#native.dispose();
  }
}

function nativeRows(parameters: MethodPlan['parameters']): NativeParameter[] {
  return parameters.map(({ name, role, layer, part, shape, trainable, decay, rate }) => {
    return { name, role, layer, part, shape, trainable, decay: trainable && decay, rate };
  });
}

function nativeLora({ dropout, updates }: LoraPlan): NativeLoraConfig {
  return { dropout, modules: updates.map(({ weight: { role, layer }, scaling }) => ({ role, layer, scaling })) };
}

/** Puts examples on the device for as long as `work` needs them. */
export async function withDatasetOn<T>(
  native: NativeSession,
  dataset: NativeDataset,
  work: (handle: number) => Promise<T>,
): Promise<T> {
  await removeDatasets(native);
  const handle = await native.addDataset(dataset);
  try {
    return await work(handle);
  } finally {
    const left = unremoved.get(native);
    if (left) left.push(handle);
    else unremoved.set(native, [handle]);
    await removeDatasets(native).catch(ignoreOutOfMemory);
  }
}

/** Data sets no longer needed. Removing them takes a little memory itself; if there is none, it is tried again later. */
const unremoved = new WeakMap<NativeSession, number[]>();

async function removeDatasets(native: NativeSession): Promise<void> {
  const handles = unremoved.get(native) ?? [];
  for (let handle = handles.pop(); handle !== undefined; handle = handles.pop()) {
    try {
      await native.removeDataset(handle);
    } catch (error) {
      handles.push(handle);
      throw error;
    }
  }
}

function ignoreOutOfMemory(error: unknown): void {
  if (!(error instanceof BertuneError && error.code === 'OUT_OF_MEMORY')) throw error;
}

/** Sets a parameter's values, of which the caller has the only copy; they must not change until the promise settles. */
export async function writeValues(native: NativeSession, name: string, values: Values): Promise<void> {
  const dtype = values instanceof Float64Array ? 'F64' : 'F32';
  await native.write(name, 'value', dtype, new Uint8Array(values.buffer, values.byteOffset, values.byteLength), true);
}

/** Token ids as the addon takes them, with the labels of a Split. */
export function datasetOf(
  { ids, offsets, typeIds, positions }: EncodedTexts,
  labels?: Int32Array | Float32Array,
): NativeDataset {
  const targets = labels instanceof Float32Array ? { targets: labels } : labels && { labels };
  return { ids, offsets, ...(typeIds && { typeIds }), ...(positions && { positions }), ...targets };
}

/** Bytes. The parts and `peak` count the library's own allocations, `processPeak` those of the whole process. */
export interface MemoryReport extends NativeMemory {
  /** Peak resident memory of the process, as the operating system counts it. */
  processPeak: number;
}

/** What a session takes, and the whole process at its highest. */
export function memoryReport(session: Session): MemoryReport {
  return { ...session.memory(), processPeak: processPeakMemory() };
}

/** The highest resident memory of this process so far, in bytes. */
export function processPeakMemory(): number {
  if (process.platform === 'linux') {
    try {
      // getrusage would count the parent's memory too: Linux carries its peak over fork and exec.
      const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
      if (peak !== undefined) return Number(peak) * 1024;
    } catch {
      // No /proc: the next best figure has to do.
    }
  }
  return process.resourceUsage().maxRSS * 1024;
}
