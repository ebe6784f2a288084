/** A value of a CSV field; null and undefined are empty fields. */
export type CsvValue = string | number | boolean | null | undefined;

/** Text that a spreadsheet takes for a formula, by its first character. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

function field(value: CsvValue, isGuarded: boolean): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  // The apostrophe makes a spreadsheet show the text instead of running it.
  const text = isGuarded && FORMULA.test(value) ? `'${value}` : value;
  return /[",;\t\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Writes CSV as RFC 4180 does, with `\n` between lines. Text that a spreadsheet would run as a formula gets an
 * apostrophe in front; numbers are written as they are.
 *
 * @param header names of the columns
 * @param rows one array of values per line
 * @returns the file's text, its last line ended
 */
export function csv(header: readonly string[], rows: readonly (readonly CsvValue[])[]): string {
  return [header, ...rows].map((values) => csvLine(values)).join('');
}

/**
 * One line of a file as `csv` writes it.
 *
 * @param delimiter a comma or a tab. Defaults to a comma.
 * @param kept how many of the first values stay as they are, whatever a spreadsheet makes of them. Defaults to none
 */
export function csvLine(values: readonly CsvValue[], delimiter = ',', kept = 0): string {
  return `${values.map((value, i) => field(value, i >= kept)).join(delimiter)}\n`;
}
