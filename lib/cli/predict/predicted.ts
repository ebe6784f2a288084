import { BertuneError } from '../../errors.js';
import type { TextInput } from '../../model/texts.js';
import type { Prediction } from '../../tasks/prediction.js';
import type { PredictionInput, PredictionInputs } from './input.js';

/** Classifies texts, all single ones or all pairs. */
export type Predict = (texts: readonly TextInput[]) => Promise<readonly Prediction[]>;

/** An input and what a model makes of it. */
export interface Predicted {
  readonly input: PredictionInput;
  readonly prediction: Prediction;
}

/** Codes of errors that a text can be the cause of. */
const OF_A_TEXT = ['INVALID_DATA', 'NON_FINITE_LOGITS'];

/**
 * Classifies inputs, a group a call. The next group is read when the one before was taken.
 *
 * @throws BertuneError of `predict`; where one text is the cause, with its place
 */
export async function* predicted(inputs: PredictionInputs, predict: Predict): AsyncGenerator<Predicted[]> {
  for await (const group of inputs) {
    const predictions = await predict(group.map(textsOf)).catch(async (error: unknown) => {
      throw await placed(error, group, predict);
    });
    yield group.map((input, i) => ({ input, prediction: predictions[i]! }));
  }
}

function textsOf({ text, pair }: PredictionInput): TextInput {
  return pair === undefined ? text : [text, pair];
}

/** The error of a group, with the place of the first text that fails by itself. */
async function placed(error: unknown, group: readonly PredictionInput[], predict: Predict): Promise<unknown> {
  if (!(error instanceof BertuneError) || !OF_A_TEXT.includes(error.code)) return error;
  for (const input of group) {
    try {
      await predict([textsOf(input)]);
    } catch (cause) {
      if (!(cause instanceof BertuneError)) return cause;
      return new BertuneError(cause.code, `${input.place}: ${cause.message}`, { cause });
    }
  }
  return error;
}
