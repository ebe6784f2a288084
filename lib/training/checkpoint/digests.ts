import { createHash, type Hash } from 'node:crypto';
import type { MethodPlan } from '../../methods/index.js';
import type { Values } from '../../model/session.js';
import type { NativeSession } from '../../native/index.js';
import { TimeSlice } from '../../time-slice.js';
import type { EncodedTexts } from '../../tokenizer/index.js';

/* What a run must find unchanged when it is resumed, as SHA-256 in hexadecimal. */

/** Bytes that are hashed at a time: about a millisecond's work. */
const BLOCK = 2 ** 20;

/** Of examples as the model sees them: token ids, where each text begins, token types, labels. */
export async function dataDigest(
  { ids, offsets, typeIds }: EncodedTexts,
  labels: Int32Array | Float32Array,
): Promise<string> {
  const hash = createHash('sha256');
  for (const array of [ids, offsets, typeIds, labels]) {
    hash.update(`${array?.length ?? 0};`);
    if (array) await update(hash, array);
  }
  return hash.digest('hex');
}

/** Of the parameters that do not train, with their names. */
export async function frozenDigest(native: NativeSession, plan: MethodPlan): Promise<string> {
  const hash = createHash('sha256');
  for (const { name, trainable } of plan.parameters) {
    if (trainable) continue;
    hash.update(`${name};`);
    await update(hash, await native.read(name, 'value'));
  }
  return hash.digest('hex');
}

async function update(hash: Hash, array: Values | Int32Array): Promise<void> {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const slice = new TimeSlice();
  for (let start = 0; start < bytes.length; start += BLOCK) {
    hash.update(bytes.subarray(start, start + BLOCK));
    if (slice.isOver) await slice.next();
  }
}
