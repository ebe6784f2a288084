import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';

/** How files start that are often taken for data files, what they are, and what to do. */
const KINDS: readonly (readonly [start: string, what: string, advice: string])[] = [
  ['PK\x03\x04', 'a ZIP archive, as .xlsx and .ods are too', 'save a table as CSV UTF-8; unpack an archive'],
  ['\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'a table of old Excel', 'save it as CSV UTF-8'],
  ['PAR1', 'Parquet', 'let its name end in .parquet'],
  ['\x1f\x8b', 'compressed by gzip', 'let its name end in .gz as well'],
  ['BZh', 'compressed by bzip2', 'unpack it, or compress it by gzip'],
  ['\x28\xb5\x2f\xfd', 'compressed by zstd', 'unpack it, or compress it by gzip'],
  ['\xfd7zXZ\x00', 'compressed by xz', 'unpack it, or compress it by gzip'],
  ['7z\xbc\xaf\x27\x1c', 'a 7z archive', 'unpack it'],
  ['ARROW1', 'an Arrow (Feather) file', 'save it as Parquet'],
  ['SQLite format 3\x00', 'an SQLite database', 'export the table as CSV'],
  ['%PDF-', 'a PDF', 'export the table as CSV'],
  ['version https://git-lfs.github.com/spec/', 'a pointer of Git LFS', 'fetch the file itself with git lfs pull'],
  ['<!DOCTYPE html', 'a web page', 'download the file itself'],
  ['<html', 'a web page', 'download the file itself'],
];

/** The longest of those starts, in bytes. */
export const KIND_BYTES = Math.max(...KINDS.map(([start]) => start.length));

/** What a file is that is no data file, and what to do, e.g. ": it is a PDF; export the table as CSV"; empty for others. */
export function otherKind(head: Uint8Array): string {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1', 0, KIND_BYTES);
  const kind = KINDS.find(([start]) => text.toLowerCase().startsWith(start.toLowerCase()));
  return kind === undefined ? '' : `: it is ${kind[1]}; ${kind[2]}`;
}

/**
 * @param head the first bytes of a file that should be text
 * @param encoding of the text
 * @throws BertuneError INVALID_DATA where they say that it is something else
 */
export function expectText(path: string, head: Uint8Array, encoding: string): void {
  const other = otherKind(head);
  if (other !== '') throw new BertuneError('INVALID_DATA', `Expected text in ${path}${other}`);
  if (encoding.startsWith('utf-16')) return;
  const zeros = head.reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0);
  if (zeros === 0 || zeros < head.length / 4) return;
  const guess = head[0] === 0 ? 'utf-16be' : 'utf-16le';
  const advice = `it looks like UTF-16 without a byte order mark: read it with ${option('encoding', guess)}`;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected text in ${path} but ${zeros} of ${head.length} bytes are 0: ${advice}`,
  );
}

/** How the files end that can be read; those of text may be compressed by gzip besides (.gz). */
export const TEXT_EXTENSIONS = ['.csv', '.tsv', '.txt', '.jsonl', '.ndjson', '.json'] as const;

/** The endings of all files that can be read. */
export const DATA_EXTENSIONS = [...TEXT_EXTENSIONS, '.parquet', ...TEXT_EXTENSIONS.map((ending) => `${ending}.gz`)];

/** The ending of a data file's name, in small letters, e.g. `.csv` or `.csv.gz`; of another file, what follows its last dot. */
export function extensionOf(path: string): string {
  return /(\.[^./\\]*(?:\.gz)?)$/i.exec(path)?.[1]?.toLowerCase() ?? '';
}

/** Whether a file can be read, by its name. */
export function isDataFile(path: string): boolean {
  return DATA_EXTENSIONS.includes(extensionOf(path));
}
