import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import { choice, one, run } from './pattern/native.js';
import { BEHAVIORS, occurrences, readFinder, split } from './pattern/splitter.js';
import type { Piece } from './piece.js';
import { byteLevelWords } from './pre-tokenizers/byte-level.js';
import { fixedLength } from './pre-tokenizers/fixed-length.js';
import { metaspace } from './pre-tokenizers/metaspace.js';
import { matching, type PreTokenizer, slices, splitting } from './pre-tokenizers/pre-tokenizer.js';
import { unicodeScripts } from './pre-tokenizers/unicode-scripts.js';
import { PUNCTUATION_CLASS, WORD_CLASS } from './unicode.js';

const SPACE = '\\p{White_Space}';
const PUNCTUATION = one(PUNCTUATION_CLASS);
const NUMERIC = one('[\\p{N}]');
const NOT_SPACE = run(`[^${SPACE}]`);
const BERT_WORDS = choice(PUNCTUATION, run(`[^${SPACE}${PUNCTUATION_CLASS}]`));
const WORDS = choice(run(WORD_CLASS), run(`[^${WORD_CLASS}${SPACE}]`));

/** Every kind of pre-tokenizer, by its name in tokenizer.json. A Sequence is taken apart before. */
const PRE_TOKENIZERS: Readonly<Record<string, (settings: Settings) => PreTokenizer>> = {
  BertPreTokenizer: () => matching(BERT_WORDS),
  ByteLevel: byteLevelWords,
  CharDelimiterSplit: (settings) => {
    const delimiter = settings.character('delimiter');
    return (piece) => slices(piece, split(piece.text.length, occurrences(piece.text, delimiter), 'Removed'));
  },
  Digits: (settings) => splitting(NUMERIC, settings.boolean('individual_digits') ? 'Isolated' : 'Contiguous'),
  FixedLength: fixedLength,
  Metaspace: metaspace,
  Punctuation: (settings) => splitting(PUNCTUATION, settings.oneOf('behavior', BEHAVIORS, 'Isolated')),
  Split: (settings) => {
    const find = readFinder(settings);
    const behavior = settings.oneOf('behavior', BEHAVIORS);
    const isInverted = settings.boolean('invert');
    return (piece) => slices(piece, split(piece.text.length, find(piece.text), behavior, isInverted));
  },
  UnicodeScripts: () => unicodeScripts,
  Whitespace: () => matching(WORDS),
  WhitespaceSplit: () => matching(NOT_SPACE),
};

/**
 * The pre-tokenizer of a tokenizer: its parts, each of which splits what the one before has made.
 *
 * @throws ComponentError for one of a kind or with a setting that is not known here
 */
export function readPreTokenizer(component: Component | null): PreTokenizer {
  const parts = flatten('pre_tokenizer', component, 'pretokenizers').map((part) => {
    const name = part.type!;
    if (Object.hasOwn(PRE_TOKENIZERS, name)) return PRE_TOKENIZERS[name]!(new Settings('pre_tokenizer', part));
    const known = Object.keys(PRE_TOKENIZERS).join(', ');
    throw new ComponentError(`pre_tokenizer ${name}`, `is not known here; use ${known}`);
  });
  return (piece) => parts.reduce<Iterable<Piece | undefined>>((pieces, part) => splitEach(pieces, part), [piece]);
}

function* splitEach(pieces: Iterable<Piece | undefined>, split: PreTokenizer): Generator<Piece | undefined> {
  for (const piece of pieces) {
    if (piece === undefined) yield undefined;
    else if (piece.text !== '') yield* split(piece);
  }
}
