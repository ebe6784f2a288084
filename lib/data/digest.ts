import { createHash, type Hash } from 'node:crypto';
import { PIECES, type Slices } from '../time-slice.js';
import type { Split } from './types.js';

/**
 * The rows of splits as SHA-256 in hexadecimal: of each split's name, and of each row's label and texts, in order. Files
 * of other formats with the same rows have the same digest.
 */
export function* rowsDigest(splits: readonly Split[]): Slices<string> {
  const hash = createHash('sha256');
  for (const split of splits) {
    hash.update(`${JSON.stringify(split.name)}\n`);
    yield* addRows(hash, split);
  }
  return hash.digest('hex');
}

function* addRows(hash: Hash, { texts, pairs, labels, labelNames }: Split): Slices<void> {
  let block = '';
  for (let row = 0; row < texts.length; row++) {
    block += `${JSON.stringify([labelNames[labels[row]!], texts[row], ...(pairs ? [pairs[row]] : [])])}\n`;
    if (row % PIECES !== 0) continue;
    hash.update(block);
    block = '';
    yield;
  }
  hash.update(block);
}
