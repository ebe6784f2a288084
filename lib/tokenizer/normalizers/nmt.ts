import { local, type Normalizer } from './normalizer.js';

/** The cleaning that SentencePiece does for translation: control characters go, white space of all kinds becomes a space. */
export const nmt: Normalizer = local((text) => text.replace(REMOVED, '').replace(SPACES, ' '));

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are the characters that are meant
const REMOVED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: these are the characters that are meant
