import { CANONICAL_RUNS, COMBINING, COMPATIBLE_RUNS } from '../unicode.js';
import { local, type Normalizer } from './normalizer.js';

/** A normal form of Unicode 9. */
export function unicodeForm(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer {
  const runs = form.startsWith('NFK') ? COMPATIBLE_RUNS : CANONICAL_RUNS;
  return local((text) => (isAscii(text) ? text : text.replace(runs, (run) => run.normalize(form))));
}

/** Removes combining marks. Those that are one character with a letter stay. */
export const stripAccents: Normalizer = local((text) => text.replace(COMBINING, ''));

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}
