import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import { byteLevel } from './normalizers.js';
import { choice, letters, NativePattern, one, optional, run, sequence } from './pattern/native.js';
import type { Node } from './pattern/parse.js';
import { BEHAVIORS, type Behavior, occurrences, readFinder, split } from './pattern/splitter.js';
import { type Piece, type PreTokenizer, prepend, slice } from './piece.js';
import { STEP } from './steps.js';
import { cutBefore, PUNCTUATION_CLASS, scriptOf, UNTIL_16, WORD_CLASS } from './unicode.js';

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
    throw new ComponentError(`pre_tokenizer ${name}`, `is not supported; use ${known}`);
  });
  return (piece) => parts.reduce<Iterable<Piece | undefined>>((pieces, part) => splitEach(pieces, part), [piece]);
}

function* splitEach(pieces: Iterable<Piece | undefined>, split: PreTokenizer): Generator<Piece | undefined> {
  for (const piece of pieces) {
    if (piece === undefined) yield undefined;
    else if (piece.text !== '') yield* split(piece);
  }
}

/** The parts of a piece, from where they start and end. */
function* slices(
  piece: Piece,
  ranges: Iterable<readonly [start: number, end: number] | undefined>,
): Generator<Piece | undefined> {
  for (const range of ranges) {
    if (range === undefined) yield undefined;
    else yield range[0] === 0 && range[1] === piece.text.length ? piece : slice(piece, range[0], range[1]);
  }
}

/** Keeps what a pattern matches, and nothing else. */
function matching(node: Node): PreTokenizer {
  const pattern = new NativePattern(node);
  return (piece) => slices(piece, pattern.find(piece.text));
}

/** Splits at what a pattern matches. */
function splitting(node: Node, behavior: Behavior): PreTokenizer {
  const pattern = new NativePattern(node);
  return (piece) => slices(piece, split(piece.text.length, pattern.find(piece.text), behavior));
}

const LETTER = `[\\p{L}${UNTIL_16}]`;
const NUMBER = `[\\p{N}${UNTIL_16}]`;

/**
 * GPT-2's words: '(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+. Only the alternative for
 * white space in front of something gives anything back, and that one character.
 */
const BYTE_LEVEL_WORDS = new NativePattern(
  choice(
    ...["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map(letters),
    sequence(optional('[ ]'), run(LETTER)),
    sequence(optional('[ ]'), run(NUMBER)),
    sequence(optional('[ ]'), run(`[^${SPACE}${LETTER}${NUMBER}]`)),
    sequence(run(`[${SPACE}]`), { kind: 'look', behind: false, negative: true, options: [[`[^${SPACE}]`]] }),
    run(`[${SPACE}]`),
  ),
);

/** Splits into GPT-2's words, where that is wanted, and writes their bytes as characters. */
function byteLevelWords(settings: Settings): PreTokenizer {
  const addsSpace = settings.boolean('add_prefix_space');
  const splits = settings.boolean('use_regex', true);
  return function* (piece) {
    if (addsSpace && !piece.text.startsWith(' ')) prepend(piece, ' ');
    if (!splits) {
      yield* inByteLevel(piece);
      return;
    }
    for (const word of slices(piece, split(piece.text.length, BYTE_LEVEL_WORDS.find(piece.text), 'Isolated'))) {
      if (word === undefined) yield undefined;
      else yield* inByteLevel(word);
    }
  };
}

function* inByteLevel(piece: Piece): Generator<Piece | undefined> {
  const { text } = piece;
  if (piece.leading > 0) piece.leading = byteLevel(text.slice(0, piece.leading)).length;
  const parts: string[] = [];
  let length = 0;
  for (let at = 0; at < text.length; ) {
    const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
    const part = byteLevel(text.slice(at, next));
    parts.push(part);
    length += part.length;
    if (length > piece.limit) {
      throw new ComponentError('pre_tokenizer ByteLevel', `makes a text longer than ${piece.limit}; use one of them`);
    }
    at = next;
    if (at < text.length) yield undefined;
  }
  yield { ...piece, text: parts.length === 1 ? parts[0]! : parts.join('') };
}

/** Splits into parts of so many characters. */
function fixedLength(settings: Settings): PreTokenizer {
  const length = settings.get('length') ?? 5;
  if (!Number.isSafeInteger(length) || (length as number) < 1)
    throw settings.error('length must be a positive integer');
  return (piece) => slices(piece, lengthRanges(piece.text, length as number));
}

function* lengthRanges(text: string, length: number): Generator<readonly [start: number, end: number] | undefined> {
  let start = 0;
  let count = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) {
    if (count === length) {
      yield [start, at];
      start = at;
      count = 0;
    }
    count++;
    if (count % STEP === 0) yield undefined;
  }
  if (start < text.length) yield [start, text.length];
}

/** Writes spaces as a character that can be seen, puts one in front where that is wanted, and splits in front of each. */
function metaspace(settings: Settings): PreTokenizer {
  const sign = settings.character('replacement');
  let scheme = settings.oneOf('prepend_scheme', ['always', 'first', 'never'], 'always');
  if (settings.get('add_prefix_space') !== undefined && !settings.boolean('add_prefix_space')) {
    if (scheme !== 'never') throw settings.error('add_prefix_space is false; set prepend_scheme to "never" as well');
    scheme = 'never';
  }
  const splits = settings.boolean('split', true);
  return function* (piece) {
    yield* writeSigns(piece, sign);
    const isWanted = scheme === 'always' || (scheme === 'first' && piece.leading > 0);
    if (isWanted && !piece.text.startsWith(sign)) prepend(piece, sign);
    if (splits) yield* slices(piece, split(piece.text.length, occurrences(piece.text, sign), 'MergedWithNext'));
    else yield piece;
  };
}

function* writeSigns(piece: Piece, sign: string): Generator<undefined> {
  const { text } = piece;
  if (piece.leading > 0) piece.leading = withSigns(text.slice(0, piece.leading), sign).length;
  if (text.length <= STEP) {
    piece.text = withSigns(text, sign);
    return;
  }
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += STEP) {
    parts.push(withSigns(text.slice(at, at + STEP), sign));
    yield;
  }
  piece.text = parts.join('');
}

/** By a regular expression: replaceAll makes a rope of parts, which costs a pause to collect where there are millions. */
function withSigns(text: string, sign: string): string {
  return text.replace(/ /g, sign === '$' ? '$$' : sign);
}

/** Splits where the script changes. A space, and what has no script, goes with what is in front of it. */
const unicodeScripts: PreTokenizer = (piece) => slices(piece, scriptRanges(piece));

function* scriptRanges({ text }: Piece): Generator<readonly [start: number, end: number] | undefined> {
  const known = new Map<string, string | undefined>();
  let start: number | undefined;
  let last: string | undefined;
  let steps = 0;
  for (let at = 0; at < text.length; ) {
    if (++steps % STEP === 0) yield undefined;
    const character = String.fromCodePoint(text.codePointAt(at)!);
    if (!known.has(character)) known.set(character, scriptOf(character));
    const script = known.get(character);
    if (script !== undefined && script !== last) {
      if (start !== undefined) yield [start, at];
      start = at;
      last = script;
    }
    at += character.length;
  }
  // What is in front of the first script is left out, as in the library.
  if (start !== undefined) yield [start, text.length];
}
