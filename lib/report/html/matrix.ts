import { formatCount } from '../../format.js';
import type { MetricsRecord } from '../records.js';
import { escapeHtml, htmlTable, scrollBox } from './elements.js';
import { SHADES } from './palette.js';

/** From so many labels the names of columns stand upright, the cells are small, the page lies on its side. */
const DENSE_LABELS = 14;
/** From so many labels a matrix cannot be read: the commonest mistakes stand for it. */
const MATRIX_LABELS = 60;
const SHOWN_MISTAKES = 20;
/** Longer names of columns stand upright. */
const FLAT_CHARACTERS = 9;

/**
 * How often each label (a row) was taken for each (a column), as a heat map: a cell's shade is its share of the row. A
 * table, so that it can be read out, searched and copied.
 */
export function confusionMatrix(metrics: MetricsRecord, title: string): string {
  const { labels = [], confusion = [] } = metrics;
  const names = labels.map(({ label }) => label);
  if (names.length === 0 || confusion.length === 0) return '';
  if (names.length > MATRIX_LABELS) return mistakes(metrics, title);
  const dense = isDense(metrics);
  const tall = dense || names.some((name) => name.length > FLAT_CHARACTERS);
  const column = (name: string) => {
    const shown = escapeHtml(name);
    return tall
      ? `<th scope="col" class="tall" title="${shown}"><span>${shown}</span></th>`
      : `<th scope="col">${shown}</th>`;
  };
  const head = `<tr><th scope="col">true \\ predicted</th>${names.map(column).join('')}</tr>`;
  const rows = names.map((name, index) => {
    const shown = escapeHtml(name);
    const cells = matrixCells(confusion[index] ?? [], index, names.length);
    return `<tr><th scope="row" title="${shown}"><span>${shown}</span></th>${cells}</tr>`;
  });
  const table = `<table class="matrix${dense ? ' dense' : ''}"><thead>${head}</thead><tbody>${rows.join('\n')}</tbody></table>`;
  return scrollBox(table, `Confusion matrix of ${title}`);
}

/** Whether a matrix has so many labels that it takes a page of its own. */
export function isDense({ labels = [] }: MetricsRecord): boolean {
  return labels.length > DENSE_LABELS && labels.length <= MATRIX_LABELS;
}

function matrixCells(row: readonly number[], index: number, labels: number): string {
  const sum = row.reduce((a, b) => a + b, 0);
  return Array.from({ length: labels }, (_, column) => {
    const count = row[column] ?? 0;
    const share = sum > 0 ? count / sum : 0;
    const classes = `s${count > 0 ? Math.max(1, Math.round(share * (SHADES - 1))) : 0}${column === index ? ' hit' : ''}`;
    if (count === 0) return `<td class="${classes}">${column === index ? '0' : '<i>·</i>'}</td>`;
    return `<td class="${classes}">${formatCount(count)}<small>${percent(share)}</small></td>`;
  }).join('');
}

function percent(share: number): string {
  const value = 100 * share;
  return `${value >= 0.5 ? Math.round(value) : '<1'}%`.replace('<', '&lt;');
}

/** The rules of the shades. */
export function shadeStyles(): string {
  return Array.from(
    { length: SHADES },
    (_, step) => `.s${step}{background:var(--s${step});color:var(--t${step})}`,
  ).join('');
}

function mistakes({ labels = [], confusion = [] }: MetricsRecord, title: string): string {
  let kinds = 0;
  const commonest: { truth: number; predicted: number; count: number; sum: number }[] = [];
  confusion.forEach((row, truth) => {
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((count, predicted) => {
      if (!(count > 0) || truth === predicted) return;
      kinds += 1;
      if (count <= (commonest[SHOWN_MISTAKES - 1]?.count ?? 0)) return;
      commonest.push({ truth, predicted, count, sum });
      commonest.sort((a, b) => b.count - a.count).splice(SHOWN_MISTAKES);
    });
  });
  const rows = commonest.map(({ truth, predicted, count, sum }) => [
    labels[truth]?.label ?? '',
    labels[predicted]?.label ?? '',
    formatCount(count),
    `${((100 * count) / sum).toFixed(1)} %`,
  ]);
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'true' },
    { title: 'taken for' },
    { title: 'times', ...right },
    { title: '% of true', ...right },
  ];
  return (
    `<p class="quiet">The commonest of ${formatCount(kinds)} kinds of mistake; the matrix of ${labels.length} labels is in results.json.</p>` +
    htmlTable({ columns, rows }, `Commonest mistakes of ${title}`)
  );
}
