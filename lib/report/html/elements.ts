import { printable } from '../../printable.js';
import type { Table } from '../table.js';

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text for a page, safe between tags and in quoted attributes; characters that a page would obey become visible. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** A chart with its caption. */
export function figure(title: string, note: string, chart: string): string {
  return `<figure><figcaption>${escapeHtml(title)}${note === '' ? '' : ` <small>${escapeHtml(note)}</small>`}</figcaption>${chart}</figure>`;
}

/** Charts side by side where the page has room; nothing where there are none. */
export function figures(charts: readonly string[]): string {
  return charts.length === 0 ? '' : `<div class="charts">${charts.join('\n')}</div>`;
}

/** The color of a run, before its name. */
export function swatch(index: number): string {
  return `<span class="swatch" style="--c:var(--run-${index})"></span>`;
}

/** Which color is which run, above charts that do not name all that they show. */
export function legendUnlessNamed(
  runs: readonly { readonly title: string }[],
  charts: readonly { readonly named: boolean }[],
): string {
  if (charts.every(({ named }) => named)) return '';
  const items = runs.map(({ title }, index) => `<li>${swatch(index)}${escapeHtml(title)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A part of the page. */
export function section({ id, title, content }: Section): string {
  return `<section id="${id}"><h2>${escapeHtml(title)}</h2>${content}</section>`;
}

/** Paragraphs of text. */
export function paragraphs(lines: readonly string[], kind = 'quiet'): string {
  return lines.map((line) => `<p class="${kind}">${escapeHtml(line)}</p>`).join('');
}

/** What is marked in a table. */
export interface TableMarks {
  /** Before the first cell of each row, e.g. a swatch; safe HTML. */
  readonly rows?: readonly string[];
  /** Cells that are the best of their column, as `row column`. */
  readonly best?: ReadonlySet<string>;
  /** A column of amounts, which are drawn behind their numbers, and what fills a cell. */
  readonly bars?: { readonly column: number; readonly full: number };
  /** Rows at the end that sum the others up. Defaults to none. */
  readonly foot?: number;
}

/**
 * A table in a box of its own, which scrolls where the page is narrower. The first cell of a row is its heading.
 *
 * @param label what the table is, for those who do not see it
 */
export function htmlTable({ columns, rows }: Table, label: string, marks: TableMarks = {}): string {
  const { foot = 0, best, bars } = marks;
  const align = (index: number) => (columns[index]?.align === 'right' ? ['n'] : []);
  const head = columns
    .map(({ title }, index) => `<th scope="col"${attributes(align(index))}>${escapeHtml(title)}</th>`)
    .join('');
  const lines = rows.map((cells, row) => {
    const body = rows.length - foot;
    const others = columns.slice(1).map((_, before) => {
      const [index, text] = [before + 1, cells[before + 1] ?? ''];
      const share = index === bars?.column && row < body ? Number.parseFloat(text) / bars.full : Number.NaN;
      const classes = [...align(index), ...(best?.has(`${row} ${index}`) ? ['best'] : [])];
      return Number.isFinite(share)
        ? `<td${attributes([...classes, 'bar'], `--v:${(100 * Math.min(1, Math.max(0, share))).toFixed(0)}%`)}>${escapeHtml(text)}</td>`
        : `<td${attributes(classes)}>${escapeHtml(text)}</td>`;
    });
    const heading = `<th scope="row"${attributes(align(0))}>${marks.rows?.[row] ?? ''}${escapeHtml(cells[0] ?? '')}</th>`;
    return `<tr>${heading}${others.join('')}</tr>`;
  });
  const [body, sums] = [lines.slice(0, lines.length - foot), lines.slice(lines.length - foot)];
  const end = foot === 0 ? '' : `<tfoot>${sums.join('\n')}</tfoot>`;
  return scrollBox(`<table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody>${end}</table>`, label);
}

function attributes(classes: readonly string[], style = ''): string {
  return `${classes.length === 0 ? '' : ` class="${classes.join(' ')}"`}${style === '' ? '' : ` style="${style}"`}`;
}

/** A box that scrolls sideways, by keyboard as well. */
export function scrollBox(content: string, label: string): string {
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}">${content}</div>`;
}

/** A titled part of the page, and where links lead to it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: string;
}

/** Names and values, in as many columns as the page has room for. */
export function factList(pairs: readonly (readonly [name: string, value: string])[]): string {
  return pairs.length === 0 ? '' : definitions('pairs', pairs);
}

/** Figures that stand out. */
export function tiles(figures: readonly (readonly [name: string, value: string])[]): string {
  return definitions('tiles', figures);
}

function definitions(kind: string, pairs: readonly (readonly [name: string, value: string])[]): string {
  const items = pairs.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`);
  return `<dl class="${kind}">${items.join('')}</dl>`;
}

/** Lines of text. */
export function bullets(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

/** A part that is opened where it is wanted. */
export function folded(summary: string, content: string): string {
  return `<details><summary>${escapeHtml(summary)}</summary>${content}</details>`;
}
