/*
 * Counts the memory that is asked for by name: typed arrays, array buffers, buffers, arrays of a given length. What a
 * file claims is thereby seen even where the operating system hands the memory out only when it is touched.
 */

let asked = 0;

const COUNTED = {
  ArrayBuffer: 1,
  Uint8Array: 1,
  Int8Array: 1,
  Uint16Array: 2,
  Int16Array: 2,
  Uint32Array: 4,
  Int32Array: 4,
  Float32Array: 4,
  Float64Array: 8,
  BigInt64Array: 8,
  BigUint64Array: 8,
  Array: 8,
} as const;

/** Starts to count, for good. Only for a thread that does nothing else. */
export function countAllocations(): void {
  const globals = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  for (const [name, size] of Object.entries(COUNTED)) {
    const count = (args: unknown[]) => {
      if (args.length === 1 && typeof args[0] === 'number') asked += args[0] * size;
    };
    globals[name] = new Proxy(globals[name]!, {
      construct(target, args, newTarget) {
        count(args);
        return Reflect.construct(target, args, newTarget) as object;
      },
      apply(target, self, args) {
        count(args);
        return Reflect.apply(target as unknown as () => unknown, self, args);
      },
    });
  }
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const original = Buffer[name] as (size: number, ...rest: never[]) => Buffer;
    Object.assign(Buffer, {
      [name]: (size: number, ...rest: never[]) => {
        asked += size;
        return original(size, ...rest);
      },
    });
  }
}

/** Bytes asked for since the last call. */
export function allocatedBytes(): number {
  const bytes = asked;
  asked = 0;
  return bytes;
}
