import type { Random } from './random.js';

/* What happens to the bytes of a file on a bad disk, in a cut transfer, or in the hands of someone who means harm. */

const INTERESTING_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x0d, 0x22, 0x27, 0x2c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Lengths and counts that overflow where a sum or a product is taken on trust. */
const INTERESTING_WORDS = [
  0n,
  1n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 40n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const MUTATIONS: readonly [string, (bytes: Buffer, random: Random) => Buffer][] = [
  ['a bit flipped', (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.below(8)))],
  ['a byte replaced', (bytes, random) => changed(bytes, random, () => random.below(256))],
  ['a byte made special', (bytes, random) => changed(bytes, random, () => random.pick(INTERESTING_BYTES))],
  ['cut short', (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1))],
  ['a block taken out', (bytes, random) => spliced(bytes, random, Buffer.alloc(0))],
  ['a block put in', (bytes, random) => inserted(bytes, random, randomBytes(random, 1 + random.below(16)))],
  ['a block repeated', (bytes, random) => inserted(bytes, random, block(bytes, random))],
  ['a block moved over another', (bytes, random) => spliced(bytes, random, block(bytes, random))],
  ['a block of zeros', (bytes, random) => spliced(bytes, random, Buffer.alloc(random.below(64)))],
  ['a length replaced', (bytes, random) => overwritten(bytes, random, word(random))],
];

/**
 * Damages bytes once to three times.
 *
 * @returns the new bytes and what was done, in words
 */
export function damage(bytes: Uint8Array, random: Random): { bytes: Buffer; what: string } {
  let result = Buffer.from(bytes);
  const done: string[] = [];
  for (let times = 1 + random.below(3); times > 0; times--) {
    const [what, mutate] = random.pick(MUTATIONS);
    result = mutate(result, random) as Buffer<ArrayBuffer>;
    done.push(what);
  }
  return { bytes: result, what: done.join(', ') };
}

function changed(bytes: Buffer, random: Random, change: (byte: number) => number): Buffer {
  if (bytes.length === 0) return bytes;
  const result = Buffer.from(bytes);
  const at = random.below(bytes.length);
  result[at] = change(result[at]!);
  return result;
}

function inserted(bytes: Buffer, random: Random, more: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
}

function spliced(bytes: Buffer, random: Random, more: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random.below(64));
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(end)]);
}

function overwritten(bytes: Buffer, random: Random, more: Buffer): Buffer {
  if (bytes.length < more.length) return bytes;
  const result = Buffer.from(bytes);
  more.copy(result, random.below(bytes.length - more.length + 1));
  return result;
}

function block(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  return bytes.subarray(at, at + 1 + random.below(64));
}

function randomBytes(random: Random, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => random.below(256)));
}

function word(random: Random): Buffer {
  const result = Buffer.alloc(8);
  result.writeBigUInt64LE(random.pick(INTERESTING_WORDS));
  return result.subarray(0, random.pick([2, 4, 8]));
}
