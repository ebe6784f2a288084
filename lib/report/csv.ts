/** A value of a CSV field; null and undefined are empty fields. */
export type CsvValue = string | number | boolean | null | undefined;

/** Characters at the start of a field that a spreadsheet takes for a formula. */
const FORMULA_START = /^[=+\-@\t\r\n＝＋－＠]/;

function field(value: CsvValue): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  // The apostrophe makes a spreadsheet show the text instead of running it.
  const text = FORMULA_START.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Writes CSV as RFC 4180 does, with `\n` between lines. Text that a spreadsheet would run as a formula gets an
 * apostrophe in front; numbers are written as they are.
 *
 * @param header names of the columns
 * @param rows one array of values a line
 * @returns the file's text, its last line ended
 */
export function csv(header: readonly string[], rows: readonly (readonly CsvValue[])[]): string {
  return [header, ...rows].map((values) => `${values.map(field).join(',')}\n`).join('');
}
