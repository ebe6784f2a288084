import { join } from 'node:path';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import type { TokenizerSettings } from '../definition.js';
import type { Arguments } from './arguments.js';
import { FILES, type TokenizerFiles } from './source.js';
import type { SpecialTokens, TokenizerClass } from './tokenizer-class.js';

/** A length that transformers writes for "no limit" is beyond this. */
const NO_LIMIT = 1e9;

/**
 * What a tokenizer's files say beside its definition.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readSettings(
  files: TokenizerFiles,
  given: Arguments,
  kind: TokenizerClass,
  special: SpecialTokens,
): TokenizerSettings {
  return {
    modelMaxLength: maxLength(given),
    truncationSide: given.read('truncation_side', definedSide(files), "'left' or 'right'", isSide),
    splitSpecialTokens: given.flag('split_special_tokens', false),
    padToken: special.get('pad_token'),
    clsToken: special.get('cls_token'),
    sepToken: special.get('sep_token'),
    modelInputNames: given.read('model_input_names', kind.modelInputNames, 'an array of names', isNames),
  };
}

/** model_max_length, or max_len of older files. */
function maxLength(given: Arguments): number {
  const key = given.has('model_max_length') ? 'model_max_length' : 'max_len';
  const length = given.read<number | null>(key, null, 'a positive integer or null', (value) => {
    const isLength = typeof value === 'number' && (value >= NO_LIMIT || (Number.isInteger(value) && value > 0));
    return value === null || isLength;
  });
  return length === null || length >= NO_LIMIT ? Number.POSITIVE_INFINITY : length;
}

/** The side that tokenizer.json cuts, where it was saved with its truncation. */
function definedSide({ directory, definition }: TokenizerFiles): 'left' | 'right' {
  const truncation = definition?.truncation ?? null;
  if (truncation === null) return 'right';
  const direction = isObject(truncation) ? (truncation.direction ?? 'Right') : truncation;
  if (direction === 'Left') return 'left';
  if (direction === 'Right') return 'right';
  throw invalidValue(join(directory, FILES.definition), 'truncation', 'a direction, "Left" or "Right",', truncation);
}

function isSide(value: unknown): boolean {
  return value === 'left' || value === 'right';
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}
