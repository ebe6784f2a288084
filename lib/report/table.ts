import stringWidth from 'string-width';
import { printable } from './printable.js';

/** One column of a table. */
export interface Column {
  readonly title: string;
  /** Where a cell's text stands. Defaults to 'left'. */
  readonly align?: 'left' | 'right';
}

/** A table of finished text, ready to be laid out. Every row has one cell a column. */
export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

const GAP = '  ';

function pad(text: string, width: number, align: Column['align']): string {
  const room = ' '.repeat(Math.max(0, width - stringWidth(text)));
  return align === 'right' ? room + text : text + room;
}

/**
 * Lays a table out for a terminal: columns as wide as their widest cell as a terminal counts it, two spaces apart, a rule
 * under the titles, no spaces at the ends of lines. Unprintable characters are shown as escapes.
 *
 * @returns lines, each ended by a newline
 */
export function textTable({ columns, rows }: Table): string {
  const lines = [columns.map((column) => column.title), ...rows].map((cells) => cells.map(printable));
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => stringWidth(cells[index] ?? ''))));
  const line = (cells: readonly string[]) =>
    columns.map((column, index) => pad(cells[index] ?? '', widths[index] ?? 0, column.align)).join(GAP);
  const [head = [], ...body] = lines;
  const rule = widths.map((width) => '─'.repeat(width)).join(GAP);
  return [line(head), rule, ...body.map(line)].map((text) => `${text.trimEnd()}\n`).join('');
}

/** Text that Markdown shows as it is: one line, and nothing in it read as a cell's border, an emphasis or a tag. */
export function markdownText(text: string): string {
  return printable(text)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/[\\`*_[\]|~]/g, (character) => `\\${character}`);
}

/**
 * Writes a table in Markdown.
 *
 * @returns lines, each ended by a newline
 */
export function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [
    line(columns.map((column) => markdownText(column.title))),
    line(columns.map((column) => (column.align === 'right' ? '---:' : '---'))),
    ...rows.map((cells) => line(columns.map((_, index) => markdownText(cells[index] ?? '')))),
  ].join('');
}
