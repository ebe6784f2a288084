// How long a graph's node takes that does next to nothing: the gap from one kernel to the next.
import { loadOperations } from '../support/operations.js';
import { median } from '../support/statistics.js';

const REPETITIONS = 5;

/** Seconds a node, of a recording of many casts of one element; undefined where nothing is recorded. */
export async function nodeSeconds(where, nodes) {
  if (where.device === 'cpu') return undefined;
  const tensors = { inp: new Float32Array(1), out: new Float32Array(1) };
  const times = [];
  for (let i = 0; i < REPETITIONS; i++) {
    times.push((await loadOperations().runOperation('cast_to_real', where, tensors, {}, nodes)).seconds);
  }
  return median(times);
}
