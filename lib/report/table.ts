import stringWidth from 'string-width';
import { printable } from '../printable.js';

/** Columns of what is printed where no terminal says how many it has. */
export const USUAL_WIDTH = 100;

/** One column of a table. */
export interface Column {
  readonly title: string;
  /** Where a cell's text stands. Defaults to 'left'. */
  readonly align?: 'left' | 'right';
}

/** A column of numbers. */
export function right(title: string): Column {
  return { title, align: 'right' };
}

/** A table of finished text, ready to be laid out. Every row has one cell per column. */
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
 * under the titles, no spaces at the ends of lines. Where that is too wide, the widest columns are broken at spaces.
 * Unprintable characters are shown as escapes.
 *
 * @param width columns of the terminal. Defaults to 100
 * @returns lines, each ended by a newline
 */
export function textTable({ columns, rows }: Table, width = USUAL_WIDTH): string {
  const cells = [columns.map((column) => column.title), ...rows].map((row) =>
    columns.map((_, index) => printable(row[index] ?? '')),
  );
  const widths = columnWidths(cells, width);
  const lines = (row: readonly string[]) => {
    const parts = row.map((cell, index) => wrap(cell, widths[index]!));
    return Array.from({ length: Math.max(...parts.map(({ length }) => length)) }, (_, line) =>
      columns.map((column, index) => pad(parts[index]![line] ?? '', widths[index]!, column.align)).join(GAP),
    );
  };
  const [head = [], ...body] = cells;
  const rule = widths.map((each) => '─'.repeat(each)).join(GAP);
  return [...lines(head), rule, ...body.flatMap(lines)].map((text) => `${text.trimEnd()}\n`).join('');
}

/** How wide a table is that breaks no cell. */
export function tableWidth({ columns, rows }: Table): number {
  const cells = [columns.map((column) => column.title), ...rows];
  return columns.reduce((sum, _, index) => sum + GAP.length + widest(cells, index, stringWidth), -GAP.length);
}

/** Each column as wide as its widest cell; while that is too much in all, the widest gives way, down to its longest word. */
function columnWidths(cells: readonly (readonly string[])[], most: number): number[] {
  const widths = cells[0]!.map((_, index) => widest(cells, index, stringWidth));
  const least = widths.map((_, index) => widest(cells, index, longestWord));
  let excess = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - most;
  while (excess > 0) {
    const room = widths.map((width, index) => (width > least[index]! ? width : 0));
    const index = room.indexOf(Math.max(...room));
    if (room[index] === 0) break;
    widths[index]! -= 1;
    excess -= 1;
  }
  return widths;
}

function widest(cells: readonly (readonly string[])[], index: number, measure: (cell: string) => number): number {
  return Math.max(...cells.map((row) => measure(row[index] ?? '')));
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

/**
 * Breaks a text at spaces into lines of at most `width` columns. A word that is longer stays whole: paths and names are
 * copied from where they are printed.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && stringWidth(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** The columns of the longest word of a text. */
function longestWord(text: string): number {
  return Math.max(...text.split(' ').map((word) => stringWidth(word)));
}
