import { BertuneError } from '../errors.js';
import { isObject } from '../files/input.js';
import type { Tensor } from '../safetensors.js';
import { checkParameter } from './check.js';
import { type BertConfig, genericLabels, type HeadKind } from './config.js';
import { headTensors, outputModule } from './shapes.js';

/** The head that a file holds. */
export interface HeadContent {
  kind: HeadKind;
  /** Names of the classes, one a row. */
  labels: string[];
  /** Canonical names, all of headTensors. */
  tensors: Map<string, Tensor>;
}

/**
 * Takes the head from a checkpoint's tensors and checks it.
 *
 * @param tensors all of the file's tensors under canonical names
 * @param labels the classes asked for: they decide, and a head of another number of classes is left out
 * @returns null where the file has no head, or one that is left out
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID
 */
export function readHead(
  config: BertConfig,
  tensors: ReadonlyMap<string, Tensor>,
  labels: readonly string[] | undefined,
  where: string,
): HeadContent | null {
  const kind = headKind(config, tensors);
  if (kind === null) return null;
  const output = `${outputModule(kind)}.weight`;
  const rows = tensors.get(output)?.shape[0] ?? 0;
  const content = new Map<string, Tensor>();
  for (const [name, shape] of headTensors(config, kind, rows)) {
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
  if (rows === 0) {
    const { shape } = content.get(output)!;
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected at least one class in tensor ${output} in ${where} but found the shape [${shape.join(', ')}]`,
    );
  }
  if (labels && labels.length !== rows) return null;
  const named = config.labels ?? genericLabels(rows);
  if (!labels) {
    checkParameter(output, content.get(output)!, headTensors(config, kind, named.length).get(output)!, where);
    checkProblemType(config, where);
    return { kind, labels: named, tensors: content };
  }
  return { kind, labels: [...labels], tensors: reorder(content, kind, named, labels) };
}

function headKind(config: BertConfig, tensors: ReadonlyMap<string, Tensor>): HeadKind | null {
  const names = [...tensors.keys()].filter((name) => name.startsWith('classifier.'));
  if (names.some((name) => name.startsWith('classifier.classifier.'))) return 'probe';
  if (names.includes('classifier.weight') || names.includes('classifier.bias')) return 'classifier';
  const { bertune } = config.raw;
  return isObject(bertune) && bertune.head === 'probe' ? 'probe' : null;
}

/** Softmax over the classes would be wrong for these. */
function checkProblemType({ problemType }: BertConfig, where: string): void {
  if (problemType !== null && problemType !== 'single_label_classification') {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected the problem_type "single_label_classification" in ${where} but found "${problemType}"`,
    );
  }
}

/** Where the same names are asked for in another order, each row goes with its name; other names are new names for the rows. */
function reorder(
  tensors: Map<string, Tensor>,
  kind: HeadKind,
  from: readonly string[],
  to: readonly string[],
): Map<string, Tensor> {
  const sources = to.map((label) => from.indexOf(label));
  if (from.length !== to.length || sources.includes(-1) || sources.every((source, row) => source === row))
    return tensors;
  for (const part of ['weight', 'bias']) {
    const name = `${outputModule(kind)}.${part}`;
    const tensor = tensors.get(name)!;
    const rowBytes = tensor.data.length / tensor.shape[0]!;
    const data = new Uint8Array(tensor.data.length);
    sources.forEach((source, row) => {
      data.set(tensor.data.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
    });
    tensors.set(name, { ...tensor, data });
  }
  return tensors;
}
