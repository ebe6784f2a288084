import type { ModelConfig } from '../../architectures/index.js';
import type { ParameterRow } from '../../architectures/table.js';
import type { Safetensors } from '../../formats/safetensors.js';
import type { Tensor } from '../../formats/tensor.js';
import type { NativeAdapterConfig } from '../../native/index.js';
import type { MethodPlan } from '../plan.js';
import type { AdapterSettings } from './settings.js';
import type { Adapter, AdapterCommon } from './types.js';

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
