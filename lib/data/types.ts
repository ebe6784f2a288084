import type { HubProgress } from '../hub/index.js';
import type { TaskKind } from '../tasks/index.js';

/** Texts with their labels: one part of a data set. */
export interface Split {
  /** `train`, `validation` or `test`. */
  readonly name: string;
  /** The texts (N). Empty ones are kept: they train and predict as [CLS] [SEP]. */
  readonly texts: readonly string[];
  /** The second text of each pair (N); absent for single texts. */
  readonly pairs?: readonly string[];
  /** What the labels are for. */
  readonly task: TaskKind;
  /**
   * Single-label: the class of each text (N), an index into `labelNames`, as Int32Array. Otherwise as Float32Array (N, NC),
   * row-major: for multi-label 1 for each label of a text and 0 for the others, for regression its values.
   */
  readonly labels: Int32Array | Float32Array;
  /** The names of the labels (NC); for regression, of the values' columns. A model's labels are matched by name. */
  readonly labelNames: readonly string[];
  /** The files the texts came from, for messages. */
  readonly source: string;
}

/** A data set for text classification: one list of classes and up to three splits that share it. */
export interface TextDataset {
  /** What the labels are for. */
  readonly task: TaskKind;
  /** The names of the labels (NC), in the order of their indices. */
  readonly labels: readonly string[];
  readonly train?: Split;
  readonly validation?: Split;
  readonly test?: Split;
  /** Remarks about how it was read, e.g. that a test split without labels was left out. */
  readonly notes?: readonly string[];
  /** What was held out of the training rows; absent if nothing was. */
  readonly heldOut?: HeldOut;
}

/** A data set that has these splits. */
export type DatasetWith<Name extends SplitName> = TextDataset & { readonly [Each in Name]: Split };

/** How rows were held out of the training split: enough to hold out the same rows of the same data again. */
export interface HeldOut {
  /** The requested share of the training rows, by split. */
  readonly fractions: Readonly<Partial<Record<HeldOutName, number>>>;
  /** Seed of the draw. */
  readonly seed: number;
  /** Whether the same share was taken of every class, label or range of values. */
  readonly stratified: boolean;
  /** Rows of the new splits, and those left in `train`. */
  readonly rows: Readonly<Partial<Record<SplitName, number>>>;
}

/** The splits that can be taken out of the training split, in the order in which they are drawn. */
export const HELD_OUT_NAMES = ['test', 'validation'] as const satisfies readonly HeldOutName[];

/** A split that can be held out of the training split. */
export type HeldOutName = 'validation' | 'test';

/** The parts a data set can have. */
export const SPLIT_NAMES = ['train', 'validation', 'test'] as const satisfies readonly SplitName[];

/** The name of a part of a data set. */
export type SplitName = 'train' | 'validation' | 'test';

/** What quotes mean in files of delimited columns. */
export const QUOTINGS = ['auto', 'standard', 'none'] as const;
/** What quotes mean in files of delimited columns. */
export type Quoting = (typeof QUOTINGS)[number];

