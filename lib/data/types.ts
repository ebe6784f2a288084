/** Texts with their classes: one part of a data set. */
export interface Split {
  /** `train`, `validation` or `test`. */
  readonly name: string;
  /** The texts (N). Empty ones are kept: they train and predict as [CLS] [SEP]. */
  readonly texts: readonly string[];
  /** The class of each text (N), an index into the data set's `labels`. */
  readonly labels: Int32Array;
  /** The file the texts came from, for messages. */
  readonly source: string;
}

/** A data set for text classification: one list of classes and up to three splits that share it. */
export interface TextDataset {
  /** The names of the classes (NC), in the order of their indices. */
  readonly labels: readonly string[];
  readonly train?: Split;
  readonly validation?: Split;
  readonly test?: Split;
}

/** The parts a data set can have. */
export const SPLIT_NAMES = ['train', 'validation', 'test'] as const;

export type SplitName = (typeof SPLIT_NAMES)[number];

/** How a data set is read. */
export interface DatasetOptions {
  /** The column of the texts. Defaults to the first of `text`, `sentence`, `content`, ... that is there. */
  textColumn?: string;
  /** The column of the labels. Defaults to the first of `label`, `labels`, `label_name`, ... that is there. */
  labelColumn?: string;
  /** The character between columns, for .csv, .tsv and .txt. Defaults to what the header line uses: `,` `;` or tab. */
  delimiter?: string;
  /**
   * The classes, in order. Defaults to those of the training split: integers by value, names alphabetically.
   * A file may hold names of this list, or indices into it.
   */
  labels?: readonly string[];
  /** Stops the reading; the promise rejects with ABORTED. Defaults to none. */
  signal?: AbortSignal;
}
