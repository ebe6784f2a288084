import type { Finding, FindingKind } from '../../data/quality.js';
import { withoutQuotes } from '../../data/quality.js';
import type { LabelShare, TokenLengths, ValueSummary } from '../../data/summary.js';
import { type Fields, fields, isFields, list, MOST_FIELDS, numbers, text } from './fields.js';

/** What is in a split, as its summary has it. */
export interface SummarizedSplit {
  readonly name: string;
  readonly rows: number;
  readonly pairs: boolean;
  readonly labels: readonly LabelShare[];
  readonly values: readonly ValueSummary[];
  readonly tokens?: Readonly<Partial<TokenLengths>>;
}

/** What is known of data beyond their sizes. */
export interface DataSummary {
  readonly splits: readonly SummarizedSplit[];
  /** In lines: what is worth a second look. */
  readonly findings: readonly string[];
  readonly notes: readonly string[];
}

/** A summary is of three splits; a file may say otherwise. */
const MOST_SPLITS = 10;
const MOST_LABELS = 10_000;

/**
 * Reads the summary of a results.json.
 *
 * @param texts whether its findings may quote texts
 */
export function summaryInput(summary: Fields, texts: boolean): DataSummary {
  const { splits, findings, notes } = summary;
  return {
    splits: Object.entries(fields(splits))
      .slice(0, MOST_SPLITS)
      .flatMap(([name, split]) => (isFields(split) ? [splitInput(name, split)] : [])),
    findings: list(findings)
      .filter(isFields)
      .slice(0, MOST_FIELDS)
      .map((finding) => findingText(finding, texts))
      .filter((line) => line !== ''),
    notes: list(notes)
      .slice(0, MOST_FIELDS)
      .map((note) => text(note))
      .filter((note) => note !== ''),
  };
}

function splitInput(name: string, { rows, pairs, labels, values, tokens }: Fields): SummarizedSplit {
  const named = <Row>(list: readonly unknown[], key: string) =>
    list
      .filter(isFields)
      .slice(0, MOST_LABELS)
      .map((row) => ({ ...numbers(row), [key]: text(row[key]) })) as unknown as Row[];
  return {
    name,
    rows: typeof rows === 'number' ? rows : 0,
    pairs: pairs === true,
    labels: named<LabelShare>(list(labels), 'label').filter(({ count }) => Number.isFinite(count)),
    values: named<ValueSummary>(list(values), 'name'),
    ...(isFields(tokens) && { tokens: numbers(tokens) }),
  };
}

function findingText(finding: Fields, texts: boolean): string {
  const line = { kind: text(finding.kind) as FindingKind, text: text(finding.text), examples: examplesOf(finding) };
  return (texts ? line : withoutQuotes(line)).text;
}

const examplesOf = ({ examples }: Fields): Finding['examples'] => list(examples).map((example) => text(example));
