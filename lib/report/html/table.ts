import type { Table } from '../table.js';
import { escapeHtml } from './escape.js';

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
