import { BertuneError } from '../../errors.js';
import type { PredictionInput } from './input.js';

/** @throws BertuneError INVALID_DATA where an input has a column that is to be added */
export function expectNewNames({ place }: PredictionInput, names: readonly string[], added: readonly string[]): void {
  const taken = added.find((name) => names.includes(name));
  if (taken === undefined) return;
  throw new BertuneError(
    'INVALID_DATA',
    `The input has a column ${JSON.stringify(taken)} already (${place}); choose other names for the new ones with --prefix`,
  );
}
