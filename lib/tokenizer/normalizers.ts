import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import { readFinder } from './pattern/splitter.js';
import { checkGrowth, type Normalizer, prepend } from './piece.js';
import { precompiled } from './precompiled.js';
import { STEP } from './steps.js';
import {
  ACCENTS,
  CANONICAL_RUNS,
  COMBINING,
  COMPATIBLE_RUNS,
  CONTROLS,
  cutBefore,
  DECOMPOSED,
  IDEOGRAPHS,
  isSpace,
} from './unicode.js';

/** Every kind of normalizer, by its name in tokenizer.json. A Sequence is taken apart before. */
const NORMALIZERS: Readonly<Record<string, (settings: Settings) => Normalizer>> = {
  BertNormalizer: bert,
  ByteLevel: () => local(byteLevel),
  Lowercase: () => local(lowerCase),
  NFC: () => unicodeForm('NFC'),
  NFD: () => unicodeForm('NFD'),
  NFKC: () => unicodeForm('NFKC'),
  NFKD: () => unicodeForm('NFKD'),
  Nmt: () => nmt,
  Precompiled: precompiled,
  Prepend: prependText,
  Replace: replace,
  Strip: strip,
  StripAccents: () => stripAccents,
};

/**
 * The normalizer of a tokenizer: its parts, one after the other.
 *
 * @throws ComponentError for one of a kind or with a setting that is not known here
 */
export function readNormalizer(component: Component | null): Normalizer {
  const parts = flatten('normalizer', component, 'normalizers').map((part) => {
    const name = part.type!;
    if (!Object.hasOwn(NORMALIZERS, name)) {
      throw new ComponentError(`normalizer ${name}`, `is not supported; use ${Object.keys(NORMALIZERS).join(', ')}`);
    }
    return { name, normalize: NORMALIZERS[name]!(new Settings('normalizer', part)) };
  });
  return function* (piece) {
    for (const { name, normalize } of parts) {
      yield* normalize(piece);
      checkGrowth(name, piece.text.length, piece.limit);
    }
  };
}

/**
 * A normalizer whose result for a text is that for its parts, wherever `cutBefore` cuts it.
 *
 * @param convert what it makes of a part
 */
function local(convert: (part: string) => string): Normalizer {
  return function* (piece) {
    const { text } = piece;
    if (piece.leading > 0) piece.leading = convert(text.slice(0, piece.leading)).length;
    if (text.length <= STEP) {
      piece.text = convert(text);
      return;
    }
    const parts: string[] = [];
    for (let at = 0; at < text.length; ) {
      const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
      parts.push(convert(text.slice(at, next)));
      at = next;
      yield;
    }
    piece.text = parts.join('');
  };
}

/** ASCII without control characters: only its case can change. */
const PLAIN = /^[ -~]*$/;

const SPACES = /\p{White_Space}/gu;

/** BERT's normalizer: see `bertConversion`. */
function bert(settings: Settings): Normalizer {
  return local(bertConversion(settings));
}

/**
 * What BERT's normalizer makes of a text, in the order of the library: clean, space ideographs, strip accents,
 * lower-case.
 */
export function bertConversion(settings: Settings): (text: string) => string {
  const clean = settings.boolean('clean_text');
  const spaced = settings.boolean('handle_chinese_chars');
  const lowercase = settings.boolean('lowercase');
  const stripped = settings.boolean('strip_accents', lowercase);
  return (text) => {
    if (PLAIN.test(text)) return lowercase ? text.toLowerCase() : text;
    let result = text;
    if (clean) result = result.replace(CONTROLS, '').replace(SPACES, ' ');
    if (spaced) result = result.replace(IDEOGRAPHS, ' $& ');
    if (stripped) result = result.replace(DECOMPOSED, (run) => run.normalize('NFD')).replace(ACCENTS, '');
    return lowercase ? lowerCase(result) : result;
  };
}

/** Lower-cases character by character, so that a sigma at the end of a word is as any other. */
function lowerCase(text: string): string {
  return text.replace(/Σ/g, 'σ').toLowerCase();
}

