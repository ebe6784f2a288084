import { Buffer, isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { BertuneError } from '../errors.js';
import { throwIfAborted } from '../time-slice.js';

const CHUNK_BYTES = 65536;

/**
 * The text of a UTF-8 file, piece by piece, without its byte order mark.
 *
 * @param path the file
 * @param signal stops the reading with ABORTED
 * @throws NOT_FOUND when there is no such file, INVALID_DATA when it cannot be read or is not UTF-8 (with byte and line)
 */
export async function* readTextFile(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
      throwIfAborted(signal);
      yield decoder.decode(chunk as Uint8Array, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    throw await explain(path, error);
  }
}

/** Turns an error of the file system or of the decoder into one that names the file and the place. */
async function explain(path: string, error: unknown): Promise<unknown> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (error instanceof BertuneError) return error;
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    const { byte, line } = locateBrokenUtf8(await readFile(path));
    return new BertuneError('INVALID_DATA', `Expected UTF-8 in ${path} but byte ${byte} (line ${line}) is not`, {
      cause: error,
    });
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new BertuneError('NOT_FOUND', `Expected a file at ${path} but there is none`, { cause: error });
  }
  if (typeof code === 'string') {
    return new BertuneError('INVALID_DATA', `Expected to read ${path} but got ${code}`, { cause: error });
  }
  return error;
}

/**
 * Where a file stops being UTF-8.
 *
 * @returns the offset of the first bad byte, from 0, and its line, from 1
 */
function locateBrokenUtf8(bytes: Buffer): { byte: number; line: number } {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf('\n', start);
    const end = newline < 0 ? bytes.length : newline + 1;
    const content = bytes.subarray(start, end);
    if (!isUtf8(content)) return { byte: start + firstBadByte(content), line };
    start = end;
  }
  return { byte: bytes.length, line };
}

/** The first byte that a decoder replaces by U+FFFD, other than those of a U+FFFD that is really there. */
function firstBadByte(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) {
    const offset = Buffer.byteLength(text.slice(0, at));
    if (bytes.toString('latin1', offset, offset + 3) !== '\xef\xbf\xbd') return offset;
  }
  return bytes.length;
}
