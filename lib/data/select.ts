import type { Split } from './types.js';

/** The rows of a split that are chosen by their index, in order. */
export function selectRows(split: Split, isChosen: (row: number) => boolean): Split {
  const chosen = (_: unknown, row: number) => isChosen(row);
  const width = split.labels.length / split.texts.length;
  return {
    ...split,
    texts: split.texts.filter(chosen),
    ...(split.pairs && { pairs: split.pairs.filter(chosen) }),
    labels: split.labels.filter((_, i) => isChosen(Math.floor(i / width))),
  };
}
