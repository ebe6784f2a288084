import { moduleOf } from '../architectures/rows.js';
import type { MethodPlan } from '../methods/index.js';
import { TimeSlice } from '../time-slice.js';
import type { Values } from './session.js';

/** Reads a parameter's values by its name. */
export type ReadParameter = (name: string) => Promise<Values>;

/**
 * The weights of a plan's LoRA modules with their updates added: W + scaling · B A (Hu et al., 2021, section 4.1), summed
 * in double precision and rounded once.
 *
 * @param plan of a model with LoRA
 * @param read gives W (out, in), A (r, in) and B (out, r) by their names
 * @yields the name and the merged values (out, in) of each module's weight, in the type of W
 */
export async function* mergedWeights(plan: MethodPlan, read: ReadParameter): AsyncGenerator<[string, Values]> {
  for (const { weight: row, rank, scaling } of plan.lora?.updates ?? []) {
    const module = moduleOf(row);
    const weight = await read(row.name);
    const a = await read(`${module}.lora_A.weight`);
    const b = await read(`${module}.lora_B.weight`);
    yield [row.name, await withUpdate(weight, a, b, rank, scaling)];
  }
}

/** W + scaling · B A. The event loop runs between rows. */
async function withUpdate(weight: Values, a: Values, b: Values, rank: number, scaling: number): Promise<Values> {
  const inputs = a.length / rank;
  const merged = weight.slice();
  const row = new Float64Array(inputs);
  const slice = new TimeSlice();
  for (let out = 0; out * inputs < weight.length; out++) {
    row.set(weight.subarray(out * inputs, (out + 1) * inputs));
    for (let r = 0; r < rank; r++) {
      const factor = scaling * b[out * rank + r]!;
      for (let i = 0; i < inputs; i++) row[i]! += factor * a[r * inputs + i]!;
    }
    merged.set(row, out * inputs);
    if (slice.isOver) await slice.next();
  }
  return merged;
}
