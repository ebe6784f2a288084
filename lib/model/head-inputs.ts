import type { HeadActivation, ModelConfig } from '../architectures/architecture.js';
import { architectureOf } from '../architectures/index.js';
import type { ParameterRow } from '../architectures/rows.js';
import { methodPlan } from '../methods/index.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import { longestFirst, packBatches } from './batches.js';
import type { AnyClassifier } from './classifier.js';
import { forwardBatches } from './forward.js';
import { datasetOf, Session, type Values } from './session.js';

/*
 * The head's dense Linear, in front of the classifier, can be made to let embeddings through: where its activation is nearly straight.
 */

/**
 * Where each activation is nearly a straight line: embeddings, whose members are seldom beyond ±4, are put there by a factor and an
 * offset. Powers of two change no digit of theirs.
 */
const STRAIGHT: Readonly<Record<HeadActivation, { factor: number; offset: number }>> = {
  tanh: { factor: 0.125, offset: 0 },
  relu: { factor: 0.25, offset: 1 },
  gelu: { factor: 0.75, offset: 3 },
};

/** Values of the dense Linear's weight (C, C) or bias (C) with which it lets the first token's embedding through. */
export function passThrough({ shape }: ParameterRow, config: ModelConfig): Float32Array {
  const { factor, offset } = STRAIGHT[architectureOf(config).headActivation];
  return shape.length === 1 ? new Float32Array(shape[0]!).fill(offset) : diagonal(shape[0]!, factor);
}

/** factor · I (size, size) */
function diagonal(size: number, factor: number): Float32Array {
  return new Float32Array(size * size).map((_, i) => (i % (size + 1) === 0 ? factor : 0));
}

/**
 * What the classifier would see of texts behind a dense Linear that lets the embedding through, dropout off.
 *
 * @returns (N, C), in the order of the texts
 * @throws BertuneError ABORTED, DISPOSED, OUT_OF_MEMORY
 */
export async function headInputs(
  model: AnyClassifier,
  encoded: EncodedTexts,
  batchTokens: number,
  signal: AbortSignal | undefined,
): Promise<Values> {
  const { config, session: own } = model;
  const size = config.hiddenSize;
  // Its classifier is the identity, so that its logits are what the classifier sees.
  const session = await Session.create(config, methodPlan(null, config, size), model.where);
  try {
    for (const row of session.plan.parameters) {
      const { name, role, part } = row;
      if (role === 'head_dense') await session.write(name, passThrough(row, config));
      else if (role !== 'classifier') await session.write(name, await own.read(name));
      else await session.write(name, part === 'bias' ? new Float32Array(size) : diagonal(size, 1));
    }
    const batches = packBatches(encoded.offsets, longestFirst(encoded.offsets), batchTokens);
    return await session.withDataset(datasetOf(encoded), (handle, native) =>
      forwardBatches(native, handle, batches, signal),
    );
  } finally {
    await session.retire();
  }
}
