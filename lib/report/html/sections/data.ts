import { formatCount, formatSetting } from '../../../format.js';
import type { Table } from '../../table.js';
import { escapeHtml, htmlTable, pairsTable, paragraphs } from '../elements.js';
import type { ReportInput } from '../input.js';

type Fields = Readonly<Record<string, unknown>>;

const MOST_FINDINGS = 100;
/** Deeper than this nobody reads a summary. */
const DEPTH = 4;
/** Cells of a table: each of many rows might have columns of its own, and those that are too many are left out. */
const MOST_CELLS = 200_000;

/** The data: sizes of the splits, the labels, and the summary where there is one. */
export function dataSection({ data, summary }: ReportInput): string {
  const splits = Object.entries(data.splits);
  const pairs: [string, string][] = [
    ['source', data.source],
    ...splits.map(([name, examples]): [string, string] => [name, `${formatCount(examples)} examples`]),
    ['labels', `${data.labels.length}: ${data.labels.join(', ')}`],
  ];
  if (summary === undefined) return pairsTable(pairs, 'Data');
  const { findings, ...rest } = isFields(summary) ? summary : { findings: undefined, summary };
  return pairsTable(pairs, 'Data') + findingsOf(findings) + summaryOf(rest, 'Summary', 0);
}

/** What is worth a second look, in lines. */
function findingsOf(findings: unknown): string {
  const lines = (Array.isArray(findings) ? findings : [])
    .slice(0, MOST_FINDINGS)
    .flatMap((finding: unknown) => (isFields(finding) && typeof finding.text === 'string' ? [finding.text] : []));
  if (lines.length === 0) return '';
  return `<h3>Worth a second look</h3><ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

/**
 * Whatever the summary holds: values as pairs, objects alike as a table with a row each, other objects under a heading of
 * their own. So a summary may grow without a change here.
 */
function summaryOf(value: unknown, title: string, depth: number): string {
  if (Array.isArray(value)) {
    if (value.length > 0 && value.every(isFlat))
      return htmlTable(tableOf(value.map((row) => ['', row] as const)), title);
    return paragraphs(
      value.map(valueText).filter((text) => text !== ''),
      'note',
    );
  }
  if (!isFields(value) || depth > DEPTH) return paragraphs([valueText(value)], 'note');
  const entries = Object.entries(value);
  const flat = entries.filter((entry) => !isNested(entry[1]));
  const nested = entries.filter((entry) => isNested(entry[1]));
  const pairs = flat.flatMap(([name, one]) => (valueText(one) === '' ? [] : [[words(name), valueText(one)] as const]));
  const rows = nested.filter((entry): entry is [string, Fields] => isFlat(entry[1]));
  const alike = rows.length > 1 && rows.length === nested.length;
  return [
    pairs.length === 0 ? '' : pairsTable(pairs, title),
    alike
      ? htmlTable(tableOf(rows), title)
      : nested
          .map(([name, one]) => `<h3>${escapeHtml(words(name))}</h3>${summaryOf(one, words(name), depth + 1)}`)
          .join(''),
  ].join('');
}

/** A table of named objects: a row each, a column for each member that any has. */
function tableOf(rows: readonly (readonly [name: string, Fields])[]): Table {
  const named = rows.some(([name]) => name !== '');
  const all = new Set(rows.flatMap(([, row]) => Object.keys(row)));
  const keys = [...all].slice(0, Math.ceil(MOST_CELLS / rows.length));
  const isNumeric = (key: string) => rows.every(([, row]) => row[key] === undefined || typeof row[key] === 'number');
  return {
    columns: [
      ...(named ? [{ title: '' }] : []),
      ...keys.map((key) => ({ title: words(key), align: isNumeric(key) ? ('right' as const) : ('left' as const) })),
    ],
    rows: rows.map(([name, row]) => [...(named ? [words(name)] : []), ...keys.map((key) => valueText(row[key]))]),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNested(value: unknown): boolean {
  return isFields(value) || (Array.isArray(value) && value.some(isFields));
}

/** An object of plain values. */
function isFlat(value: unknown): value is Fields {
  return isFields(value) && !Object.values(value).some(isNested);
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') {
    return Number.isInteger(value) ? formatCount(value) : formatSetting(Number(value.toPrecision(4)));
  }
  if (Array.isArray(value)) return value.map(valueText).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function words(name: string): string {
  return name.replaceAll('_', ' ');
}
