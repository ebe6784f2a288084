import { formatCount } from '../../format.js';
import type { MetricsRecord } from '../records.js';
import { right } from '../table.js';
import { escapeHtml, htmlTable, paragraphs, scrollBox } from './elements.js';
import { SHADES } from './palette.js';

/** Up to so many labels a matrix stands beside a table, and names its commonest confusions itself. */
const ROOMY_LABELS = 6;
/** How wide a page has to be to write in the cells of a matrix: the largest number of labels, and the name of the class. */
const SIZES = [
  [ROOMY_LABELS, 'small'],
  [12, 'middle'],
  [26, 'large'],
] as const;
/** From so many labels a matrix cannot be read: the commonest confusions stand for it. */
const MATRIX_LABELS = 60;
const SHOWN_CONFUSIONS = 12;
/** Longer names of columns stand upright. */
const FLAT_CHARACTERS = 9;

/** Whether a matrix has room beside a table. */
export function isRoomy({ labels = [] }: MetricsRecord): boolean {
  return labels.length <= ROOMY_LABELS;
}

/**
 * How often each label (a row) was taken for each (a column), as a heat map as wide as the page: a cell's shade is its share
 * of the row. A table, so that it can be read out, searched and copied. Empty where there is none, or one too large to be read.
 */
export function confusionMatrix({ labels = [], confusion = [] }: MetricsRecord, title: string): string {
  const names = labels.map(({ label }) => label);
  if (names.length === 0 || names.length > MATRIX_LABELS || confusion.length === 0) return '';
  const size = SIZES.find(([most]) => names.length <= most)?.[1] ?? 'huge';
  const upright = size !== 'small' || names.some((name) => name.length > FLAT_CHARACTERS);
  const column = (name: string) => {
    const shown = escapeHtml(name);
    return `<th scope="col" title="${shown}"><span>${shown}</span></th>`;
  };
  const head = `<tr><td class="corner">true ↓ predicted →</td>${names.map(column).join('')}</tr>`;
  const rows = names.map((name, index) => {
    const shown = escapeHtml(name);
    const cells = matrixCells(confusion[index] ?? [], index, names.length);
    return `<tr><th scope="row" title="${shown}"><span>${shown}</span></th>${cells}</tr>`;
  });
  const classes = `matrix ${size}${upright ? ' upright' : ''}`;
  const table = `<table class="${classes}" style="--n:${names.length}"><thead>${head}</thead><tbody>${rows.join('\n')}</tbody></table>`;
  return scrollBox(table, `Confusion matrix of ${title}`);
}

function matrixCells(row: readonly number[], index: number, labels: number): string {
  const sum = row.reduce((a, b) => a + b, 0);
  return Array.from({ length: labels }, (_, column) => {
    const count = row[column] ?? 0;
    const share = sum > 0 ? count / sum : 0;
    const classes = `s${count > 0 ? Math.max(1, Math.round(share * (SHADES - 1))) : 0}${column === index ? ' hit' : ''}`;
    if (count === 0) return `<td class="${classes}">${column === index ? '0' : ''}</td>`;
    return `<td class="${classes}">${formatCount(count)}<small>${percent(share)}</small></td>`;
  }).join('');
}

function percent(share: number): string {
  const value = 100 * share;
  return value >= 0.5 ? `${Math.round(value)}%` : '&lt;1%';
}

/** The rules of the shades. */
export function shadeStyles(): string {
  return Array.from(
    { length: SHADES },
    (_, step) => `.s${step}{background:var(--s${step});color:var(--t${step})}`,
  ).join('');
}

/** What was taken for what most often, where a matrix is too large to see it. Empty where nothing was. */
export function commonestConfusions(metrics: MetricsRecord, title: string): string {
  const { labels = [], confusion = [] } = metrics;
  if (isRoomy(metrics)) return '';
  let kinds = 0;
  const commonest: { truth: number; predicted: number; count: number; sum: number }[] = [];
  confusion.forEach((row, truth) => {
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((count, predicted) => {
      if (!(count > 0) || truth === predicted) return;
      kinds += 1;
      if (count <= (commonest[SHOWN_CONFUSIONS - 1]?.count ?? 0)) return;
      commonest.push({ truth, predicted, count, sum });
      commonest.sort((a, b) => b.count - a.count).splice(SHOWN_CONFUSIONS);
    });
  });
  if (commonest.length === 0) return '';
  const table = {
    columns: [{ title: 'true' }, { title: 'taken for' }, right('times'), right('of its texts')],
    rows: commonest.map(({ truth, predicted, count, sum }) => [
      labels[truth]?.label ?? '',
      labels[predicted]?.label ?? '',
      formatCount(count),
      `${Math.round((100 * count) / sum)} %`,
    ]),
  };
  const where = labels.length > MATRIX_LABELS ? `; the matrix of ${labels.length} labels is in results.json` : '';
  const cut = kinds > commonest.length ? [`The commonest of ${formatCount(kinds)} kinds of confusion${where}.`] : [];
  return htmlTable(table, `Commonest confusions of ${title}`) + paragraphs(cut);
}
