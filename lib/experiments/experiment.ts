import type { DatasetFiles } from '../data/source.js';
import type { DatasetOptions } from '../data/types.js';
import type { Method } from '../methods/index.js';
import type { DeviceOptions } from '../model/device.js';
import type { TrainerOptions } from '../training/options.js';

/** Where a run's data are: a folder, or the files of the splits. */
export type DataSource = string | DatasetFiles;

/** Everything that decides a run: plain data, so that it can be sent to another process. */
export interface Experiment {
  /** Its name in options and files, e.g. `lora8`. */
  readonly name: string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  readonly title: string;
  /** Directory of the checkpoint (or of an adapter, to go on with it), or the embedded model's name. */
  readonly model: string;
  /** Directory of an adapter to put on the checkpoint. Defaults to none. */
  readonly adapter?: string;
  /** Directory of the checkpoint under an adapter. Defaults to where the adapter says. */
  readonly base?: string;
  /** Files, a folder, or the embedded data's name. */
  readonly data: DataSource;
  readonly dataset: Omit<DatasetOptions, 'signal' | 'onProgress'>;
  /** How to train; null: the model is only measured as it is. */
  readonly method: Method | null;
  readonly options: Omit<TrainerOptions, 'method'>;
  readonly where: DeviceOptions;
  /** Directory of a log for TensorBoard, in a sub-folder of the run's name. Defaults to none. */
  readonly tensorboard?: string;
  /** How many of the texts that it is most wrong about its record holds. Defaults to none. */
  readonly mistakes?: number;
  /** As TrainOptions.resume. */
  readonly resume?: string;
  /** What model and data have to be. Defaults to whatever they are. */
  readonly identity?: RunSources;
  /** When it is given up for others that do better. Defaults to never. */
  readonly stop?: MedianStop;
}

/** What a run begins with: digests as lib/experiments/identity.ts makes them. */
export interface RunSources {
  readonly model: string;
  readonly data: string;
}

/** Ends a run whose metric on the validation split, after an epoch, is worse than the median of the others' then. */
export interface MedianStop {
  /** Directory where every run leaves its metrics. */
  readonly curves: string;
  /** Of runs that are compared: those on the same data. */
  readonly group: string;
  /** Epochs after which no run ends. */
  readonly grace: number;
}

/** Where the data are, in words. */
export function sourceWords(source: DataSource): string {
  return typeof source === 'string' ? source : Object.values(source).flat().join(', ');
}
