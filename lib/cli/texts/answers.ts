import type { DataRecord, TextColumns } from '../../data/records.js';
import { BertuneError } from '../../errors.js';
import type { TextInput } from '../../model/texts.js';

/** A text, or a pair of texts, that is read. */
export interface SourceText {
  /** Where it stands, in words: `reviews.csv, line 3`. */
  readonly place: string;
  readonly text: string;
  /** The second text of a pair; undefined for a single text. */
  readonly pair?: string | undefined;
  /** The row that it stands in, whose columns are kept; undefined for a text by itself. */
  readonly row?: { readonly record: DataRecord; readonly columns: TextColumns };
}

/** Inputs as they come, some at a time. */
export type TextSource = AsyncIterable<readonly SourceText[]>;

/**
 * The same inputs in groups of one size, but for the last.
 *
 * @param size inputs a group
 */
export async function* grouped(inputs: TextSource, size: number): AsyncGenerator<SourceText[]> {
  let group: SourceText[] = [];
  for await (const some of inputs) {
    for (const input of some) {
      if (group.push(input) < size) continue;
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

/**
 * Passes inputs on as long as they are all single texts or all pairs.
 *
 * @param trained whether they have to be pairs, which the model was trained on; null: as the first one is
 * @param advice how to give pairs, or single texts
 * @throws BertuneError INVALID_DATA naming the place of the first that is of the other kind
 */
export async function* ofOneKind(
  inputs: TextSource,
  trained: boolean | null,
  advice: { readonly pairs: string; readonly single: string },
): AsyncGenerator<readonly SourceText[]> {
  let first: SourceText | undefined;
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

/** What a model makes of texts, all single ones or all pairs. */
export type AnswerTexts<Answer> = (texts: readonly TextInput[]) => Promise<readonly Answer[]>;

/** An input and what a model makes of it. */
export interface Answered<Answer> {
  readonly input: SourceText;
  readonly answer: Answer;
}

/** Codes of errors that a text can be the cause of. */
const OF_A_TEXT = ['INVALID_DATA', 'NON_FINITE_LOGITS'];

/**
 * Answers inputs, a group a call. The next group is read when the one before was taken.
 *
 * @throws BertuneError of `answer`; where one text is the cause, with its place
 */
export async function* answered<Answer>(
  inputs: TextSource,
  answer: AnswerTexts<Answer>,
): AsyncGenerator<Answered<Answer>[]> {
  for await (const group of inputs) {
    const answers = await answer(group.map(textsOf)).catch(async (error: unknown) => {
      throw await placed(error, group, answer);
    });
    yield group.map((input, i) => ({ input, answer: answers[i]! }));
  }
}

function textsOf({ text, pair }: SourceText): TextInput {
  return pair === undefined ? text : [text, pair];
}

/** The error of a group, with the place of the first text that fails by itself. */
async function placed(error: unknown, group: readonly SourceText[], answer: AnswerTexts<unknown>): Promise<unknown> {
  if (!(error instanceof BertuneError) || !OF_A_TEXT.includes(error.code)) return error;
  for (const input of group) {
    try {
      await answer([textsOf(input)]);
    } catch (cause) {
      if (!(cause instanceof BertuneError)) return cause;
      return new BertuneError(cause.code, `${input.place}: ${cause.message}`, { cause });
    }
  }
  return error;
}
