import { hash } from 'node:crypto';
import { PIECES, type Slices } from '../time-slice.js';
import type { Split } from './types.js';

/** What two rows of the same text, or pair of texts, have in common. */
export function textKey({ texts, pairs }: Pick<Split, 'texts' | 'pairs'>, row: number): string {
  return pairs === undefined ? texts[row]! : `${texts[row]}\0${pairs[row]}`;
}

/** Rows by their text. */
export interface TextGroups {
  /** The group of each row (N): groups are counted from 0, in the order of their first rows. */
  readonly group: Int32Array;
  readonly count: number;
}

/** Which rows have the same text, or pair of texts, but for case and spaces. */
export function* groupByText(split: Split): Slices<TextGroups> {
  const rows = split.texts.length;
  const group = new Int32Array(rows);
  const known = new Map<string, number>();
  for (let row = 0; row < rows; row++) {
    const key = foldedKey(split, row);
    let index = known.get(key);
    if (index === undefined) {
      index = known.size;
      known.set(key, index);
    }
    group[row] = index;
    if (row % PIECES === 0) yield;
  }
  return { group, count: known.size };
}

/** What two rows have in common whose texts differ in case and spaces alone. */
export function foldedKey({ texts, pairs }: Pick<Split, 'texts' | 'pairs'>, row: number): string {
  return pairs === undefined ? foldText(texts[row]!) : `${foldText(texts[row]!)}\0${foldText(pairs[row]!)}`;
}

/** A text without what differs between copies by accident: case, outer spaces, runs of spaces. */
export function foldText(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase();
}

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
