import { expectTable, type OptionsOf, probability, type SettingsOf } from '../options/table.js';
import { isHeadRow, type MethodDefinition } from './method.js';

/** The options of `linear`. */
export const LINEAR_OPTIONS = {
  /** Probability of dropping inside the head, in [0, 1). Defaults to 0.2. */
  dropout: probability({ words: 'dropout inside the head', default: 0.2, flag: '--probe-dropout' }),
};

/** Options of `linear`. */
export interface LinearOptions extends OptionsOf<typeof LINEAR_OPTIONS> {}

/** The encoder is frozen; a two-layer head trains on BERT's pooled output, or on the first token of other models. */
export interface LinearMethod extends SettingsOf<typeof LINEAR_OPTIONS> {
  readonly kind: 'linear';
}

/**
 * Linear probing: a new head LayerNorm(C) → Linear(C, C/2) → ReLU → dropout → LayerNorm(C/2) → Linear(C/2, labels) on the
 * frozen encoder, whose dropout stays on in training.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function linear(options: LinearOptions = {}): LinearMethod {
  return { kind: 'linear', ...expectTable('linear options', options, LINEAR_OPTIONS) };
}

export const linearMethod: MethodDefinition<LinearMethod> = {
  kind: 'linear',
  label: 'linear',
  options: LINEAR_OPTIONS,
  create: linear,
  name: () => 'linear',
  title: () => 'linear probing',
  words: ({ dropout }) => `linear probing, dropout ${dropout}`,
  mark: { symbol: 'square', light: ['#b85c00', '#7a3d00'], dark: ['#f0a830', '#c98208'] },
  // hidden 256 as for full. PEFT's examples of frozen encoders for sequence classification train RoBERTa large with 1e-3.
  rates: () => [
    { hidden: 256, rate: 2e-2 },
    { hidden: 768, rate: 1e-3 },
    { hidden: 1024, rate: 1e-3 },
  ],
  leastSteps: 2000,
  head: () => 'probe',
  probeDropout: ({ dropout }) => dropout,
  trains: (_method, row) => isHeadRow(row),
  adapter: null,
};
