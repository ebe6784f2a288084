import type { Split } from '../data/types.js';
import { formatShare } from '../format.js';
import { EMBEDDED_MODEL, embeddedPath } from '../hub/embedded.js';
import { Tokenizer } from '../tokenizer/index.js';

/*
 * What the embedded model cannot be good at, said before it is trained for minutes. Its card has the whole story:
 * assets/models/bert-mini/README.md.
 */

/** The longest sequence in its pretraining. */
const TRAINED_TOKENS = 64;
/** So many of its 512 positions are read, enough to see that a text is long. */
const READ_TOKENS = 256;
/** How many texts are looked at, evenly spread. */
const SAMPLE = 500;
/** Shares from which on they are worth a note: of longer texts, of letters that English does not use, of unknown tokens. */
const LONG_TEXTS = 0.2;
const OTHER_LETTERS = 0.01;
const UNKNOWN_TOKENS = 0.05;

/**
 * Notes on training texts that the embedded model was not made for; none for another model.
 *
 * @param model as the caller names it
 * @throws BertuneError ABORTED
 */
export async function embeddedModelNotes(model: string, train: Split, signal?: AbortSignal): Promise<string[]> {
  const directory = embeddedPath('model', model);
  // A folder of that name goes before the embedded one.
  if (model !== EMBEDDED_MODEL || directory === model) return [];
  const tokenizer = await Tokenizer.load(directory);
  const sample = Math.min(train.texts.length, SAMPLE);
  const chosen = Array.from({ length: sample }, (_, i) => train.texts[Math.floor((i * train.texts.length) / sample)]!);
  const { ids, offsets } = await tokenizer.encodeTexts(chosen, READ_TOKENS, signal ? { signal } : {});
  const [unknown] = tokenizer.encode('[UNK]', READ_TOKENS);

  const long = chosen.filter((_, i) => offsets[i + 1]! - offsets[i]! > TRAINED_TOKENS).length;
  const letters = chosen.join('').match(/\p{L}/gu) ?? [];
  const others = letters.filter((letter) => !/[a-z]/i.test(letter)).length;
  const isForeign =
    others > OTHER_LETTERS * letters.length || ids.filter((id) => id === unknown).length > UNKNOWN_TOKENS * ids.length;
  return [
    ...(long < LONG_TEXTS * sample
      ? []
      : [
          `${formatShare(long, sample)} of the training texts are longer than ${TRAINED_TOKENS} tokens, the most that ${model} ` +
            'has seen in its own training: google-bert/bert-base-uncased, or another model that was trained on 512, will do better.',
        ]),
    ...(isForeign
      ? [
          `The training texts do not look English, and ${model} knows no other language: choose a model that knows them, such as ` +
            'google-bert/bert-base-multilingual-cased.',
        ]
      : []),
  ];
}
