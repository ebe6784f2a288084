import type { ModelConfig } from '../architectures/index.js';
import type { HeadKind, ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import type { Safetensors } from '../formats/safetensors.js';
import type { Tensor } from '../formats/tensor.js';
import type { NativeAdapterConfig } from '../native/index.js';
import { option } from '../options/names.js';
import { flag, type OptionTable } from '../options/table.js';
import type { AdapterSettings } from './adapter/settings.js';
import type { Adapter, AdapterCommon, LoraBias } from './adapter/types.js';

/** A learning rate for models of a hidden size. */
export interface Anchor {
  hidden: number;
  rate: number;
}

/** How the runs of a method are told apart in charts: colors from the first run to the last, and the shape of points. */
export interface RunMark {
  readonly symbol: 'circle' | 'square' | 'triangle' | 'diamond' | 'star' | 'wye' | 'cross';
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
  /** Other names than its kind in `--methods`, and the options that each stands for. Defaults to none. */
  readonly variants?: Readonly<Record<string, object>>;
  /** Its name in options and files, e.g. `lora8`. */
  name(method: M): string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  title(method: M): string;
  /** All that was chosen, e.g. `linear probing, dropout 0.2`. */
  words(method: M): string;
  readonly mark: RunMark;
  /**
   * Whether it is solved for at once, on what the frozen encoder makes of the texts, and not trained in steps. It then takes one
   * step without a rate, and of a Trainer's options those of FITTED_OPTIONS. Defaults to false.
   */
  readonly isFitted?: boolean;
  /** Learning rates by hidden size, with a warm-up of a tenth of all steps and a linear decay. */
  rates(method: M): readonly Anchor[];
  /** Optimizer steps that it needs to get somewhere, whatever the size of the data. */
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
  /** What a parameter's learning rate is, times the run's. Defaults to 1. */
  rate?(method: M, row: ParameterRow): number;
  /** Checks it against the parameters of a model. @throws BertuneError INVALID_OPTION */
  check?(method: M, rows: readonly ParameterRow[], config: ModelConfig): void;
  /** How PEFT stores what it trains; null: the model is saved as a whole. */
  readonly adapter: AdapterFormat<Adapter, M> | null;
}

/** Low-rank updates of some Linear modules. */
export interface LoraPlan {
  /** Probability of dropping an input of an update. */
  dropout: number;
  /** Whether every update has magnitudes. */
  dora: boolean;
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

/** A parameter under a method. */
export interface PlannedParameter extends ParameterRow {
  trainable: boolean;
  /** Its learning rate, times the run's. */
  rate: number;
}

/** What a method makes of a model: its parts, and its parameters in the order of the model. */
export interface MethodPlan {
  head: HeadKind;
  /** Probability of dropping inside the probe head. */
  probeDropout: number;
  lora: LoraPlan | null;
  prefix: PrefixPlan | null;
  /** Every parameter that a forward pass uses. */
  parameters: readonly PlannedParameter[];
}

/** A model that carries an adapter, as far as the adapter's files are about it. */
export interface AdaptedModel {
  config: ModelConfig;
  plan: MethodPlan;
  /** What the files say beside the adapter. */
  common: AdapterCommon;
  read(rows: readonly ParameterRow[]): Promise<Map<string, Tensor>>;
  /** (P, 2LC), of a prefix. */
  readPrompt(shape: readonly number[]): Promise<Tensor>;
}

/** An adapter beside others in one session. */
export interface AdapterBeside extends Pick<NativeAdapterConfig, 'lora' | 'prefix'> {
  /** Its parameters but for the head's. */
  rows: readonly ParameterRow[];
}

/** How PEFT stores what a method trains. */
export interface AdapterFormat<A extends Adapter, M> {
  readonly kind: A['kind'];
  /** Of adapter_config.json. */
  readonly peftType: string;
  readonly title: string;
  /** Settings that are written as floats, even where they are whole. */
  readonly floats: readonly string[];
  /** Errors as readAdapter. */
  read(settings: AdapterSettings, file: Safetensors, where: string): A;
  /** Errors as fitAdapter. */
  fit(adapter: A, config: ModelConfig): A;
  /** adapter_config.json and the file's tensors and metadata. Errors as writeAdapter. */
  format(adapter: A): { settings: Record<string, unknown>; file: Safetensors };
  /** The method with which an adapter goes on. */
  methodOf(adapter: A): M;
  ofModel(method: M, model: AdaptedModel): Promise<A>;
  /** Its value of a parameter; undefined: it has none. */
  tensorOf(adapter: A, row: Pick<ParameterRow, 'name' | 'role'>): Tensor | undefined;
  /** @throws BertuneError INVALID_OPTION for one that cannot stand beside others */
  beside(adapter: A, config: ModelConfig): AdapterBeside;
  /** What `inspect` shows of it. */
  facts(adapter: A): Record<string, number | boolean | string | readonly (string | number)[]>;
}

/** Whether a parameter is one of the head's. */
export const isHeadRow = ({ group }: ParameterRow): boolean => group === 'head';

/** Whether a parameter is a bias of the encoder that belongs to an adapter. */
export function isAdapterBias({ part, group, role, layer }: ParameterRow, lora: LoraPlan | null): boolean {
  if (part !== 'bias' || group !== 'encoder' || lora === null || lora.bias === 'none') return false;
  return lora.bias === 'all' || lora.updates.some(({ weight }) => weight.role === role && weight.layer === layer);
}

/** An option of every method whose result is an adapter: whether the classifier trains as well. */
export const TRAIN_HEAD = flag({ words: 'leave the classifier as it is', default: true });

/** What that option says, in words. */
export const headWords = (trains: boolean) => (trains ? 'head trained' : 'head frozen');

/** An adapter's head is stored as PEFT knows it, which has no probe. */
export function expectPlainHead(current: HeadKind): HeadKind {
  if (current === 'classifier') return current;
  throw new BertuneError(
    'INVALID_OPTION',
    "The model's head is a probe, which prefix and lora cannot train; " +
      `use ${option('method', 'linear')} or ${option('method', 'full')}`,
  );
}
