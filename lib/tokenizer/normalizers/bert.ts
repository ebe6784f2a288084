import type { Settings } from '../component.js';
import { ACCENTS, CONTROLS, DECOMPOSED, IDEOGRAPHS } from '../unicode.js';
import { local, type Normalizer } from './normalizer.js';

/** ASCII without control characters: only its case can change. */
const PLAIN = /^[\t\n\r -~]*$/;

/** White space but that which is written as it is, or is none to BERT's cleaning. */
const SPACES = /[\t\n\r\p{White_Space}]/gu;

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
    let result = text;
    if (!PLAIN.test(text)) {
      if (clean) result = result.replace(CONTROLS, '').replace(SPACES, ' ');
      if (spaced) result = result.replace(IDEOGRAPHS, ' $& ');
      if (stripped) result = result.replace(DECOMPOSED, (run) => run.normalize('NFD')).replace(ACCENTS, '');
      if (lowercase) result = lowerCase(result);
    } else {
      if (clean) result = result.replace(/[\t\n\r]/g, ' ');
      if (lowercase) result = result.toLowerCase();
    }
    return result;
  };
}

/** Lower-cases character by character, so that a sigma at the end of a word is as any other. */
export function lowerCase(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase();
}
