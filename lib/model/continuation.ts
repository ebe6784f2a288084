import { moduleOf } from '../architectures/table.js';
import { BertuneError } from '../errors.js';
import type { LoraPlan, MethodKind, MethodPlan, PrefixPlan } from '../methods.js';
import { option } from '../option-names.js';

/**
 * An adapter can be trained on, but not turned into another method or another shape.
 *
 * @param current what the model carries
 * @param next what it is to be trained as
 * @throws BertuneError INVALID_OPTION
 */
export function expectContinuation(current: MethodPlan, next: MethodPlan, kind: MethodKind): void {
  const carried = current.lora ? 'lora' : current.prefix ? 'prefix' : undefined;
  if (carried === undefined) return;
  if (kind !== carried) {
    throw new BertuneError(
      'INVALID_OPTION',
      `The model carries a ${carried} adapter, which goes on with ${option('method', carried)} alone, not ${kind}; ` +
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
