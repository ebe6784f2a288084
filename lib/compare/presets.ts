import { EMBEDDED_DATA, EMBEDDED_MODEL } from '../embedded.js';
import type { ReferenceRecord } from '../report/records.js';
import { NOTEBOOK_REFERENCE } from './reference.js';

/** The kinds of training, each with a learning rate of its own in a preset. */
export type MethodKind = 'full' | 'linear' | 'prefix' | 'lora';

/** The settings of a comparison. */
export interface Preset {
  readonly name: PresetName;
  readonly model: string;
  readonly data: string;
  readonly epochs: number;
  readonly batchSize: number;
  readonly weightDecay: number;
  readonly seed: number;
  /** Steps between rows of the log: enough rows for a curve, few enough for a file. */
  readonly loggingSteps: number;
  readonly learningRates: Readonly<Record<MethodKind, number>>;
  /** Names of methods, see `parseMethods`. */
  readonly methods: readonly string[];
  /** Numbers published for these very settings. */
  readonly reference?: readonly ReferenceRecord[];
}

export const PRESET_NAMES = ['quick', 'notebook'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

const METHODS = ['full', 'linear', 'prefix20', 'lora4', 'lora8', 'lora16', 'lora32'] as const;
const shared = { batchSize: 16, weightDecay: 0.01, seed: 42, methods: METHODS };

/** `quick`: the embedded model and data, minutes on two cores. `notebook`: the settings of the notebook. */
export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  quick: {
    ...shared,
    name: 'quick',
    model: EMBEDDED_MODEL,
    data: EMBEDDED_DATA,
    epochs: 5,
    loggingSteps: 10,
    // The small model wants higher rates than BERT-base, and every method another.
    learningRates: { full: 3e-4, linear: 3e-3, prefix: 4e-4, lora: 1e-3 },
  },
  notebook: {
    ...shared,
    name: 'notebook',
    model: 'google-bert/bert-base-uncased',
    data: 'dair-ai/emotion',
    epochs: 15,
    loggingSteps: 50,
    learningRates: { full: 2e-5, linear: 2e-5, prefix: 2e-5, lora: 2e-5 },
    reference: NOTEBOOK_REFERENCE,
  },
};
