import { BertuneError } from '../errors.js';
import { option } from './names.js';
import { expectNonNegativeInteger, expectOneOf } from './validation.js';

/*
 * Texts that are longer than a model accepts: they are truncated, or read in windows whose logits are pooled.
 */

/**
 * What is kept of a text that is too long: 'head' its start, 'tail' its end, 'head-tail' a quarter from its start and three
 * quarters from its end (Sun et al., "How to Fine-Tune BERT for Text Classification?", 2019), 'halves' half from each.
 */
export type Truncation = 'head' | 'tail' | 'head-tail' | 'halves';

/** The share of a truncated text that is from its start. A quarter is 128 of 510 tokens, as in Sun et al. */
const SHARES: Readonly<Record<Truncation, number>> = { head: 1, tail: 0, 'head-tail': 0.25, halves: 0.5 };

export const TRUNCATIONS = Object.freeze(Object.keys(SHARES) as Truncation[]);

/** The share that is from the start, or undefined for the side that the tokenizer keeps. */
export function shareOf(truncation: Truncation | undefined): number | undefined {
  return truncation && SHARES[truncation];
}

/** How the logits of a text's windows are pooled: their mean, or the highest of each label. */
export type WindowPooling = 'mean' | 'max';
export const WINDOW_POOLINGS: readonly WindowPooling[] = Object.freeze(['mean', 'max'] as const);

/** Options for texts that are too long, in prediction and evaluation. */
export interface LongTextOptions {
  /** Longest text or window in tokens, including special ones. Defaults to what the model was trained with, or else the model's limit. */
  maxLength?: number | undefined;
  /**
   * What is kept of a longer text: 'head' its start, 'tail' its end, 'head-tail' a quarter from its start and three quarters
   * from its end, 'halves' half from each. Defaults to what the model was trained with, or else the side that the tokenizer
   * keeps, usually the start.
   */
  truncation?: Truncation | undefined;
  /**
   * Reads a longer text in windows of `maxLength` tokens that share this many with the window before, at most half.
   * Defaults to what the model was trained with, or half a window if that is less, or else no windows; pairs have none.
   */
  stride?: number | undefined;
  /** How the logits of windows are pooled: their mean, or the highest of each label. Defaults to what the model was trained with, or else 'mean'. */
  windowPooling?: WindowPooling | undefined;
}

/** Names of the options. */
export const LONG_TEXT_OPTIONS = ['maxLength', 'truncation', 'stride', 'windowPooling'] as const;

/** The options, checked as far as they can be without a model. null: not given. */
export interface LongTextWishes {
  readonly maxLength: number | null;
  readonly truncation: Truncation | null;
  readonly stride: number | null;
  readonly windowPooling: WindowPooling | null;
}

/** How a model or an adapter read long texts in training, from its files. */
export interface LongTexts {
  /** Tokens of a text or a window, including special ones. */
  readonly length: number;
  /** null: the side that the tokenizer keeps, or windows. */
  readonly truncation: Truncation | null;
  /** Tokens that windows share; null: no windows. */
  readonly stride: number | null;
  readonly pooling: WindowPooling;
}

/** @throws BertuneError INVALID_OPTION */
export function longTextWishes(given: LongTextOptions): LongTextWishes {
  const { maxLength, truncation, stride, windowPooling } = given;
  if (truncation !== undefined) expectOneOf('truncation', truncation, TRUNCATIONS);
  if (stride !== undefined) expectNonNegativeInteger('stride', stride);
  if (windowPooling !== undefined) expectOneOf('windowPooling', windowPooling, WINDOW_POOLINGS);
  const wishes = {
    maxLength: maxLength ?? null,
    truncation: truncation ?? null,
    stride: stride ?? null,
    windowPooling: windowPooling ?? null,
  };
  expectOneWay(wishes);
  return wishes;
}

/** @throws BertuneError INVALID_OPTION for windows of texts that are cut */
export function expectOneWay({ truncation, stride }: Pick<LongTextWishes, 'truncation' | 'stride'>): void {
  if (truncation === null || stride === null) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('truncation', truncation)} cuts long texts, and ${option('stride', stride)} reads them in windows; leave one of them out`,
  );
}

/** What becomes of long texts: as is wished, otherwise as `trained`; null in it: the side that the tokenizer keeps. */
export function chosenWay(wishes: LongTextWishes, trained: LongTexts | null): Omit<LongTexts, 'length'> {
  const isOwn = wishes.truncation === null && wishes.stride === null;
  return {
    truncation: isOwn ? (trained?.truncation ?? null) : wishes.truncation,
    stride: isOwn ? (trained?.stride ?? null) : wishes.stride,
    pooling: wishes.windowPooling ?? trained?.pooling ?? 'mean',
  };
}

/** What is done with long texts, for the card. */
export function wayWords({ length, truncation, stride, pooling }: LongTexts): string {
  return stride === null
    ? `cut to ${length} tokens: ${truncation}`
    : `windows of ${length} tokens that share ${stride}; the ${pooling} of their logits`;
}

/** What a file's LongTexts are, for messages. */
export const LONG_TEXTS_FORM = 'a length, and a truncation or a stride with a pooling, for long_texts';

/** Whether a value of a file says what was trained with. */
export function isLongTexts(value: unknown): value is LongTexts {
  if (typeof value !== 'object' || value === null) return false;
  const { length, truncation, stride, pooling } = value as Record<string, unknown>;
  const isCount = (each: unknown, least: number) => Number.isSafeInteger(each) && (each as number) >= least;
  return (
    isCount(length, 1) &&
    (truncation === null || (TRUNCATIONS as readonly unknown[]).includes(truncation)) &&
    (stride === null || isCount(stride, 0)) &&
    (truncation === null || stride === null) &&
    (WINDOW_POOLINGS as readonly unknown[]).includes(pooling)
  );
}
