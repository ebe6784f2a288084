import type { Values } from '../native/index.js';
import type { WindowPooling } from '../options/long-texts.js';

/*
 * Texts that are read in several windows: what each window has of its text, and what a text's logits are.
 */

/**
 * Of each sequence, what its text has: as it is where no text has several windows.
 *
 * @param values of each text (N)
 * @returns of each sequence
 */
export function ofWindows<T>(values: readonly T[], windows: Int32Array | undefined): readonly T[] {
  if (windows === undefined) return values;
  return values.flatMap((value, text) => new Array<T>(windows[text + 1]! - windows[text]!).fill(value));
}

/**
 * Logits of texts from those of their windows.
 *
 * @param rowOf the logits (NC) of a sequence
 * @param poolingOf of each text
 * @returns the logits (NC) of a text
 */
export function pooledRows(
  rowOf: (sequence: number) => Values,
  windows: Int32Array | undefined,
  poolingOf: (text: number) => WindowPooling,
): (text: number) => Values {
  if (windows === undefined) return rowOf;
  return (text) => {
    const [first, end] = [windows[text]!, windows[text + 1]!];
    if (end === first + 1) return rowOf(first);
    const pooled = rowOf(first).slice();
    const isMean = poolingOf(text) === 'mean';
    for (let window = first + 1; window < end; window++) {
      for (const [label, logit] of rowOf(window).entries()) {
        pooled[label] = isMean ? pooled[label]! + logit : Math.max(pooled[label]!, logit);
      }
    }
    return isMean ? pooled.map((sum) => sum / (end - first)) : pooled;
  };
}

/** The same for logits (windows, NC) in one array. */
export function pooledLogits(
  logits: Values,
  windows: Int32Array | undefined,
  classes: number,
  pooling: WindowPooling,
): Values {
  if (windows === undefined) return logits;
  const texts = windows.length - 1;
  const rowOf = (sequence: number) => logits.subarray(sequence * classes, (sequence + 1) * classes);
  const pooled = new (logits instanceof Float64Array ? Float64Array : Float32Array)(texts * classes);
  const textOf = pooledRows(rowOf, windows, () => pooling);
  for (let text = 0; text < texts; text++) pooled.set(textOf(text), text * classes);
  return pooled;
}

/** Examples of training: the labels of each window's text. @param labels of each text (N), or (N, NC) */
export function windowLabels<Labels extends Int32Array | Float32Array>(
  labels: Labels,
  windows: Int32Array | undefined,
): Labels {
  if (windows === undefined) return labels;
  const texts = windows.length - 1;
  const width = labels.length / texts;
  const repeated = new (labels.constructor as new (length: number) => Labels)(windows[texts]! * width);
  for (let text = 0; text < texts; text++) {
    const own = labels.subarray(text * width, (text + 1) * width);
    for (let window = windows[text]!; window < windows[text + 1]!; window++) repeated.set(own, window * width);
  }
  return repeated;
}
