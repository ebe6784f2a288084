import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import { BEHAVIORS, occurrences, readFinder, split } from './pattern/splitter.js';
import type { Piece } from './piece.js';
import { byteLevelWords } from './pre-tokenizers/byte-level.js';
import { fixedLength } from './pre-tokenizers/fixed-length.js';
import { metaspace } from './pre-tokenizers/metaspace.js';
import { matching, type PreTokenizer, slices, splitting } from './pre-tokenizers/pre-tokenizer.js';
import { PUNCTUATION_CLASS, WORD_CLASS, WORDS } from './unicode.js';

const PUNCTUATION = new RegExp(PUNCTUATION_CLASS, 'gv');
const NUMERIC = /\p{N}/gu;
const NOT_SPACE = /\P{White_Space}+/gu;
const WORD_RUNS = new RegExp(`${WORD_CLASS}+|[^${WORD_CLASS}\\p{White_Space}]+`, 'gv');

/** Every kind of pre-tokenizer, by its name in tokenizer.json. A Sequence is taken apart before. */
const PRE_TOKENIZERS: Readonly<Record<string, (settings: Settings) => PreTokenizer>> = {
  BertPreTokenizer: () => matching(WORDS),
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
  Whitespace: () => matching(WORD_RUNS),
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
