import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { TimeSlice } from '../time-slice.js';
import type { Values } from './session.js';

/** Values between looks at the clock: about a millisecond's work. */
const BLOCK = 2 ** 19;

/** Index of the first value that is NaN or infinite; -1 where all are finite. The event loop runs meanwhile. */
export async function firstNonFinite(values: Values): Promise<number> {
  const slice = new TimeSlice();
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    for (let i = start; i < end; i++) if (!Number.isFinite(values[i])) return i;
    if (slice.isOver) await slice.next();
  }
  return -1;
}

/**
 * Checks what training left, before it is saved.
 *
 * @throws BertuneError NON_FINITE_LOSS
 */
export async function expectFinite(name: string, values: Values): Promise<void> {
  const odd = await firstNonFinite(values);
  if (odd < 0) return;
  throw new BertuneError(
    'NON_FINITE_LOSS',
    `Element ${odd} of ${name} is ${values[odd]}: the training diverged in its last steps, and what it left is not saved. ` +
      `Train again with a lower ${option('learningRate')}, from the start or from an earlier checkpoint`,
  );
}
