import { isUsualColumn } from '../data/columns.js';

const NAME = /^[\p{L}_][\p{L}\p{N}_.-]*$/u;
const NAME_WITH_SPACES = /^[\p{L}_][\p{L}\p{N}_. -]*$/u;

/**
 * What to say about the first of lines that are read as texts, where it looks like that of a file with columns, or of JSON.
 *
 * @returns undefined for a text
 */
export function noteOn(line: string): string | undefined {
  if (isHeader(line)) {
    return `the first line looks like a header (${line.slice(0, 60)}); each line is read as a text. For a file with columns use --file`;
  }
  if (isJson(line))
    return 'the first line is JSON; each line is read as a text. For JSON lines pass --input-format jsonl';
  return undefined;
}

/** Whether a line is names with delimiters between them: without any spaces, or one of them a usual column's. */
function isHeader(line: string): boolean {
  return [',', ';', '\t'].some((delimiter) => {
    const names = line.split(delimiter).map((name) => name.replace(/^"(.*)"$/, '$1'));
    if (names.length < 2) return false;
    return (
      names.every((name) => NAME.test(name)) ||
      (names.every((name) => NAME_WITH_SPACES.test(name.trim())) && names.some((name) => isUsualColumn(name.trim())))
    );
  });
}

/** Whether a line is an object of JSON, or an array. */
function isJson(line: string): boolean {
  if (!/^\s*[{[]/.test(line)) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
