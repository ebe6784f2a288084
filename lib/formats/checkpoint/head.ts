import type { ModelConfig } from '../../architectures/index.js';
import { type HeadKind, headRows } from '../../architectures/rows.js';
import { BertuneError } from '../../errors.js';
import { isObject } from '../../files/json.js';
import { option } from '../../options/names.js';
import { shorten } from '../../options/validation.js';
import { TASK_KINDS, type TaskKind, taskOf, taskOfProblemType } from '../../tasks/index.js';
import { areNumbers, genericLabels, likelyLabels, listLabels, matchLabels } from '../../tasks/labels.js';
import type { Tensor } from '../tensor.js';
import { checkParameter } from './weights.js';

/** A trained classifier, and what its rows are called. */
export interface Head {
  kind: HeadKind;
  /** Names of the classes, one per row. */
  labels: readonly string[];
  /** Whether a file says so, the classifier's own or that of the model under an adapter. Otherwise they number the rows. */
  named: boolean;
  /** Name of the weight whose rows are the classes; the bias beside it is called alike. */
  output: string;
  /** Canonical names; all of headRows, and maybe others. */
  tensors: ReadonlyMap<string, Tensor>;
}

/**
 * The head among a checkpoint's tensors, checked.
 *
 * @param tensors all of the file's tensors under canonical names
 * @returns null where the file has no head
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID
 */
export function readHead(config: ModelConfig, tensors: ReadonlyMap<string, Tensor>, where: string): Head | null {
  const kind = headKind(config, tensors);
  if (kind === null) return null;
  const output = outputName(config, kind);
  const rows = tensors.get(output)?.shape[0] ?? 0;
  const content = new Map<string, Tensor>();
  for (const { name, shape } of headRows(config, kind, rows)) {
    const tensor = tensors.get(name);
    if (!tensor) {
      const expected = name === output ? shape.with(0, config.labels?.length ?? 2) : shape;
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected tensor ${name} of shape [${expected.join(', ')}] in ${where} but there is none, though other parts of ` +
          'the classification head are there',
      );
    }
    checkParameter(name, tensor, shape, where);
    content.set(name, tensor);
  }
  const weight = content.get(output)!;
  if (rows === 0) {
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected at least one class in tensor ${output} in ${where} but found the shape [${weight.shape.join(', ')}]`,
    );
  }
  const labels = config.labels ?? genericLabels(rows);
  checkParameter(output, weight, weight.shape.with(0, labels.length), where);
  return { kind, labels, named: !areNumbers(labels), output, tensors: content };
}

function headKind(config: ModelConfig, tensors: ReadonlyMap<string, Tensor>): HeadKind | null {
  const isThere = (kind: HeadKind) => headRows(config, kind, 1).some(({ name }) => tensors.has(name));
  if (isThere('probe')) return 'probe';
  if (isThere('classifier')) return 'classifier';
  const { bertune } = config.raw;
  return isObject(bertune) && bertune.head === 'probe' ? 'probe' : null;
}

/** The tensor whose rows are the labels. */
export function outputName(config: ModelConfig, kind: HeadKind): string {
  return headRows(config, kind, 1).find(({ role, part }) => role === 'classifier' && part === 'weight')!.name;
}

/**
 * The task that a config.json says its classifier is for.
 *
 * @returns null where it says nothing
 * @throws BertuneError CHECKPOINT_INVALID for a problem_type that is none
 */
export function taskOfConfig({ problemType }: ModelConfig, where: string): TaskKind | null {
  if (problemType === null) return null;
  const task = taskOfProblemType(problemType);
  if (task !== undefined) return task;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `The problem_type of ${where} is ${JSON.stringify(shorten(problemType))}, which is none of ` +
      TASK_KINDS.map((kind) => JSON.stringify(taskOf(kind).problemType)).join(', '),
  );
}

/**
 * A head whose classes are `labels`, in their order: each row goes with its name, whatever the order in the file. Rows that
 * no file names take the labels as their names, in order, unless one of these is a row's number.
 *
 * @throws BertuneError INVALID_OPTION where the head's names are others
 */
export function arrangeHead(head: Head, labels: readonly string[]): Head & { notes: string[] } {
  const { rows, notes } = matchLabels(labels, head.labels);
  if (labels.length === head.labels.length && !rows.includes(undefined)) {
    return { ...head, labels, tensors: takeRows(head, rows as number[]), notes };
  }
  if (canName(head, labels)) {
    const named = labels.map((label, row) => `${JSON.stringify(label)} is ${head.labels[row]}`);
    return { ...head, labels, notes: [`The classifier's own file does not name its classes: ${listLabels(named)}.`] };
  }
  const unknown = labels.filter((_, i) => rows[i] === undefined);
  const missing = head.labels.filter((_, row) => !rows.includes(row));
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('labels')} are not the classes of the trained classifier, which are ${listLabels(head.labels)}: ` +
      [
        ...(unknown.length === 0 ? [] : [`it has no ${listLabels(unknown)}${likelyLabels(unknown, head.labels)}`]),
        ...(missing.length === 0 ? [] : [`${option('labels')} leave out ${listLabels(missing)}`]),
      ].join('; ') +
      (head.named
        ? '. Name the same classes, in any order; other classes need a classifier that is trained for them'
        : '. Name every row, in order, and none by the number of a row'),
  );
}

/** Whether labels can be the names of a head's rows, in order: no file names the rows, and no label is a row's number. */
export function canName(head: Head, labels: readonly string[]): boolean {
  const numberOf = (label: string) =>
    label
      .trim()
      .toLowerCase()
      .replace(/^label_(?=\d+$)/, '');
  const numbers = new Set(head.labels.map(numberOf));
  return !head.named && labels.length === head.labels.length && !labels.some((label) => numbers.has(numberOf(label)));
}

/** The tensors of a head with the rows of its output in another order. */
function takeRows({ output, tensors }: Head, sources: readonly number[]): ReadonlyMap<string, Tensor> {
  if (sources.every((source, row) => source === row)) return tensors;
  const taken = new Map(tensors);
  for (const name of [output, output.replace(/weight$/, 'bias')]) {
    const tensor = tensors.get(name)!;
    const rowBytes = tensor.data.length / tensor.shape[0]!;
    const data = new Uint8Array(tensor.data.length);
    sources.forEach((source, row) => {
      data.set(tensor.data.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
    });
    taken.set(name, { ...tensor, data });
  }
  return taken;
}
