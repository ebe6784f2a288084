import type { HeadKind } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { arrangeHead, canName, outputName, taskOfConfig } from '../formats/checkpoint/head.js';
import type { Checkpoint } from '../formats/checkpoint.js';
import type { Tensor } from '../formats/tensor.js';
import type { Adapter } from '../methods/adapter/files.js';
import { adapterHead } from '../methods/adapter/head.js';
import type { LongTexts } from '../options/long-texts.js';
import { option } from '../options/names.js';
import { DEFAULT_TASK, type TaskKind, taskOf, taskOfProblemType } from '../tasks/index.js';
import { areNumbers, genericLabels, listLabels, matchLabels } from '../tasks/labels.js';

export const HEAD_CHOICES = ['keep', 'fit', 'name', 'new'] as const satisfies readonly HeadChoice[];
/** What happens to a trained classifier when a model is loaded. */
export type HeadChoice = 'keep' | 'fit' | 'name' | 'new';

/** The classifier that a model begins with. */
export interface ModelHead {
  kind: HeadKind;
  /** Names of the classes, one per row. */
  labels: readonly string[];
  /** Canonical names, maybe of others too; empty: it is new. */
  tensors: ReadonlyMap<string, Tensor>;
  /** Names of the base's own rows, in the order of its file; null where nothing names them. */
  baseLabels: readonly string[] | null;
  /** Whether it was trained on pairs of texts; null where that is not known, or it is new. */
  pairs: boolean | null;
  task: TaskKind;
  /** As they were tuned, by label; null: none was. */
  thresholds: Readonly<Record<string, number>> | null;
  /** As it was calibrated; null: it was not. */
  temperature: number | null;
  /** What was made of long texts in training; null where that is not known, or it is new. */
  longTexts: LongTexts | null;
  notes: readonly string[];
}

/**
 * The trained classifier of adapter or checkpoint with its rows in the order of the labels, or a new one.
 *
 * @param wanted names of the classes; undefined: the file's
 * @param wantedTask undefined: the file's, else single-label
 * @throws BertuneError of a classifier that is to be kept: INVALID_OPTION where its classes are others, CHECKPOINT_INVALID
 *   for a problem_type that is not known
 */
export function modelHead(
  adapter: Adapter | null,
  checkpoint: Checkpoint,
  choice: HeadChoice,
  wanted: readonly string[] | undefined,
  wantedTask: TaskKind | undefined,
): ModelHead {
  const named = checkpoint.config.labels;
  const own = adapter && adapterHead(adapter, named);
  const trained = own ?? checkpointHead(checkpoint);
  const isNew = choice === 'new' || !trained;
  const trainedTask =
    adapter?.task ?? (isNew ? knownTask(checkpoint.config) : taskOfConfig(checkpoint.config, checkpoint.directory));
  const task = wantedTask ?? trainedTask ?? DEFAULT_TASK;
  const isTask = (trainedTask ?? task) === task;
  if (trained && choice === 'keep' && !isTask) throw otherTask(trainedTask!, task);
  const hasValues = taskOf(task).labels === 'values';
  // Of values the names are only words.
  const takesNames = choice === 'name' || hasValues;
  const names = takesNames && trained && wanted && canName(trained, wanted);
  // Values are told by their places as well as by the names of columns.
  const areValues = isTask && hasValues && wanted?.length === trained?.labels.length;
  const fits =
    !wanted || !trained || names || areValues || !matchLabels(wanted, trained.labels).rows.includes(undefined);
  if (!trained || choice === 'new' || (choice !== 'keep' && !(fits && isTask))) {
    const labels = wanted ?? trained?.labels ?? named ?? genericLabels(2);
    const notes = isNew ? [] : [fits ? otherTaskNote(trainedTask!, task) : unusedNote(trained.labels, labels)];
    return {
      kind: 'classifier',
      labels,
      tensors: new Map(),
      baseLabels: named ?? (adapter ? null : labels),
      pairs: null,
      task,
      thresholds: null,
      temperature: null,
      longTexts: null,
      notes,
    };
  }
  const { pairs = null, thresholds = null, temperature = null, longTexts = null } = own ? adapter! : checkpoint.config;
  if (!wanted || (choice !== 'keep' && !names)) {
    return { ...trained, baseLabels: named, pairs, task, thresholds, temperature, longTexts };
  }
  const arranged = arrangeHead(trained, wanted);
  // Where no row moved, the labels are the rows' names, maybe new ones.
  const inPlace = own === null && arranged.tensors === trained.tensors;
  return {
    ...arranged,
    baseLabels: inPlace ? arranged.labels : named,
    pairs,
    task,
    thresholds: arranged.labels.every((label) => label in (thresholds ?? {})) ? thresholds : null,
    temperature,
    longTexts,
    notes: [...trained.notes, ...arranged.notes],
  };
}

function checkpointHead({ head, config, tensors }: Checkpoint) {
  const labels = config.labels ?? [];
  if (!head) return null;
  const output = outputName(config, head);
  return { kind: head, labels, named: !areNumbers(labels), output, tensors, notes: config.labelNotes };
}

/** What a config.json says of its task, whose classifier is not used. */
function knownTask({ problemType }: Checkpoint['config']): TaskKind | null {
  return (problemType !== null && taskOfProblemType(problemType)) || null;
}

function otherTask(trained: TaskKind, wanted: TaskKind): BertuneError {
  return new BertuneError(
    'INVALID_OPTION',
    `The model's classifier is for ${taskOf(trained).title}, not for ${taskOf(wanted).title}; leave out ` +
      `${option('task', wanted)}, or give it a new one with ${option('head', 'new')}`,
  );
}

function otherTaskNote(trained: TaskKind, wanted: TaskKind): string {
  return `The model was trained for ${taskOf(trained).title}, not for ${taskOf(wanted).title}, so it gets a new classifier.`;
}

function unusedNote(trained: readonly string[], wanted: readonly string[]): string {
  return (
    `The model was trained for the labels ${listLabels(trained)}. The labels are now ${listLabels(wanted)}, so it gets a ` +
    'new classifier.'
  );
}
