import type { HeadKind } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { flag } from '../options/table.js';

/* What the methods share whose results are adapters. */

export const TRAIN_HEAD = flag({ words: 'leave the classifier as it is', default: true });

export const headWords = (trains: boolean) => (trains ? 'head trained' : 'head frozen');

/** An adapter's head is stored as PEFT knows it, which has no probe. */
export function expectPlainHead(current: HeadKind): HeadKind {
  if (current === 'classifier') return current;
  throw new BertuneError(
    'INVALID_OPTION',
    "The model's head is a probe, which prefix and lora cannot train; " +
      `use ${option('method', 'linear')} or ${option('method', 'full')}`,
  );
}
