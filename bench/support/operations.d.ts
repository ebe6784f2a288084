import type { NativeAddon, NativeDevice, NativePrecision } from '../../lib/native/index.js';

export interface OperationsAddon extends Pick<NativeAddon, 'addDevice' | 'setErrorFactory'> {
  /**
   * Runs one named operation of native/core/backend.h. `tensors` maps the operation's field names to typed arrays
   * (Float32Array or Float64Array, Int32Array for indices), outputs written in place; `sizes` maps its scalar fields to
   * numbers. `repeat` > 1 runs it again on the same buffers, for timing. Resolves to the seconds of one run.
   */
  runOperation(
    name: string,
    where: { device: NativeDevice; precision: NativePrecision; threads: number },
    tensors: Record<string, Float32Array | Float64Array | Int32Array>,
    sizes: Record<string, number>,
    repeat: number,
  ): Promise<{ seconds: number }>;
  /**
   * Seconds of c (m,n) = a (m,k) · b (k,n) on one thread, a stored (k,m) and b (n,k) where transposed; undefined where this
   * machine lacks the provider (native/operations/products.h). Takes about `seconds`.
   */
  timeProduct(
    provider: 'blas' | 'onednn' | 'plain' | 'packed' | 'bf16' | 'int8',
    m: number,
    n: number,
    k: number,
    transposeA: boolean,
    transposeB: boolean,
    seconds: number,
  ): number | undefined;
  /** The names runOperation takes. */
  operations(): string[];
}

export const EMULATED: string;
export const EMULATOR_LIBRARY: string;
export function withEmulator<Addon extends Pick<NativeAddon, 'addDevice'>>(addon: Addon): Addon;
export function loadOperations(): OperationsAddon;
