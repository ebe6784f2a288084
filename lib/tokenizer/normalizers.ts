import { byteLevel } from './bytes.js';
import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import { bert, lowerCase } from './normalizers/bert.js';
import { nmt } from './normalizers/nmt.js';
import { checkGrowth, local, type Normalizer } from './normalizers/normalizer.js';
import { precompiled } from './normalizers/precompiled.js';
import { prependText } from './normalizers/prepend.js';
import { replace } from './normalizers/replace.js';
import { strip } from './normalizers/strip.js';
import { stripAccents, unicodeForm } from './normalizers/unicode-forms.js';

/** Every kind of normaliser, by its name in tokenizer.json. A Sequence is taken apart before. */
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
 * The normaliser of a tokenizer: its parts, one after the other.
 *
 * @throws ComponentError for one of a kind or with a setting that is not known here
 */
export function readNormalizer(component: Component | null): Normalizer {
  const parts = flatten('normalizer', component, 'normalizers').map((part) => {
    const name = part.type!;
    if (!Object.hasOwn(NORMALIZERS, name)) {
      throw new ComponentError(`normalizer ${name}`, `is not known here; use ${Object.keys(NORMALIZERS).join(', ')}`);
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
