import { moduleOf, PROMPT_EMBEDDINGS } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import {
  type LoraPlan,
  type Method,
  type MethodKind,
  type MethodPlan,
  methodPlan,
  type PrefixPlan,
} from '../methods/index.js';
import type { LongTexts } from '../options/long-texts.js';
import { option } from '../options/names.js';
import type { AnyClassifier } from './classifier.js';
import type { Session, Values } from './session.js';

/**
 * What a method would make of a model. Parameters it has already keep their values.
 *
 * @throws BertuneError INVALID_OPTION where it carries an adapter of another kind or shape, or a merged one; DISPOSED
 */
export function planFor(model: AnyClassifier, method: Method): MethodPlan {
  if (model.merged) {
    throw new BertuneError('INVALID_OPTION', 'The adapter is merged into the model; call unmerge() to train it');
  }
  const current = model.session.plan;
  const next = methodPlan(method, model.config, model.labels.length, current.head);
  expectContinuation(current, next, method.kind);
  return next;
}

/**
 * Gives a model a session that trains by `plan`. Parameters that the model has keep their values; new ones are
 * initialized. On failure the model stays as it was.
 *
 * @param seed of the new parameters
 * @param becomes whether it trains on pairs of texts, and what it makes of long ones
 * @param made the session. Defaults to one that is made now
 * @throws BertuneError OUT_OF_MEMORY, DISPOSED
 */
export function retarget(
  model: AnyClassifier,
  method: Method,
  plan: MethodPlan,
  seed: number,
  becomes: { pairs: boolean; longTexts: LongTexts | null },
  made?: Session,
): Promise<Session> {
  const fill = async (next: Session, old: Session) => {
    const shapes = new Map(old.plan.parameters.map(({ name, shape }) => [name, shape.join()]));
    const flattened = old.plan.prefix?.projection && plan.prefix && !plan.prefix.projection;
    for (const row of plan.parameters) {
      const { name, shape } = row;
      if (flattened && name === PROMPT_EMBEDDINGS) {
        await next.write(name, await old.use((native) => native.promptEmbeddings()));
      } else if (!next.owns(row)) {
        await expectShared(name, await old.read(name), await next.read(name));
      } else if (shapes.get(name) === shape.join()) {
        await next.write(name, await old.read(name));
      } else {
        await next.initialize(row, seed);
      }
    }
  };
  return model.exchange(plan, fill, { method, ...becomes }, made);
}

/** @throws BertuneError INVALID_OPTION */
async function expectShared(name: string, own: Values, shared: Values): Promise<void> {
  const bytes = ({ buffer, byteOffset, byteLength }: Values) => Buffer.from(buffer, byteOffset, byteLength);
  if (bytes(own).equals(bytes(shared))) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected models of the same checkpoint to train together, but they differ in ${name}; train them one by one`,
  );
}

/**
 * An adapter can be trained on, but not turned into another method or another shape.
 *
 * @param current what the model carries
 * @param next what it is to be trained as
 * @throws BertuneError INVALID_OPTION
 */
function expectContinuation(current: MethodPlan, next: MethodPlan, kind: MethodKind): void {
  const carried = current.lora ? 'lora' : current.prefix ? 'prefix' : undefined;
  if (carried === undefined) return;
  if (kind !== carried) {
    throw new BertuneError(
      'INVALID_OPTION',
      `The model carries a ${carried} adapter, which continues with ${option('method', carried)} only, not ${kind}; ` +
        'for another method, load the model under it',
    );
  }
  const expected = [
    ...(current.lora && next.lora ? loraDifferences(current.lora, next.lora) : []),
    ...(current.prefix && next.prefix ? prefixDifferences(current.prefix, next.prefix) : []),
  ];
  if (expected.length === 0) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected ${expected.join(' and ')}, as in the adapter that the model carries; for another, load the model under it`,
  );
}

function loraDifferences(current: LoraPlan, next: LoraPlan): string[] {
  const modules = ({ updates }: LoraPlan) =>
    updates
      .map(({ weight }) => moduleOf(weight))
      .sort()
      .join(', ');
  const ranks = ({ updates }: LoraPlan) => {
    const all = new Set(updates.map(({ rank }) => rank));
    return all.size === 1
      ? [...all].join()
      : updates.map(({ weight, rank }) => `${rank} on ${moduleOf(weight)}`).join(', ');
  };
  return [
    ...(ranks(next) === ranks(current) ? [] : [`${option('rank')} ${ranks(current)} but received ${ranks(next)}`]),
    ...(next.dora === current.dora ? [] : [`${current.dora} for ${option('dora')} but received ${next.dora}`]),
    ...(next.bias === current.bias ? [] : [`${option('bias', current.bias)} but received ${next.bias}`]),
    ...(modules(next) === modules(current)
      ? []
      : [`${option('targets')} ${modules(current)} but received ${modules(next)}`]),
  ];
}

function prefixDifferences(current: PrefixPlan, next: PrefixPlan): string[] {
  const { virtualTokens, projection } = current;
  return [
    ...(next.virtualTokens === virtualTokens
      ? []
      : [`${virtualTokens} virtual tokens but received ${next.virtualTokens}`]),
    // Adapters hold what the network made, not the network.
    ...(next.projection && !projection ? [option('projection', false)] : []),
  ];
}
