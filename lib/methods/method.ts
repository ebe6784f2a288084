import type { ModelConfig } from '../architectures/index.js';
import type { HeadKind } from '../architectures/rows.js';
import type { ParameterRow } from '../architectures/table.js';
import type { OptionTable } from '../options/table.js';
import type { AdapterFormat } from './adapter/format.js';
import type { Adapter, LoraBias } from './adapter/types.js';

/** Low-rank updates of some Linear modules. */
export interface LoraPlan {
  /** Probability of dropping an input of an update. */
  dropout: number;
  updates: readonly {
    /** W of the module. */
    weight: ParameterRow;
    rank: number;
    scaling: number;
  }[];
  /** Which biases of the encoder are the adapter's: of every module, of those that are updated, or of none. */
  bias: LoraBias;
}

/** Virtual tokens in front of every layer's own. */
export interface PrefixPlan {
  virtualTokens: number;
  projection: boolean;
}

/** A learning rate for models of a hidden size. */
export interface Anchor {
  hidden: number;
  rate: number;
}

/** How the runs of a method are told apart in charts: colours from the first run to the last, and the shape of points. */
export interface RunMark {
  readonly symbol: 'circle' | 'square' | 'triangle' | 'diamond' | 'star' | 'wye';
  readonly light: readonly [string, string];
  readonly dark: readonly [string, string];
}

/** A way to train. Everything that differs between methods is here; a new one is a file like these and its lines in the registry. */
export interface MethodDefinition<M extends { readonly kind: string }> {
  readonly kind: M['kind'];
  /** Its name in the help of its flags. */
  readonly label: string;
  readonly options: OptionTable;
  /** @throws BertuneError INVALID_OPTION */
  create(options?: object): M;
  /** The option that a number behind its name in `--methods` sets, as in `lora8`, and that number in words. */
  readonly size?: { readonly option: string; readonly words: string };
  /** Its name in options and files, e.g. `lora8`. */
  name(method: M): string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  title(method: M): string;
  /** All that was chosen, e.g. `linear probing, dropout 0.2`. */
  words(method: M): string;
  readonly mark: RunMark;
  /** Learning rates by hidden size, with a warm-up of a tenth of all steps and a linear decay. */
  rates(method: M): readonly Anchor[];
  /** Optimiser steps that it needs to get somewhere, whatever the size of the data. */
  readonly leastSteps: number;

  /** The head that it trains, or refuses. @throws BertuneError INVALID_OPTION */
  head(current: HeadKind): HeadKind;
  /** Probability of dropping inside a probe. Defaults to 0. */
  probeDropout?(method: M): number;
  /** What it adds to the model. Defaults to nothing. */
  lora?(method: M, config: ModelConfig): LoraPlan;
  prefix?(method: M): PrefixPlan;
  /** Whether a parameter trains. */
  trains(method: M, row: ParameterRow, lora: LoraPlan | null): boolean;
  /** Checks it against the parameters of a model. @throws BertuneError INVALID_OPTION */
  check?(method: M, rows: readonly ParameterRow[], config: ModelConfig): void;
  /** How PEFT stores what it trains; null: the model is saved as a whole. */
  readonly adapter: AdapterFormat<Adapter, M> | null;
}

export const isInHead = ({ group }: ParameterRow): boolean => group === 'head';

/** Whether a parameter is a bias of the encoder that belongs to an adapter. */
export function isAdapterBias({ part, group, role, layer }: ParameterRow, lora: LoraPlan | null): boolean {
  if (part !== 'bias' || group !== 'encoder' || lora === null || lora.bias === 'none') return false;
  return lora.bias === 'all' || lora.updates.some(({ weight }) => weight.role === role && weight.layer === layer);
}