/** A normal form of Unicode 9. */
function unicodeForm(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer {
  const runs = form.startsWith('NFK') ? COMPATIBLE_RUNS : CANONICAL_RUNS;
  return local((text) => (isAscii(text) ? text : text.replace(runs, (run) => run.normalize(form))));
}

/** Removes combining marks. Those that are one character with a letter stay. */
const stripAccents: Normalizer = local((text) => text.replace(COMBINING, ''));

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}

/** The cleaning that SentencePiece does for translation: control characters go, white space of all kinds becomes a space. */
const nmt: Normalizer = local((text) => text.replace(NMT_REMOVED, '').replace(NMT_SPACES, ' '));

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are the characters that are meant
const NMT_REMOVED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

/** A normalizer without Nmt, which transformers.js does not know: two of Replace do the same. */
export function withoutNmt(component: Component | null): Component | null {
  if (component?.type === 'Nmt') {
    const replacement = ({ source: Regex }: RegExp, content: string) => ({
      type: 'Replace',
      pattern: { Regex },
      content,
    });
    return { type: 'Sequence', normalizers: [replacement(NMT_REMOVED, ''), replacement(NMT_SPACES, ' ')] };
  }
  if (component?.type !== 'Sequence') return component;
  return { ...component, normalizers: (component.normalizers as Component[]).map(withoutNmt) };
}
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: these are the characters that are meant

/** Removes white space at the start or the end of a piece. */
function strip(settings: Settings): Normalizer {
  const left = settings.boolean('strip_left');
  const right = settings.boolean('strip_right');
  // biome-ignore lint/correctness/useYield: nothing here takes long
  return function* (piece) {
    const { text, leading } = piece;
    let start = 0;
    let end = text.length;
    if (left) while (start < end && isSpace(text.charCodeAt(start))) start++;
    if (right) while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
    piece.text = text.slice(start, end);
    piece.leading = Math.max(0, Math.min(leading, end) - start);
  };
}

/** Puts a text in front of each piece that has some. */
function prependText(settings: Settings): Normalizer {
  const text = settings.string('prepend');
  // biome-ignore lint/correctness/useYield: nothing here takes long
  return function* (piece) {
    checkGrowth('Prepend', piece.text.length + text.length, piece.limit);
    prepend(piece, text);
  };
}

/** Puts a text in the place of each match of a pattern. */
function replace(settings: Settings): Normalizer {
  const find = readFinder(settings);
  const content = settings.string('content');
  return function* (piece) {
    const { text, leading, limit } = piece;
    if (text === '') return;
    // Joined now and then: to join millions of parts at once takes too long.
    const joined: string[] = [];
    let parts: string[] = [];
    let length = 0;
    let from = 0;
    const add = (part: string) => {
      parts.push(part);
      length += part.length;
      checkGrowth('Replace', length, limit);
    };
    // Where the result stops to stand for the very first character.
    let led = 0;
    const keep = (start: number, end: number) => {
      if (start < leading) led = length + Math.min(end, leading) - start;
      add(text.slice(start, end));
    };
    for (const match of find(text)) {
      if (match === undefined) {
        yield;
        continue;
      }
      const [start, end] = match;
      keep(from, start);
      add(content);
      // What is put in stands for the last character in its place, or for the one in front where there is none.
      if (leading > 0 && end <= leading) led = length;
      if (parts.length >= 1024) {
        joined.push(parts.join(''));
        parts = [];
        yield;
      }
      from = end;
    }
    keep(from, text.length);
    piece.leading = led;
    piece.text = joined.join('') + parts.join('');
  };
}

/**
 * The characters that GPT-2 writes for the bytes of UTF-8: themselves where they can be seen, others from U+0100 on
 * elsewhere.
 */
const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const isSeen = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  if (isSeen) return String.fromCharCode(byte);
  const before = byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 0x21 : 0x43;
  return String.fromCharCode(0x100 + before);
});

/** Each byte of a text in UTF-8 as such a character. */
export function byteLevel(text: string): string {
  return text.replace(/[\0- \x7f-\u{10ffff}]/gu, (character) => {
    return Array.from(Buffer.from(character), (byte) => BYTE_CHARACTERS[byte]!).join('');
  });
}
