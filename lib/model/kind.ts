import { BertuneError } from '../errors.js';
import { expectOneOf, shorten } from '../options/validation.js';
import type { NamedAdapter } from './adapters.js';
import type { AnyClassifier } from './classifier.js';
import type { TextInputs } from './text-input.js';

/** Which texts a model takes: single ones or pairs as it was trained on, or any. */
export type TextKind = 'trained' | 'any';

/** @throws BertuneError INVALID_OPTION */
export function expectTextKind(kind: unknown = 'trained'): TextKind {
  return expectOneOf('textKind', kind, ['trained', 'any']);
}

/**
 * Checks that texts are single ones, or pairs, as those that the model, or the adapter of each, was trained on: it gives
 * scores for the others too, and they mean nothing.
 *
 * @param adapters of each text (N), null: the model itself. Defaults to the model itself.
 * @throws BertuneError INVALID_DATA
 */
export function expectTrainedKind(
  model: Pick<AnyClassifier, 'pairs'>,
  { texts, pairs }: TextInputs,
  adapters: readonly (NamedAdapter | null)[] = [null],
): void {
  if (texts.length === 0) return;
  for (const adapter of new Set(adapters)) {
    expectKind((adapter ?? model).pairs, pairs !== undefined, adapter?.name ?? null);
  }
}

/** @param trained whether it was trained on pairs; null: not known, and all will do */
function expectKind(trained: boolean | null, pairs: boolean, adapter: string | null): void {
  if (trained === null || trained === pairs) return;
  const who = adapter === null ? 'The model' : `The adapter ${JSON.stringify(shorten(adapter))}`;
  throw new BertuneError(
    'INVALID_DATA',
    trained
      ? `${who} was trained on pairs of texts but received single texts; give it the second texts too`
      : `${who} was trained on single texts but received pairs; give it one text at a time`,
  );
}
