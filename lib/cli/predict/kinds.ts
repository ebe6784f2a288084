import { BertuneError } from '../../errors.js';
import type { PredictionInput, PredictionInputs } from './input.js';

/**
 * Passes inputs on as long as they are all single texts or all pairs.
 *
 * @param trained whether they have to be pairs, which the model was trained on; null: as the first one is
 * @param advice how to give pairs, or single texts
 * @throws BertuneError INVALID_DATA naming the place of the first that is of the other kind
 */
export async function* ofOneKind(
  inputs: PredictionInputs,
  trained: boolean | null,
  advice: { readonly pairs: string; readonly single: string },
): AsyncGenerator<readonly PredictionInput[]> {
  let first: PredictionInput | undefined;
  for await (const group of inputs) {
    first ??= group[0];
    const expected = trained ?? first?.pair !== undefined;
    const odd = group.find(({ pair }) => (pair !== undefined) !== expected);
    if (odd !== undefined) {
      const [kind, found] = expected ? ['a pair of texts', 'a single text'] : ['a single text', 'a pair'];
      const why = trained === null ? `as in ${first!.place},` : 'which the model was trained on,';
      throw new BertuneError(
        'INVALID_DATA',
        `Expected ${kind}, ${why} but found ${found} in ${odd.place}; ${expected ? advice.pairs : advice.single}`,
      );
    }
    yield group;
  }
}
