import type { SplitName } from '../types.js';

/** The kinds of findings. */
export type FindingKind =
  | 'one-class'
  | 'label-spelling'
  | 'label-missing'
  | 'rare-class'
  | 'unmeasured-class'
  | 'imbalance'
  | 'constant-label'
  | 'label-in-text'
  | 'text-missing'
  | 'conflicting-labels'
  | 'repeated-texts'
  | 'shared-texts';

/** Something in a data set that deserves a second look. */
export interface Finding {
  readonly kind: FindingKind;
  /** The splits concerned. */
  readonly splits: readonly SplitName[];
  /** How many rows or classes are concerned ... */
  readonly count: number;
  /** ... out of this many. */
  readonly total: number;
  /** A few of the labels or texts. */
  readonly examples: readonly string[];
  /** The finding in one line, with advice. */
  readonly text: string;
}

/** What the rows of a split are called. */
export const SPLIT_WORDS: Readonly<Record<SplitName, string>> = {
  train: 'training',
  validation: 'validation',
  test: 'test',
};

/** How many labels a line names. */
const NAMED = 5;
const SHOWN_CHARACTERS = 60;

/** A label or a text as lines have it: on one line, not too long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text);
}

/** Findings whose examples are texts of the data. */
const QUOTING: readonly FindingKind[] = ['label-in-text', 'conflicting-labels', 'repeated-texts', 'shared-texts'];

/** A finding that quotes no text of the data. */
export function withoutQuotes<Found extends Pick<Finding, 'kind' | 'examples' | 'text'>>(finding: Found): Found {
  if (!QUOTING.includes(finding.kind)) return finding;
  const text = finding.examples.reduce((line, example) => {
    const shown = quoted(example);
    return line.replaceAll(line.includes(shown) ? shown : example, 'a text');
  }, finding.text);
  return { ...finding, examples: [], text };
}

/** The first few of some words, and how many there are besides. */
export function listed(words: readonly string[], separator = ', '): string {
  const more = words.length > NAMED ? [`${words.length - NAMED} more`] : [];
  return [...words.slice(0, NAMED), ...more].join(separator);
}

/** What stands for a value that is not there, as spreadsheets, pandas, SQL and people write it, in small letters. */
const ABSENT = ['', 'nan', 'n/a', '#n/a', '<na>', 'na', 'null', 'none', 'nil', 'undefined'];

const MISSING_TEXTS = new Set(ABSENT);
const MISSING_LABELS = new Set([...ABSENT, '-', '--', '?', '.']);
const LONGEST_MISSING = Math.max(...ABSENT.map(({ length }) => length));

/** Whether a label looks as if there were none. */
export function isMissingLabel(label: string): boolean {
  return MISSING_LABELS.has(label.trim().toLowerCase());
}

/** Whether a text looks as if there were none. */
export function isMissingText(text: string): boolean {
  if (!/\S/.test(text)) return true;
  const trimmed = text.length > 4 * LONGEST_MISSING ? text : text.trim();
  return trimmed.length <= LONGEST_MISSING && MISSING_TEXTS.has(trimmed.toLowerCase());
}
