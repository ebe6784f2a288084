// Makes the arrays of a trial from its table row, and counts what the operation has to move.
//
// An array is a line `<kind> <shape> <use> [as <shape>] [in <buffer> at <offset>]`:
//   kind    real: compute scalar · acc: statistics and gradients, 4 bytes · master: a trainable weight · int
//   shape   factors with commas, each [number]letter[/number][+number]: `T,3C` is T × 3·C elements
//   use     read, write, update (both) or given (not counted); `as` says how much of the array, where it is not all
//   in, at  a part of a buffer that several arrays share, from an element on
// Letters are backend.h's. Arrays are as large as the padded batch; what is counted are the rows that are there.
import { randomNumbers } from '../support/statistics.js';

const LINE = /^(real|acc|master|int) (\S+) (read|write|update|given)(?: as (\S+))?(?: in (\w+) at (\S+))?$/;
const FACTOR = /^(\d+)?([A-Za-z]+)?(?:\/(\d+))?(?:\+(\d+))?$/;

/** Adapters in a batch that mixes them. */
export const ADAPTERS_IN_BATCH = 8;

/** How often an array passes. */
const USES = { read: 1, write: 1, update: 2, given: 0 };

/** The value of a shape, e.g. '2,L,C'. Numbers stand for themselves. */
export function evaluate(shape, letters) {
  if (typeof shape === 'number') return shape;
  return shape.split(',').reduce((product, factor) => {
    const match = FACTOR.exec(factor);
    const [, times, letter, over, plus] = match ?? [];
    if (!match || (letter !== undefined && letters[letter] === undefined))
      throw new Error(`No size ${factor} in ${shape}`);
    const value = (Number(times ?? 1) * (letter ? letters[letter] : 1)) / Number(over ?? 1);
    return product * (Math.floor(value) + Number(plus ?? 0));
  }, 1);
}

/** Bytes of an element: of bf16's weights, 2 of the weight and 2 of its master copy. */
function elementBytes(kind, precision) {
  if (kind !== 'real') return 4;
  return precision === 'bf16' ? 2 : 4;
}

const PATTERN = (() => {
  const next = randomNumbers(7);
  // Not a power of two, so that rows of a matrix differ.
  return Float32Array.from({ length: 99991 }, () => (next() + next() + next() - 1.5) * 0.2);
})();

/** Values that an array needs to be harmless: norms, and what AdamW divides by. */
const CONSTANTS = { gamma: 1, rstd: 1, mean: 0, lse: 4, loss: 1, v: 1e-4, losses: 0, norms: 0 };

function floats(name, count) {
  const array = new Float32Array(count);
  const constant = CONSTANTS[name.split('.')[0]];
  if (constant !== undefined) return array.fill(constant);
  for (let at = 0; at < count; at += PATTERN.length)
    array.set(PATTERN.subarray(0, Math.min(PATTERN.length, count - at)), at);
  return array;
}

function starts(lengths) {
  const offsets = new Int32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i] + length;
  return offsets;
}

/** Index arrays by name: what is in them matters. */
function integers(name, count, use, { letters, batch }) {
  if (use === 'write') return new Int32Array(count);
  const next = randomNumbers(11);
  const below = (end) => Int32Array.from({ length: count }, () => Math.floor(next() * end));
  if (name === 'cu_seqlens' || name === 'dataset_offsets') return starts(batch.lengths);
  // Texts of one adapter stand together; slot 0 is the model alone.
  if (name === 'slots')
    return Int32Array.from({ length: count }, (_, i) => 1 + Math.floor((i * ADAPTERS_IN_BATCH) / count));
  if (name === 'order') return Int32Array.from(batch.lengths, (_, i) => i);
  if (name === 'ids' || name === 'dataset_ids') return below(letters.V);
  if (name === 'labels' || name === 'dataset_labels' || name === 'predictions') return below(letters.NC);
  return new Int32Array(count);
}

/**
 * The arguments of a trial.
 *
 * @param trial a row of the table
 * @param letters sizes: of the model, and `live` and `padded` ones of the batch
 * @returns {{ tensors: object, sizes: object, bytes: number, flops: number }}
 */
export function makeArguments(trial, { model, batch, precision }) {
  const live = {
    ...model,
    ...batch,
    ...pairs(batch, trial.sizes?.P === undefined ? 0 : evaluate(trial.sizes.P, model)),
  };
  const padded = { ...live, ...batch?.padded };
  const tensors = {};
  const buffers = new Map();
  let bytes = trial.bytes ? evaluate(trial.bytes, live) : 0;
  for (const [name, line] of Object.entries(trial.arrays)) {
    const match = LINE.exec(line);
    if (!match) throw new Error(`The trial ${trial.name} has no array in '${line}'`);
    const [, kind, shape, use, part, buffer, offset] = match;
    const count = evaluate(shape, padded);
    if (kind === 'int') {
      tensors[name] = integers(name, count, use, { letters: model, batch });
    } else {
      const whole = buffers.get(buffer) ?? floats(name, count);
      if (buffer !== undefined) buffers.set(buffer, whole);
      tensors[name] = offset === undefined ? whole : whole.subarray(evaluate(offset, padded));
    }
    bytes += evaluate(part ?? shape, live) * elementBytes(kind, precision) * USES[use];
  }
  const sizes = Object.fromEntries(
    Object.entries(trial.sizes ?? {}).map(([name, size]) => [name, evaluate(size, padded)]),
  );
  if (trial.arrays.cu_seqlens || trial.arrays.dataset_offsets) {
    sizes.padding_tokens = batch.padded.T - batch.T;
    sizes.padding_sequences = batch.padded.B - batch.B;
  }
  return { tensors, sizes, bytes, flops: trial.flops ? evaluate(trial.flops, live) : 0 };
}

/** Queries × keys of attention over a batch, and keys alone. */
function pairs(batch, P) {
  if (!batch) return {};
  let S = 0;
  let K = 0;
  for (const length of batch.lengths) {
    S += length * (length + P);
    K += length + P;
  }
  return { S, K };
}
