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

/** The colour of a run, before its name. */
export function swatch(index: number): string {
  return `<span class="swatch" style="--c:var(--run-${index})"></span>`;
}

/** Which colour is which run, above charts that do not name all that they show. */
export function legendUnlessNamed(
  runs: readonly { readonly title: string }[],
  charts: readonly { readonly named: boolean }[],
): string {
  if (charts.every(({ named }) => named)) return '';
  const items = runs.map(({ title }, index) => `<li>${swatch(index)}${escapeHtml(title)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A part of the page. */
export function section(id: string, title: string, content: string): string {
  return content === '' ? '' : `<section id="${id}"><h2>${escapeHtml(title)}</h2>${content}</section>`;
}

/** Paragraphs of text. */
export function paragraphs(lines: readonly string[], kind = 'quiet'): string {
  return lines.map((line) => `<p class="${kind}">${escapeHtml(line)}</p>`).join('');
}

/**
 * A table in a box of its own, which scrolls where the page is narrower. The first cell of a row is its heading.
 *
 * @param label what the table is, for those who do not see it
 * @param marks text before the first cell of a row, e.g. a swatch; safe HTML
 */
export function htmlTable({ columns, rows }: Table, label: string, marks: readonly string[] = []): string {
  const align = (index: number) => (columns[index]?.align === 'right' ? ' class="n"' : '');
  const head = columns.map(({ title }, index) => `<th scope="col"${align(index)}>${escapeHtml(title)}</th>`).join('');
  const body = rows.map((cells, row) => {
    const [first = '', ...rest] = columns.map((_, index) => escapeHtml(cells[index] ?? ''));
    const heading = `<th scope="row"${align(0)}>${marks[row] ?? ''}${first}</th>`;
    return `<tr>${heading}${rest.map((cell, index) => `<td${align(index + 1)}>${cell}</td>`).join('')}</tr>`;
  });
  return scrollBox(`<table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table>`, label);
}

/** A box that scrolls sideways, by keyboard as well. */
export function scrollBox(content: string, label: string): string {
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}">${content}</div>`;
}

/** A table of names and values. */
export function pairsTable(pairs: readonly (readonly [name: string, value: string])[], label: string): string {
  const rows = pairs.map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return scrollBox(`<table class="pairs"><tbody>${rows.join('\n')}</tbody></table>`, label);
}