/** How a data set is read. */
export interface DatasetOptions {
  /** The column of the texts. Defaults to the first of `text`, `sentence`, `content`, ... that exists. */
  textColumn?: string | undefined;
  /**
   * The column of the second text of each pair. Defaults to none, unless a file has no other text and both columns of a
   * usual pair: `sentence1` and `sentence2`, `premise` and `hypothesis`, `question` and `sentence`, `text1` and `text2`,
   * `question1` and `question2`, `text` and `text_pair`.
   */
  textPairColumn?: string | undefined;
  /** The column of the labels. Defaults to the first of `label`, `labels`, `label_name`, ... that exists. */
  labelColumn?: string | undefined;
  /**
   * A column for each label, instead of `labelColumn`: the columns' names are the labels, their values 0 or 1, true or
   * false. With `task: 'regression'`, a column for each value. Defaults to none.
   */
  labelColumns?: readonly string[] | undefined;
  /** What separates several labels of a text, e.g. `|` in `joy|anger`; an empty cell means no label. Defaults to none. */
  labelSeparator?: string | undefined;
  /**
   * What the labels are for. Defaults to what the data say: 'multi-label' for lists of labels, for `labelColumns` and for
   * `labelSeparator`; 'regression' for numbers if some are not integers; otherwise 'single-label'. Integers are classes unless
   * you set 'regression'.
   */
  task?: TaskKind | undefined;
  /**
   * The encoding of text files, by its WHATWG name, e.g. `windows-1252`. A byte order mark takes precedence. Defaults to UTF-8.
   */
  encoding?: string | undefined;
  /**
   * Whether .csv, .tsv and .txt start with a line of column names. If not, columns are called `1`, `2`, ... Defaults to true.
   */
  header?: boolean | undefined;
  /** Whether to skip invalid rows, with a note that counts them, instead of refusing the file. Defaults to false. */
  skipInvalid?: boolean | undefined;
  /** The character between columns, for .csv, .tsv and .txt. Defaults to what the header line uses: `,` `;` `|` or tab. */
  delimiter?: string | undefined;
  /**
   * What quotes mean in .csv, .tsv and .txt. 'standard': a column may be in quotes, as RFC 4180 says. 'none': quotes are
   * ordinary characters, as in GLUE's files. Defaults to 'auto': 'standard', but a quoted row that would also read as several
   * rows is refused.
   */
  quoting?: Quoting | undefined;
  /**
   * The classes, in order. Defaults to those that the data define (the features in a Parquet file's metadata or in a folder's
   * card), or else to those of the training split: integers by value, names alphabetically. Names are matched with this list,
   * ignoring case and outer spaces if that leaves no doubt. Integers are indices into the classes that the data define, or, if
   * they define none and this list contains no integers, into this list.
   */
  labels?: readonly string[] | undefined;
  /** The configuration, in a folder whose card (README.md) has several. Defaults to the card's own default. */
  config?: string | undefined;
  /** The splits to read, all of which must exist. Defaults to those that do. */
  splits?: readonly SplitName[] | undefined;
  /** Holds a validation or test split out of the training split, if the data have none. Defaults to none. */
  split?: SplitOptions | undefined;
  /**
   * Whether to hold out the validation and test splits that the data lack: a tenth of the training rows each, drawn as `split`
   * does, if there are 20 rows or more; otherwise a note says why not. An object sets the seed. Not together with `split` or
   * `splits`. Defaults to false: no row is held out unasked.
   */
  holdout?: boolean | HoldoutOptions | undefined;
  /** Stops reading; the promise rejects with ABORTED. Defaults to none. */
  signal?: AbortSignal | undefined;
  /** Called as a data set is downloaded from the hub. Defaults to none. */
  onProgress?: ((progress: HubProgress) => void) | undefined;
}

/** How splits are held out of the training split; at least one fraction is required. */
export interface SplitOptions {
  /** Share of the training rows for validation, between 0 and 1. Defaults to none. */
  validation?: number | undefined;
  /** Share of the training rows for testing, between 0 and 1. Defaults to none. */
  test?: number | undefined;
  /** Which rows are drawn: the same seed, 0 to 2^32 − 1, draws the same rows. Defaults to 42. */
  seed?: number | undefined;
  /**
   * Whether to take the same share of every class: of a text's rarest label, if it has several; of each tenth of the range, for
   * values. The last row of a class stays in training. Defaults to true.
   */
  stratify?: boolean | undefined;
}

/** How `holdout` draws. */
export interface HoldoutOptions {
  /** Which rows are drawn: the same seed, 0 to 2^32 − 1, draws the same rows. Defaults to 42. */
  seed?: number;
}

/** How a reader of files is told what to read. */
export interface ReadOptions
  extends Pick<
    DatasetOptions,
    | 'textColumn'
    | 'labelColumn'
    | 'labelColumns'
    | 'labelSeparator'
    | 'task'
    | 'textPairColumn'
    | 'encoding'
    | 'header'
    | 'skipInvalid'
    | 'delimiter'
    | 'quoting'
    | 'signal'
  > {
  /** Whether a file without a column of labels will do. */
  labelsOptional?: boolean;
  /** Why the task is what it is, where the caller of the command did not say so himself, e.g. "the model's problem_type is ...". */
  taskReason?: string;
}
