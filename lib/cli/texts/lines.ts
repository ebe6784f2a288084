import { isUtf8 } from 'node:buffer';
import { isUsualColumn } from '../../data/columns.js';
import { BertuneError } from '../../errors.js';
import { throwIfAborted } from '../../time-slice.js';

/** The longest line, in bytes: far more than a model reads of a text. */
const MOST_LINE_BYTES = 16 * 2 ** 20;

/**
 * Reads lines as they come: those that have arrived together are given together, so that a slow writer gets its answers
 * at once and a fast one in full batches. Lines end with `\n` or `\r\n`; the last may lack its end.
 *
 * @param input a stream of UTF-8, e.g. stdin
 * @param most lines at a time
 * @param signal ends the reading
 * @throws BertuneError INVALID_DATA naming the line that is not UTF-8, or has more than 16 MiB; ABORTED
 */
export async function* readLines(
  input: AsyncIterable<Buffer> & { destroy(): unknown },
  most: number,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  // A read that waits for a terminal ends only with its stream.
  const stop = () => input.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    let line = 1;
    let rest: Buffer[] = [];
    let restBytes = 0;
    for await (const chunk of input) {
      const end = chunk.lastIndexOf(0x0a) + 1;
      if (end === 0) {
        rest.push(chunk);
        restBytes += chunk.length;
        if (restBytes > MOST_LINE_BYTES) throw tooLong(line);
        continue;
      }
      const lines = decodeLines(Buffer.concat([...rest, chunk.subarray(0, end)]), line);
      rest = end < chunk.length ? [chunk.subarray(end)] : [];
      restBytes = chunk.length - end;
      line += lines.length;
      for (let start = 0; start < lines.length; start += most) yield lines.slice(start, start + most);
    }
    if (rest.length > 0) yield decodeLines(Buffer.concat(rest), line);
  } catch (cause) {
    // Not the complaint of the stream that it was cut short.
    throwIfAborted(signal);
    throw cause;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function tooLong(line: number): BertuneError {
  return new BertuneError(
    'INVALID_DATA',
    `Expected at most ${MOST_LINE_BYTES / 2 ** 20} MiB on line ${line} of the input but it is longer; end each text with a line end`,
  );
}

/** Lines of bytes that end with a line's end, or with the input's. */
function decodeLines(bytes: Buffer, first: number): string[] {
  if (!isUtf8(bytes)) {
    throw new BertuneError(
      'INVALID_DATA',
      `Expected UTF-8 on line ${first + brokenLine(bytes)} of the input but found other bytes`,
    );
  }
  const lines = bytes.toString('utf8').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((text, index) => {
    const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
    return first + index === 1 ? whole.replace(/^\ufeff/, '') : whole;
  });
}

/** The index of the first line that is not UTF-8. */
function brokenLine(bytes: Buffer): number {
  let index = 0;
  for (let start = 0, end = bytes.indexOf(0x0a); end >= 0 && isUtf8(bytes.subarray(start, end)); index += 1) {
    start = end + 1;
    end = bytes.indexOf(0x0a, start);
  }
  return index;
}

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
