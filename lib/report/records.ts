import type { DatasetSummary } from '../data/summary.js';
import type { HeldOut } from '../data/types.js';
import type { MethodKind } from '../methods/index.js';
import type { MetricDetails, MetricName, TaskKind } from '../tasks/index.js';

/*
 * What a run leaves behind, as results.json holds it: plain data, sizes in bytes, times in seconds, names as Hugging
 * Face logs them (snake_case).
 */

/** A row of a training log, as trainer_state.json holds it: a logged step or an evaluation (`eval_...`). */
export interface LogRecord extends Partial<Record<`eval_${MetricName}`, number | null>> {
  readonly epoch?: number;
  readonly step?: number;
  readonly loss?: number;
  readonly eval_loss?: number;
  readonly [key: string]: unknown;
}

/** A whole epoch of training, as seen in training (dropout on). */
export interface EpochRecord {
  readonly epoch: number;
  readonly step: number;
  readonly train_loss: number;
  /** Share of right predictions; 0 in regression, which has none. */
  readonly train_accuracy: number;
}

/** How a model does on a split, with the metrics of its task. Precision, recall and f1_macro are macro averages. */
export interface MetricsRecord extends Readonly<Partial<Record<MetricName, number | null>>>, MetricDetails {
  /** Absent in files from before there were others: single-label. */
  readonly task?: TaskKind;
  readonly examples: number;
  readonly loss: number;
  readonly runtime: number;
  readonly samples_per_second: number;
}

/** Memory of a run in bytes. */
export interface MemoryRecord {
  /** The model's parameters alone. */
  readonly model: number;
  /** The highest sum of the library's own allocations: parameters, gradients, optimizer, activations, data. */
  readonly peak: number;
  /** The highest resident memory of the whole process, as the operating system counted it. */
  readonly process_peak: number;
  /** In use on the whole GPU, by all processes, at its highest; 0 on the CPU. */
  readonly device_peak: number;
}

/** The method of a run with its options, e.g. `{ kind: 'lora', rank: 8, ... }`; `{ kind: 'none' }` trains nothing. */
export interface MethodRecord {
  readonly kind: 'none' | MethodKind;
  readonly [option: string]: unknown;
}

/** One run from its settings to its test metrics. */
export interface RunRecord {
  /** Its name in options and files, e.g. `lora-8`. */
  readonly name: string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  readonly title: string;
  readonly method: MethodRecord;
  /** Absent in files from before there were others: single-label. */
  readonly task?: TaskKind;
  /** 'stopped': early, at the user's wish; 'failed': see `error`. */
  readonly status: 'done' | 'stopped' | 'failed';
  readonly error?: { readonly code: string; readonly message: string };
  /** Hyper-parameters as used, defaults filled in. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly parameters?: { readonly trainable: number; readonly total: number };
  readonly memory?: MemoryRecord;
  /** Seconds of training, evaluations between epochs included; absent where nothing was trained. */
  readonly train_runtime?: number;
  readonly steps?: number;
  readonly epochs?: number;
  readonly train_loss?: number;
  readonly train_samples_per_second?: number;
  readonly train_steps_per_second?: number;
  /** What `calibrate` came to, on the validation split; absent where it was not asked for. */
  readonly calibration?: { readonly temperature: number; readonly ece_before: number; readonly ece_after: number };
  /** What to do differently next time, in sentences; absent where there is nothing to say. */
  readonly advice?: readonly string[];
  /** The split that the comparison is made on. */
  readonly test?: MetricsRecord;
  /** Of the model as it is saved; present where there is no test split. */
  readonly validation?: MetricsRecord;
  readonly epoch_history: readonly EpochRecord[];
  /** That of trainer_state.json. */
  readonly log_history: readonly LogRecord[];
}

/** What ran the runs. */
export interface EnvironmentRecord {
  readonly bertune: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly device: string;
  readonly precision: string;
  readonly threads: number;
  readonly blas: string;
}

/** The data of a run or comparison. */
export interface DataRecord {
  readonly source: string;
  readonly labels: readonly string[];
  /** Examples by split. */
  readonly splits: Readonly<Record<string, number>>;
  /** What was taken out of the training rows. */
  readonly held_out?: HeldOut;
  readonly summary?: DatasetSummary;
}

/** A comparison: results.json of `bertune compare`. */
export interface ComparisonRecord {
  readonly preset: string;
  readonly created: string;
  readonly model: string;
  readonly data: DataRecord;
  readonly environment: EnvironmentRecord;
  readonly runs: readonly RunRecord[];
  /** Numbers published for the same settings, where there are any. */
  readonly reference?: readonly ReferenceRecord[];
}

/** A row of a published table, to be held against the run of the same name. */
export interface ReferenceRecord {
  readonly name: string;
  readonly trainable: number | null;
  /** Mebibytes, as the source states them. */
  readonly memory_mib: number;
  readonly time_s: number | null;
  readonly accuracy: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1_macro: number;
}
