import type { Settings } from '../component.js';
import { ACCENTS, CONTROLS, DECOMPOSED, IDEOGRAPHS } from '../unicode.js';
import { local, type Normalizer } from './normalizer.js';

/** ASCII without control characters: only its case can change. */
const PLAIN = /^[ -~]*$/;

const SPACES = /\p{White_Space}/gu;

/** BERT's normaliser: see `bertConversion`. */
export function bert(settings: Settings): Normalizer {
  return local(bertConversion(settings));
}

/**
 * What BERT's normaliser makes of a text, in the order of the library: clean, space ideographs, strip accents,
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
export function lowerCase(text: string): string {
  return text.replace(/Σ/g, 'σ').toLowerCase();
}
