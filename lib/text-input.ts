import { invalidOption } from './options.js';

/** What is classified: a text, or a pair of texts, e.g. a premise and a hypothesis. */
export type TextInput = string | readonly [text: string, pair: string];

/** Texts, and the second one of each where they are pairs. */
export interface TextInputs {
  /** (N) */
  texts: readonly string[];
  /** (N) */
  pairs?: readonly string[] | undefined;
}

/** @throws INVALID_OPTION unless `inputs` is a text, an array of texts, or an array of pairs */
export function expectTexts(inputs: unknown): TextInputs {
  if (typeof inputs === 'string') return { texts: [inputs] };
  if (!Array.isArray(inputs)) throw invalidOption('texts', 'a string or an array of strings or of pairs', inputs);
  const arePairs = Array.isArray(inputs[0]);
  const isRight = arePairs ? isPair : (input: unknown) => typeof input === 'string';
  const odd = inputs.findIndex((input) => !isRight(input));
  if (odd >= 0) throw invalidOption(`texts[${odd}]`, arePairs ? 'a pair of strings' : 'a string', inputs[odd]);
  if (!arePairs) return { texts: inputs };
  const pairs = inputs as readonly (readonly [string, string])[];
  return { texts: pairs.map(([text]) => text), pairs: pairs.map(([, pair]) => pair) };
}

function isPair(input: unknown): boolean {
  return Array.isArray(input) && input.length === 2 && input.every((text) => typeof text === 'string');
}
