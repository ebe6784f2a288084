import { copyArray, invalidOption, isArray, isString } from '../options/validation.js';

/** What is classified: a text, or a pair of texts, e.g. a premise and a hypothesis. */
export type TextInput = string | readonly [text: string, pair: string];

/** Texts, and the second one of each where they are pairs. */
export interface TextInputs {
  /** (N) */
  texts: readonly string[];
  /** (N) */
  pairs?: readonly string[] | undefined;
}

/**
 * A copy of the texts, so that the caller's may change while they are read.
 *
 * @throws INVALID_OPTION unless `inputs` is a text, an array of texts, or an array of pairs
 */
export function expectTexts(inputs: unknown): TextInputs {
  if (typeof inputs === 'string') return { texts: [inputs] };
  if (!isArray(inputs)) throw invalidOption('texts', 'a string or an array of strings or of pairs', inputs);
  if (!isArray(inputs[0])) {
    const { items, odd } = copyArray(inputs, isString);
    if (odd >= 0) throw invalidOption(`texts[${odd}]`, 'a string', inputs[odd]);
    return { texts: items };
  }
  const pairs: string[] = [];
  const texts: string[] = [];
  const { odd } = copyArray(inputs, (input): input is unknown => {
    const { items } = isArray(input) && input.length === 2 ? copyArray(input, isString) : { items: [] };
    if (items.length !== 2) return false;
    texts.push(items[0]!);
    pairs.push(items[1]!);
    return true;
  });
  if (odd >= 0) throw invalidOption(`texts[${odd}]`, 'a pair of strings', inputs[odd]);
  return { texts, pairs };
}
