import { expectTable, type OptionsOf, type SettingsOf } from '../options/table.js';
import { isHeadRow, type MethodDefinition } from './method.js';

/** The options of `bitfit`: none. */
export const BITFIT_OPTIONS = {};

/** `bitfit` has no options. */
export interface BitfitOptions extends OptionsOf<typeof BITFIT_OPTIONS> {}

/** Every bias and the head train; all other weights are frozen. */
export interface BitfitMethod extends SettingsOf<typeof BITFIT_OPTIONS> {
  readonly kind: 'bitfit';
}

/**
 * BitFit (Ben Zaken et al., 2021): every bias, including those of LayerNorms, and the head train. PEFT has no adapter of biases
 * alone, so the model is saved as a whole.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function bitfit(options: BitfitOptions = {}): BitfitMethod {
  return { kind: 'bitfit', ...expectTable('bitfit options', options, BITFIT_OPTIONS) };
}

export const bitfitMethod: MethodDefinition<BitfitMethod> = {
  kind: 'bitfit',
  label: 'bitfit',
  options: BITFIT_OPTIONS,
  create: bitfit,
  name: () => 'bitfit',
  title: () => 'BitFit',
  words: () => 'BitFit, biases and head',
  mark: { symbol: 'wye', light: ['#8a6d00', '#574500'], dark: ['#f0e442', '#bdb430'] },
  // hidden 256: bert-mini on goemotions6 comes to F1 0.41, 0.54, 0.67 and 0.73 in 500 steps of 1e-3, 3e-3, 1e-2 and 3e-2, and
  // to 0.74 and 0.77 in 1,000 of 1e-2 and 2e-2. The paper (arXiv:2106.10199) trains base and large with 1e-4 to 1e-3.
  rates: () => [
    { hidden: 256, rate: 2e-2 },
    { hidden: 768, rate: 1e-3 },
    { hidden: 1024, rate: 7e-4 },
  ],
  leastSteps: 1200,
  head: (current) => current,
  trains: (_method, row) => row.part === 'bias' || isHeadRow(row),
  adapter: null,
};
