import { setImmediate as turn } from 'node:timers/promises';

/** Collects what JavaScript dropped, and lets its finalizers run. Needs `--expose-gc`. */
export async function settleMemory(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    globalThis.gc!();
    await turn();
    await turn();
  }
}
