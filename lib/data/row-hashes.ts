import { hash } from 'node:crypto';
import { PIECES, type Slices } from '../time-slice.js';
import { foldedKey } from './same-texts.js';
import type { Split } from './types.js';

/** Bytes of a hash: of a million rows, one in three hundred million others has the hash of one of them. */
const BYTES = 6;

/** A number for the text (or pair) of each row (N), the first 48 bits of its SHA-256; the same but for case and spaces. */
export function* rowHashes(split: Split): Slices<Float64Array> {
  const hashes = new Float64Array(split.texts.length);
  for (let row = 0; row < hashes.length; row++) {
    hashes[row] = hash('sha256', foldedKey(split, row), 'buffer').readUIntBE(0, BYTES);
    if (row % PIECES === 0) yield;
  }
  return hashes;
}

/** Hashes as base64, most significant byte first. */
export function packHashes(hashes: Float64Array): string {
  const bytes = Buffer.alloc(BYTES * hashes.length);
  for (const [i, hashed] of hashes.entries()) bytes.writeUIntBE(hashed, BYTES * i, BYTES);
  return bytes.toString('base64');
}

/** What packHashes packed. */
export function unpackHashes(packed: string): Set<number> {
  const bytes = Buffer.from(packed, 'base64');
  const hashes = new Set<number>();
  for (let at = 0; at + BYTES <= bytes.length; at += BYTES) hashes.add(bytes.readUIntBE(at, BYTES));
  return hashes;
}
