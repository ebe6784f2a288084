import { Buffer, isUtf8 } from 'node:buffer';
import type { ReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { BertuneError } from '../errors.js';
import { openFile } from '../files/input.js';
import { throwIfAborted } from '../time-slice.js';
import { expectRatio } from './limits.js';
import type { RecordOptions } from './records.js';

const CHUNK_BYTES = 65536;

/**
 * The text of a UTF-8 file, piece by piece, without its byte order mark. A file whose name ends in .gz is unpacked.
 *
 * @param path the file
 * @param options.signal stops the reading with ABORTED
 * @param options.onProgress called with the share of the file that is read
 * @throws BertuneError NOT_FOUND when there is no such file; INVALID_DATA when it cannot be read, is not UTF-8 (with byte
 *   and line) or no whole gzip file, unpacks to 100 times its size, or becomes shorter as it is read
 */
export async function* readTextFile(
  path: string,
  { signal, onProgress }: Pick<RecordOptions, 'signal' | 'onProgress'> = {},
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const place = new Place();
  const { file, size } = await openFile(path, 'INVALID_DATA');
  try {
    const stream = file.createReadStream({ highWaterMark: CHUNK_BYTES });
    let bytes = 0;
    for await (const chunk of unpacked(path, stream)) {
      throwIfAborted(signal);
      bytes += (chunk as Buffer).length;
      expectRatio(path, size, bytes);
      place.next(chunk as Buffer);
      yield decoder.decode(chunk as Buffer, { stream: true });
      onProgress?.(stream.bytesRead / size);
    }
    place.next(Buffer.alloc(0));
    yield decoder.decode();
    if (stream.bytesRead < size) {
      throw new BertuneError('INVALID_DATA', `Expected ${size} bytes in ${path} but it ends after ${stream.bytesRead}`);
    }
  } catch (error) {
    throw explain(path, error, place);
  }
}

function unpacked(path: string, file: ReadStream): Readable {
  if (!path.toLowerCase().endsWith('.gz')) return file;
  // Errors of either stream end the loop over the last one.
  return pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => {});
}

/** Turns an error of the file system, of gzip or of the decoder into one that names the file and the place. */
function explain(path: string, error: unknown, place: Place): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (error instanceof BertuneError) return error;
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    const { byte, line } = place.firstBad();
    const advice = place.isUtf16 ? ': it is UTF-16, save it as UTF-8' : '';
    return new BertuneError(
      'INVALID_DATA',
      `Expected UTF-8 in ${path} but byte ${byte} (line ${line}) is not${advice}`,
      { cause: error },
    );
  }
  if (code === 'Z_BUF_ERROR') {
    return new BertuneError('INVALID_DATA', `Expected a whole gzip file at ${path} but it is cut short`, {
      cause: error,
    });
  }
  if (typeof code === 'string') {
    const expected = code.startsWith('Z_') ? `gzip in ${path} but found` : `to read ${path} but got`;
    const found = code.startsWith('Z_') ? (error as Error).message : code;
    return new BertuneError('INVALID_DATA', `Expected ${expected} ${found}`, { cause: error });
  }
  return error;
}

/** Follows the bytes of a file, to say where they stop being UTF-8. */
class Place {
  /** The present piece, with the start of a character that the one before ended in. */
  private bytes: Buffer = Buffer.alloc(0);
  /** Bytes and line ends before it. */
  private offset = 0;
  private lines = 0;
  private head: Buffer | undefined;

  /** Whether the file starts with UTF-16's byte order mark. */
  get isUtf16(): boolean {
    const [first, second] = this.head ?? [];
    return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  }

  next(chunk: Buffer): void {
    this.head ??= chunk.subarray(0, 2);
    const done = this.bytes.length - unfinished(this.bytes);
    this.offset += done;
    for (let at = this.bytes.indexOf(0x0a); at >= 0 && at < done; at = this.bytes.indexOf(0x0a, at + 1)) this.lines++;
    this.bytes = done === this.bytes.length ? chunk : Buffer.concat([this.bytes.subarray(done), chunk]);
  }

  /** The first byte, from 0, that is not UTF-8, and its line, from 1. */
  firstBad(): { byte: number; line: number } {
    for (let start = 0, line = this.lines + 1; ; line++) {
      const newline = this.bytes.indexOf(0x0a, start);
      const end = newline < 0 ? this.bytes.length : newline + 1;
      const content = this.bytes.subarray(start, end);
      if (newline < 0 || !isUtf8(content)) return { byte: this.offset + start + firstBadByte(content), line };
      start = end;
    }
  }
}

/** How many bytes at the end start a character without ending it. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
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
