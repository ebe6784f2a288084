import type { DatasetSummary } from '../data/summary.js';
import type { HeldOut } from '../data/types.js';
import type { MethodKind } from '../methods/index.js';
import type { MetricDetails, MetricName, TaskKind } from '../tasks/index.js';
import type { Mistake } from '../tasks/mistakes.js';

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
  /** The texts that the model is most wrong about, the worst first; absent where none was asked for. */
  readonly mistakes?: readonly MistakeRecord[];
}

/** A text that a model is wrong about. */
export interface MistakeRecord extends Readonly<Omit<Mistake, 'row'>> {
  /** Its first 500 characters. */
  readonly text: string;
  /** The second text, of a pair. */
  readonly pair?: string;
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

/** Why a run was ended before its last epoch: the others did better. */
export interface StopRecord {
  readonly rule: 'median';
  /** Epochs done. */
  readonly epoch: number;
  /** On the validation split, after that epoch. */
  readonly metric: string;
  readonly value: number;
  /** Of the others', and of how many. */
  readonly median: number;
  readonly of: number;
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
  /** Of a run that was given up for others; its status is 'stopped'. */
  readonly stop?: StopRecord;
  /** How many runs trained together, this one among them: time and memory are those of all. Absent where it trained alone. */
  readonly together?: number;
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
  /** Above which score each label is predicted, as they were tuned; absent where they were not. */
  readonly thresholds?: Readonly<Record<string, number>>;
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
  /** Of a sweep, whose `runs` are the best alone. */
  readonly sweep?: SweepRecord;
}

/** Where a cell of a sweep stands: as RunRecord.status, or under way, or not begun. */
export type CellStatus = RunRecord['status'] | 'running' | 'waiting';

/** A cell of a sweep: one run. */
export interface CellRecord {
  readonly id: string;
  /** e.g. `LoRA r=4, learning rate 1e-4, seed 1`. */
  readonly title: string;
  /** The same without the seed. */
  readonly group: string;
  /** What it has of the settings that vary, by their names. */
  readonly values: Readonly<Record<string, CellValue>>;
  readonly seed?: number;
  readonly status: CellStatus;
  readonly stop?: StopRecord;
  readonly error?: { readonly code: string; readonly message: string };
  /** What cells are ranked by; absent where it has none. */
  readonly score?: number;
  readonly metrics?: Readonly<Partial<Record<MetricName, number | null>>>;
  /** Seconds of training. */
  readonly runtime?: number;
}

/** A value of a setting that varies. */
export type CellValue = string | number | boolean;

/** Values of several seeds. */
export interface Spread {
  readonly mean: number;
  /** Of a sample: with n − 1; null for one value. */
  readonly deviation: number | null;
  readonly n: number;
}

/** The cells that differ in their seed alone. */
export interface GroupRecord {
  readonly title: string;
  readonly values: Readonly<Record<string, CellValue>>;
  readonly cells: Readonly<Record<CellStatus, number>>;
  /** Of the cells that are done. */
  readonly score?: Spread;
  readonly metrics: Readonly<Partial<Record<MetricName, Spread>>>;
  readonly runtime?: Spread;
}

/** A sweep: all its cells, and what they come to. */
export interface SweepRecord {
  /** The names of the settings that vary, e.g. `learning rate`; the seed is none of them. */
  readonly axes: readonly string[];
  /** What cells are ranked by. */
  readonly metric: { readonly name: string; readonly title: string; readonly isHigherBetter: boolean };
  readonly cells: readonly CellRecord[];
  /** The best first; those without a score last. */
  readonly groups: readonly GroupRecord[];
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
