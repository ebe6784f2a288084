import { architectureOf, type ModelConfig } from '../architectures/index.js';
import type { ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { expectTable, names, type OptionsOf, type SettingsOf } from '../options/table.js';
import type { MethodDefinition } from './method.js';

/** The options of `full`. */
export const FULL_OPTIONS = {
  /**
   * Parameters that stay frozen, by dot-separated parts of their names, e.g. `['embeddings', 'encoder.layer.0']`.
   * Defaults to none.
   */
  freeze: names({ words: 'parts of the model that stay frozen, e.g. embeddings,encoder.layer.0', default: [] }),
};

/** Options of `full`. */
export interface FullOptions extends OptionsOf<typeof FULL_OPTIONS> {}

/** Every parameter trains, except those that `freeze` names. */
export interface FullMethod extends SettingsOf<typeof FULL_OPTIONS> {
  readonly kind: 'full';
}

/**
 * Full fine-tuning.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function full(options: FullOptions = {}): FullMethod {
  return { kind: 'full', ...expectTable('full options', options, FULL_OPTIONS) };
}

export const fullMethod: MethodDefinition<FullMethod> = {
  kind: 'full',
  label: 'full',
  options: FULL_OPTIONS,
  create: full,
  name: () => 'full',
  title: () => 'full',
  words: ({ freeze }) => (freeze.length === 0 ? 'full' : `full, frozen: ${freeze.join(', ')}`),
  mark: { symbol: 'circle', light: ['#0072b2', '#003f63'], dark: ['#56b4e9', '#2f8fc8'] },
  // hidden 256: measured on bert-mini with small data sets of 2 to 12 classes (bench/defaults.js); half as much learns too
  // little. The BERT paper (arXiv:1810.04805, appendix A.3) trains base and large with 2e-5 to 5e-5.
  rates: () => [
    { hidden: 256, rate: 3e-4 },
    { hidden: 768, rate: 3e-5 },
    { hidden: 1024, rate: 2e-5 },
  ],
  leastSteps: 600,
  head: (current) => current,
  trains: ({ freeze }, { name }) => !freeze.some((part) => matches(name, part)),
  check: expectMatches,
  adapter: null,
};

const matches = (name: string, part: string) => `.${name}.`.includes(`.${part}.`);

function expectMatches({ freeze }: FullMethod, rows: readonly ParameterRow[], config: ModelConfig): void {
  for (const part of freeze) {
    if (rows.some(({ name }) => matches(name, part))) continue;
    const layers = architectureOf(config).layers.split('.').slice(1).join('.');
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('freeze')} names ${JSON.stringify(part)}, which matches no parameter; parameters are called like ` +
        `${rows.at(-1)!.name}, and parts of them like embeddings or ${layers}.0`,
    );
  }
}
