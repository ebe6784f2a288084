import { readFileSync } from 'node:fs';
import { BertuneError } from './errors.js';

const MIB = 2 ** 20;
/** Of JavaScript's engine, which ends the process where it cannot grow. */
const SPARE = 128 * MIB;
/** Of a WebAssembly memory, however small, with its guards. */
export const WEBASSEMBLY_MEMORY = 10 * 1024 * MIB;

/**
 * Checks that so much address space is left, where the process has a limit of it (`ulimit -v`).
 *
 * @param bytes in one piece or in several
 * @param purpose in words, e.g. 'load the native addon'
 * @throws BertuneError OUT_OF_MEMORY
 */
export function expectAddressSpace(bytes: number, purpose: string): void {
  const left = addressSpaceLeft();
  if (left >= bytes + SPARE) return;
  const [needed, rest] = [Math.ceil((bytes + SPARE) / MIB), Math.floor(left / MIB)];
  throw new BertuneError(
    'OUT_OF_MEMORY',
    `Not enough address space to ${purpose}: it takes ${needed} MiB and ${rest} MiB are left; raise \`ulimit -v\``,
  );
}

/** Bytes that may still be mapped; Infinity where there is no limit, or none is known. */
function addressSpaceLeft(): number {
  if (process.platform !== 'linux') return Number.POSITIVE_INFINITY;
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    if (limit === undefined) return Number.POSITIVE_INFINITY;
    const used = /^VmSize:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    return Math.max(0, Number(limit) - 1024 * Number(used));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
