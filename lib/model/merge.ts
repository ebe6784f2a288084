import { moduleOf } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { type MethodPlan, methodPlan } from '../methods/index.js';
import { option } from '../options/names.js';
import { TimeSlice } from '../time-slice.js';
import type { AnyClassifier } from './classifier.js';
import { withoutTraining } from './load.js';
import type { Values } from './session.js';

/** What a model whose adapter is merged keeps to become again what it was. */
export interface Unmerged {
  plan: MethodPlan;
  /** Of every parameter that the session holds differently or not at all: the low-rank pairs and the weights under them. */
  values: ReadonlyMap<string, Values>;
}

/** Refuses what needs the weights of a model that has only their bytes. @throws BertuneError INVALID_OPTION */
export function expectWeights({ precision }: AnyClassifier): void {
  if (precision !== 'int8') return;
  const advice = `load it with ${option('precision', 'fp32')} to save, export or merge it`;
  throw new BertuneError('INVALID_OPTION', `A model in int8 does not keep its weights; ${advice}`);
}

/** Folds a LoRA adapter into the weights. Errors as TextClassifier.merge. */
export function mergeAdapter(model: AnyClassifier): Promise<void> {
  return model.exclusively(async () => {
    if (model.unmerged) return;
    expectWeights(model);
    const { plan } = model.session;
    if (!plan.lora) throw noLora(model);
    if (model.adapters.length > 0) {
      const names = model.adapters.map(({ name }) => name).join(', ');
      throw new BertuneError(
        'INVALID_OPTION',
        `Expected no adapters beside the model, whose base merging changes, but found ${names}`,
      );
    }
    const plain = methodPlan(null, model.config, model.labels.length, plan.head);
    const kept = new Map<string, Values>();
    await model.exchange(
      plain,
      async (next, old) => {
        const read = async (name: string) => {
          const values = await old.read(name);
          kept.set(name, values);
          return values;
        };
        for await (const [name, values] of mergedWeights(plan, read)) await next.write(name, values);
        for (const { name } of plain.parameters) {
          if (!kept.has(name)) await next.write(name, await old.read(name));
        }
      },
      { unmerged: { plan, values: kept } },
    );
  });
}

/** Takes the adapter out again. Errors as TextClassifier.unmerge. */
export function unmergeAdapter(model: AnyClassifier): Promise<void> {
  return model.exclusively(async () => {
    model.expectUsable();
    if (!model.unmerged) return;
    const { values } = model.unmerged;
    const plan = withoutTraining(model.unmerged.plan);
    await model.exchange(
      plan,
      async (next, old) => {
        for (const { name } of plan.parameters) await next.write(name, values.get(name) ?? (await old.read(name)));
      },
      { unmerged: null },
    );
  });
}

function noLora({ session }: AnyClassifier): BertuneError {
  const found = session.plan.prefix ? 'a prefix adapter, which changes no weights' : 'none';
  return new BertuneError('INVALID_OPTION', `Expected a LoRA adapter to merge but the model carries ${found}`);
}

/** Reads a parameter's values by its name. */
export type ReadParameter = (name: string) => Promise<Values>;

/**
 * The weights of a plan's LoRA modules with their updates added: V = W + scaling · B A (Hu et al., 2021, section 4.1), of DoRA
 * m ∘ V / ‖V‖ by rows, computed in double precision and rounded once.
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
    const lengths = plan.lora?.dora ? await read(`${module}.lora_magnitude_vector`) : null;
    yield [row.name, await withUpdate(weight, { a, b, rank, scaling, lengths })];
  }
}

interface Update {
  a: Values;
  b: Values;
  rank: number;
  scaling: number;
  /** m; null: the rows keep the lengths that they come to. */
  lengths: Values | null;
}

/** W + scaling · B A, its rows of those lengths. The event loop runs between rows. */
async function withUpdate(weight: Values, { a, b, rank, scaling, lengths }: Update): Promise<Values> {
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
    if (lengths) {
      const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
      const scale = norm > 0 ? lengths[out]! / norm : 0;
      for (let i = 0; i < inputs; i++) row[i]! *= scale;
    }
    merged.set(row, out * inputs);
    if (slice.isOver) await slice.next();
  }
  return merged;
}
