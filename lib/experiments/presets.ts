import { EMBEDDED_DATA, EMBEDDED_MODEL } from '../hub/embedded.js';
import type { ReferenceRecord } from '../report/records.js';

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
 * The notebook's own table: Hugging Face Trainer + PEFT, google-bert/bert-base-uncased on dair-ai/emotion (test
 * split), batch 16, learning rate 2e-5, 15 epochs, on a consumer GPU.
 */
export const NOTEBOOK_REFERENCE: readonly ReferenceRecord[] = (
  [
    ['before', null, 427, null, 0.151, 0.1449, 0.1619, 0.0729],
    ['full', 109_486_854, 2153.35, 1453.84, 0.9295, 0.8865, 0.8853, 0.8858],
    ['linear', 299_910, 1274.2, 359.18, 0.503, 0.4054, 0.2717, 0.2321],
    ['prefix20', 14_780_160, 1231.53, 712.65, 0.9175, 0.8746, 0.8706, 0.8715],
    ['lora4', 152_070, 1624.6, 642.32, 0.829, 0.7926, 0.7269, 0.7513],
    ['lora8', 299_526, 1628.76, 642.23, 0.8715, 0.8221, 0.8034, 0.8111],
    ['lora16', 594_438, 1636.13, 643.63, 0.9045, 0.8559, 0.8646, 0.8596],
    ['lora32', 1_184_262, 1642.61, 647.5, 0.914, 0.8627, 0.8685, 0.8655],
  ] as const
).map(([name, trainable, memory_mib, time_s, accuracy, precision, recall, f1_macro]) => ({
  name,
  trainable,
  memory_mib,
  time_s,
  accuracy,
  precision,
  recall,
  f1_macro,
}));

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
