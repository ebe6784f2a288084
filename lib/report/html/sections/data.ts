import type { LabelShare } from '../../../data/summary.js';
import { formatCount, formatShare, formatShort, NO_VALUE } from '../../../format.js';
import { right, type Table } from '../../table.js';
import type { SummarizedSplit } from '../data-input.js';
import { bullets, folded, htmlTable, paragraphs } from '../elements.js';
import type { ReportInput } from '../input.js';

/** Labels that a table shows at once; of more, the commonest. */
const SHOWN_LABELS = 24;

/** The data for people: how large the splits are and how long their texts, what the labels are, what is worth a second look. */
export function dataSection({ data, summary }: ReportInput): string {
  const { splits = [], findings = [], notes = [] } = summary ?? {};
  const known: readonly SummarizedSplit[] =
    splits.length > 0
      ? splits
      : Object.entries(data.splits).map(([name, rows]) => ({ name, rows, pairs: false, labels: [], values: [] }));
  const shares = labelsOf(known);
  const sizes = [
    known.length === 0 ? '' : `<h3>Splits</h3>${htmlTable(splitTable(known), 'Splits')}`,
    paragraphs(sampleWords(known)),
    known.some(({ values }) => values.length > 0) ? `<h3>Values</h3>${htmlTable(valueTable(known), 'Values')}` : '',
    findings.length === 0 ? '' : `<h3>Worth a second look</h3>${bullets(findings)}`,
    notes.length === 0 ? '' : `<h3>Notes</h3>${bullets(notes)}`,
  ].join('');
  const labels = shares.length === 0 ? '' : `<h3>Labels</h3>${labelTables(known, shares)}`;
  return (
    paragraphs([sourceWords(data, known)], 'text') +
    (labels === '' ? sizes : `<div class="split"><div>${sizes}</div><div>${labels}</div></div>`)
  );
}

function sourceWords({ source, labels }: ReportInput['data'], splits: readonly SummarizedSplit[]): string {
  const rows = splits.reduce((sum, split) => sum + split.rows, 0);
  const noun = splits.some(({ pairs }) => pairs) ? 'pairs of texts' : 'texts';
  const areValues = splits.some(({ values }) => values.length > 0);
  const [one, many] = areValues ? ['value', 'values'] : ['label', 'labels'];
  return [
    `${source}: ${formatCount(rows)} ${noun}`,
    ...(labels.length === 0 ? [] : [`${formatCount(labels.length)} ${labels.length === 1 ? one : many}`]),
  ].join(', ');
}

function splitTable(splits: readonly SummarizedSplit[]): Table {
  const measured = splits.some(({ tokens }) => tokens !== undefined);
  const lengths = ['median', '95\u00a0%\u00a0≤', 'longest', 'longer'].map(right);
  return {
    columns: [{ title: 'split' }, right('examples'), ...(measured ? lengths : [])],
    rows: splits.map(({ name, rows, tokens }) => [name, formatCount(rows), ...(measured ? lengthCells(tokens) : [])]),
  };
}

/** Of texts beyond the longest that the model reads at once it is only known that they are longer. */
function lengthCells(tokens: SummarizedSplit['tokens'] = {}): string[] {
  const { median, p95, max, cut, maxLength = Number.POSITIVE_INFINITY } = tokens;
  const shown = [median, p95, max].map((length) =>
    length === undefined ? NO_VALUE : length > maxLength ? `> ${formatCount(maxLength)}` : formatCount(length),
  );
  return [...shown, cut === undefined ? NO_VALUE : cut === 0 ? 'none' : formatShare(cut, 1)];
}

function sampleWords(splits: readonly SummarizedSplit[]): string[] {
  const measured = splits.filter(({ tokens }) => tokens !== undefined);
  if (measured.length === 0) return [];
  const sampled = measured.find(({ tokens, rows }) => tokens!.sample !== undefined && tokens!.sample < rows);
  const sample = sampled === undefined ? '' : `, of ${formatCount(sampled.tokens!.sample!)} texts at most`;
  const most = measured.find(({ tokens }) => tokens!.maxLength !== undefined)?.tokens?.maxLength;
  const longer = most === undefined ? '' : `; longer than ${formatCount(most)}, texts are cut or read in windows`;
  return [`Lengths are in tokens${sample}${longer}.`];
}

/** Labels by name, the commonest in training first where there are many. */
function labelsOf(splits: readonly SummarizedSplit[]): string[] {
  const [first] = splits.filter(({ labels }) => labels.length > 0);
  const names = [...new Set(splits.flatMap(({ labels }) => labels.map(({ label }) => label)))];
  if (first === undefined || names.length <= SHOWN_LABELS) return names;
  const counts = new Map(first.labels.map(({ label, count }) => [label, count]));
  return names.sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0));
}

function labelTables(splits: readonly SummarizedSplit[], names: readonly string[]): string {
  const [shown, rest] = [names.slice(0, SHOWN_LABELS), names.slice(SHOWN_LABELS)];
  const whole = labelTable(splits, names);
  const full = Math.max(...whole.rows.map(([, , share = '']) => Number.parseFloat(share)).filter(Number.isFinite));
  const table = (some: readonly string[]) =>
    htmlTable(labelTable(splits, some), 'Labels', { bars: { column: 2, full } });
  if (rest.length === 0) return table(shown);
  return table(shown) + folded(`${formatCount(rest.length)} rarer labels`, table(rest));
}

/** How many examples of each split have a label; the share is that of the first split, as a rule the training split. */
function labelTable(splits: readonly SummarizedSplit[], names: readonly string[]): Table {
  const known = splits.filter(({ labels }) => labels.length > 0);
  const byName = known.map(({ labels }) => new Map(labels.map((each) => [each.label, each])));
  const share = (each: LabelShare | undefined) =>
    Number.isFinite(each?.share) ? `${(100 * each!.share).toFixed(1)} %` : NO_VALUE;
  return {
    columns: [
      { title: 'label' },
      right(known[0]!.name),
      right('share'),
      ...known.slice(1).map(({ name }) => right(name)),
    ],
    rows: names.map((name) => {
      const [first, ...others] = byName.map((split) => split.get(name));
      return [
        name,
        formatCount(first?.count ?? 0),
        share(first),
        ...others.map((each) => formatCount(each?.count ?? 0)),
      ];
    }),
  };
}

function valueTable(splits: readonly SummarizedSplit[]): Table {
  return {
    columns: [{ title: 'value' }, { title: 'split' }, ...['lowest', 'mean', 'highest', 'deviation'].map(right)],
    rows: splits.flatMap(({ name: split, values }) =>
      values.map(({ name, min, mean, max, std }) => [
        name,
        split,
        ...[min, mean, max, std].map((value) => (Number.isFinite(value) ? formatShort(value) : NO_VALUE)),
      ]),
    ),
  };
}
