import { BertuneError } from '../errors.js';
import { methodPlan } from '../methods.js';
import { withoutTraining } from './load.js';
import { mergedWeights } from './lora-update.js';
import type { Model } from './model.js';
import type { Values } from './session.js';

/** Folds a LoRA adapter into the weights. Errors as TextClassifier.merge. */
export function mergeAdapter(model: Model): Promise<void> {
  return model.exclusively(async () => {
    if (model.unmerged) return;
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
      () => model.keepUnmerged({ plan, values: kept }),
    );
  });
}

/** Takes the adapter out again. Errors as TextClassifier.unmerge. */
export function unmergeAdapter(model: Model): Promise<void> {
  return model.exclusively(async () => {
    model.expectUsable();
    if (!model.unmerged) return;
    const { values } = model.unmerged;
    const plan = { ...model.unmerged.plan, ...withoutTraining(model.unmerged.plan.parameters) };
    await model.exchange(
      plan,
      async (next, old) => {
        for (const { name } of plan.parameters) await next.write(name, values.get(name) ?? (await old.read(name)));
      },
      () => model.keepUnmerged(null),
    );
  });
}

function noLora({ session }: Model): BertuneError {
  const found = session.plan.prefix ? 'a prefix adapter, which changes no weights' : 'none';
  return new BertuneError('INVALID_OPTION', `Expected a LoRA adapter to merge but the model carries ${found}`);
}
