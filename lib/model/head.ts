import { adapterHead } from '../adapter/head.js';
import type { Adapter } from '../adapter.js';
import type { HeadKind } from '../architectures/rows.js';
import { arrangeHead, canName, checkProblemType, outputName } from '../checkpoint/head.js';
import type { Checkpoint } from '../checkpoint.js';
import { areNumbers, genericLabels, listLabels, matchLabels } from '../labels.js';
import type { Tensor } from '../safetensors.js';

export const HEAD_CHOICES = ['keep', 'fit', 'name', 'new'] as const satisfies readonly HeadChoice[];
/** What becomes of a trained classifier when a model is loaded. */
export type HeadChoice = 'keep' | 'fit' | 'name' | 'new';

/** The classifier that a model begins with. */
export interface ModelHead {
  kind: HeadKind;
  /** Names of the classes, one a row. */
  labels: readonly string[];
  /** Canonical names, maybe of others too; empty: it is new. */
  tensors: ReadonlyMap<string, Tensor>;
  /** Names of the base's own rows, in the order of its file; null where nothing names them. */
  baseLabels: readonly string[] | null;
  /** Whether it was trained on pairs of texts; null where that is not known, or it is new. */
  pairs: boolean | null;
  notes: readonly string[];
}

/**
 * The trained classifier of adapter or checkpoint with its rows in the order of the labels, or a new one.
 *
 * @param wanted names of the classes; undefined: the file's
 * @throws BertuneError of a classifier that is to be kept: INVALID_OPTION where its classes are others, CHECKPOINT_INVALID
 *   for a problem_type that is not supported
 */
export function modelHead(
  adapter: Adapter | null,
  checkpoint: Checkpoint,
  choice: HeadChoice,
  wanted: readonly string[] | undefined,
): ModelHead {
  const named = checkpoint.config.labels;
  const own = adapter && adapterHead(adapter, named);
  const trained = own ?? checkpointHead(checkpoint);
  const names = choice === 'name' && trained && wanted && canName(trained, wanted);
  const fits = !wanted || !trained || names || !matchLabels(wanted, trained.labels).rows.includes(undefined);
  if (!trained || choice === 'new' || (choice !== 'keep' && !fits)) {
    const labels = wanted ?? trained?.labels ?? named ?? genericLabels(2);
    const notes = fits || choice === 'new' ? [] : [unusedNote(trained!.labels, labels)];
    return {
      kind: 'classifier',
      labels,
      tensors: new Map(),
      baseLabels: named ?? (adapter ? null : labels),
      pairs: null,
      notes,
    };
  }
  checkProblemType(checkpoint.config, checkpoint.directory);
  const pairs = own ? (adapter?.pairs ?? null) : checkpoint.config.pairs;
  if (!wanted || (choice !== 'keep' && !names)) return { ...trained, baseLabels: named, pairs };
  const arranged = arrangeHead(trained, wanted);
  // Where no row moved, the labels are the rows' names, maybe new ones.
  const inPlace = own === null && arranged.tensors === trained.tensors;
  return {
    ...arranged,
    baseLabels: inPlace ? arranged.labels : named,
    pairs,
    notes: [...trained.notes, ...arranged.notes],
  };
}

function checkpointHead({ head, config, tensors }: Checkpoint) {
  const labels = config.labels ?? [];
  if (!head) return null;
  const output = outputName(config, head);
  return { kind: head, labels, named: !areNumbers(labels), output, tensors, notes: config.labelNotes };
}

function unusedNote(trained: readonly string[], wanted: readonly string[]): string {
  return (
    `The model was trained for the labels ${listLabels(trained)}. The labels are now ${listLabels(wanted)}, so it gets a ` +
    'new classifier.'
  );
}
