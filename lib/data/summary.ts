import {
  copyArray,
  expectAbortSignal,
  expectNames,
  expectObject,
  expectPositiveInteger,
  invalidOption,
  isArray,
  isString,
} from '../options/validation.js';
import { DEFAULT_TASK, type TaskKind, taskOf } from '../tasks/index.js';
import { inSlices } from '../time-slice.js';
import { isTokenizer, type Tokenizer } from '../tokenizer/index.js';
import { type Finding, findingsOf } from './quality.js';
import { alignSplit, expectSplit, labelCounts } from './split.js';
import { SPLIT_NAMES, type Split, type SplitName, type TextDataset } from './types.js';

export type { Finding, FindingKind } from './quality.js';

/** How a data set is summarized. */
export interface SummaryOptions {
  /** Counts tokens. Defaults to none: no lengths. */
  tokenizer?: Tokenizer | undefined;
  /** Longest text in tokens, including special ones. Defaults to the tokenizer's limit, or 512. */
  maxLength?: number | undefined;
  /** Stops the work with ABORTED. Defaults to none. */
  signal?: AbortSignal | undefined;
}

/** How often a label occurs in a split. */
export interface LabelShare {
  readonly label: string;
  readonly count: number;
  /** Of the split's rows, 0 to 1. */
  readonly share: number;
}

/** Lengths of texts or pairs in tokens, including special ones. Longer ones than `maxLength` count as `maxLength` + 1. */
export interface TokenLengths {
  readonly min: number;
  readonly median: number;
  /** The 95th percentile. */
  readonly p95: number;
  readonly max: number;
  /** Share that is longer than `maxLength`, 0 to 1. */
  readonly cut: number;
  readonly maxLength: number;
  /** How many texts were counted: all, or a sample of 2,000. */
  readonly sample: number;
}

/** The values of a split, in regression. */
export interface ValueSummary {
  /** Name of the column. */
  readonly name: string;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  /** The population's standard deviation. */
  readonly std: number;
}

/** What is in a split. */
export interface SplitSummary {
  readonly rows: number;
  readonly pairs: boolean;
  /** Empty in regression. */
  readonly labels: readonly LabelShare[];
  /** In regression only. */
  readonly values?: readonly ValueSummary[];
  readonly tokens?: TokenLengths;
}

/** What is in a data set. */
export interface DatasetSummary {
  /** What the labels are for. */
  readonly task: TaskKind;
  readonly splits: Readonly<Partial<Record<SplitName, SplitSummary>>>;
  /** What deserves a second look before training. */
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
}

const SAMPLE = 2000;
const USUAL_MAX_LENGTH = 512;

/**
 * Summarizes a data set: rows and labels of each split, lengths in tokens (of at most 2,000 texts per split, evenly spread),
 * and what deserves a second look, such as texts that are in both training and test data.
 *
 * @throws BertuneError INVALID_OPTION, ABORTED
 */
export async function summarize(data: TextDataset, options: SummaryOptions = {}): Promise<DatasetSummary> {
  const given = expectObject('options', options, ['tokenizer', 'maxLength', 'signal']);
  const { tokenizer } = given;
  if (tokenizer !== undefined && !isTokenizer(tokenizer)) throw invalidOption('tokenizer', 'a Tokenizer', tokenizer);
  const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
  if (given.maxLength !== undefined) expectPositiveInteger('maxLength', given.maxLength);
  const own = expectDataset(data);
  const stated = tokenizer?.modelMaxLength ?? Number.POSITIVE_INFINITY;
  const maxLength = given.maxLength ?? (Number.isFinite(stated) ? stated : USUAL_MAX_LENGTH);
  const splits: Partial<Record<SplitName, SplitSummary>> = {};
  for (const name of SPLIT_NAMES) {
    const split = own[name];
    if (split === undefined) continue;
    splits[name] = {
      rows: split.texts.length,
      pairs: split.pairs !== undefined,
      ...(taskOf(own.task).labels === 'values'
        ? { labels: [], values: valueSummaries(split) }
        : { labels: labelShares(split) }),
      ...(tokenizer && { tokens: await tokenLengths(split, tokenizer, maxLength, signal) }),
    };
  }
  return { task: own.task, splits, findings: await inSlices(findingsOf(own), signal), notes: own.notes ?? [] };
}

/** A copy of a data set that a caller passes. */
function expectDataset(value: unknown): TextDataset {
  const allowed = ['task', 'labels', 'notes', 'heldOut', ...SPLIT_NAMES];
  const { task: _task, labels, notes, heldOut: _, ...splits } = expectObject('data', value, allowed);
  const names = expectNames('data.labels', labels);
  const { items, odd } = isArray(notes ?? []) ? copyArray((notes ?? []) as unknown[], isString) : { items: [], odd: 0 };
  if (odd >= 0) throw invalidOption('data.notes', 'an array of strings', notes);
  const checked = Object.entries(splits).map(([name, split]) => {
    const path = `data.${name}`;
    return [name, alignSplit(path, expectSplit(path, split), names).split] as const;
  });
  const task = checked[0]?.[1].task ?? DEFAULT_TASK;
  return { task, labels: names, notes: items, ...Object.fromEntries(checked) };
}

function labelShares(split: Split): LabelShare[] {
  const counts = labelCounts(split);
  const rows = split.texts.length;
  return split.labelNames.map((label, i) => ({ label, count: counts[i]!, share: counts[i]! / rows }));
}

function valueSummaries({ labels, labelNames }: Split): ValueSummary[] {
  return labelNames.map((name, column) => {
    const values = Array.from(labels).filter((_, i) => i % labelNames.length === column);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const min = values.reduce((least, value) => Math.min(least, value));
    const max = values.reduce((most, value) => Math.max(most, value));
    return { name, min, mean, max, std: Math.sqrt(variance) };
  });
}

async function tokenLengths(
  split: Split,
  tokenizer: Tokenizer,
  maxLength: number,
  signal: AbortSignal | undefined,
): Promise<TokenLengths> {
  const rows = split.texts.length;
  const sample = Math.min(rows, SAMPLE);
  const chosen = Array.from({ length: sample }, (_, i) => Math.floor((i * rows) / sample));
  const { pairs } = split;
  const { offsets } = await tokenizer.encodeTexts(
    chosen.map((row) => split.texts[row]!),
    maxLength + 1,
    { ...(pairs && { pairs: chosen.map((row) => pairs[row]!) }), ...(signal && { signal }) },
  );
  const lengths = offsets.subarray(1).map((end, i) => end - offsets[i]!);
  lengths.sort();
  const at = (share: number) => lengths[Math.min(sample - 1, Math.floor(share * sample))]!;
  const cut = lengths.filter((length) => length > maxLength).length / sample;
  return { min: at(0), median: at(0.5), p95: at(0.95), max: at(1), cut, maxLength, sample };
}
