import { EMBEDDED_DATA, EMBEDDED_MODEL } from '../hub/embedded.js';
import type { ReferenceRecord } from '../report/records.js';
import { NOTEBOOK_REFERENCE } from './reference.js';

/** The settings of a comparison. */
export interface Preset {
  readonly name: PresetName;
  readonly model: string;
  readonly data: string;
  /** Defaults to a Trainer's, by the size of the data. */
  readonly epochs?: number;
  readonly batchSize: number;
  readonly weightDecay: number;
  readonly seed: number;
  /** Of every method. Defaults to a Trainer's, by the method and the size of the model. */
  readonly learningRate?: number;
  /** Names of methods, see `parseMethods`. */
  readonly methods: readonly string[];
  /** Numbers published for these very settings. */
  readonly reference?: readonly ReferenceRecord[];
}

export const PRESET_NAMES = ['quick', 'notebook'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

const METHODS = ['full', 'linear', 'prefix20', 'lora4', 'lora8', 'lora16', 'lora32'] as const;
const shared = { batchSize: 16, weightDecay: 0.01, seed: 42, methods: METHODS };

/**
 * `quick`: the embedded model and data, minutes on two cores. `notebook`: the settings of the notebook, which stay what they
 * are with another model or other data.
 */
export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  quick: {
    ...shared,
    name: 'quick',
    model: EMBEDDED_MODEL,
    data: EMBEDDED_DATA,
  },
  notebook: {
    ...shared,
    name: 'notebook',
    model: 'google-bert/bert-base-uncased',
    data: 'dair-ai/emotion',
    epochs: 15,
    learningRate: 2e-5,
    reference: NOTEBOOK_REFERENCE,
  },
};
