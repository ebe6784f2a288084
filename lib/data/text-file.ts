import { Buffer, isUtf8 } from 'node:buffer';
import type { ReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { BertuneError } from '../errors.js';
import { openFile } from '../files/input.js';
import { option } from '../options/names.js';
import { throwIfAborted } from '../time-slice.js';
import { Decoder, guessEncoding, markedEncoding } from './encoding.js';
import { expectText } from './file-kind.js';
import { expectRatio } from './limits.js';
import type { RecordOptions } from './records.js';

const CHUNK_BYTES = 65536;
const UTF_8 = 'utf-8';

/**
 * The text of a file, piece by piece, without its byte order mark. A file whose name ends in .gz is unpacked.
 *
 * @param path the file
 * @param options.encoding as TextDecoder calls it; a byte order mark goes before it. Defaults to UTF-8
 * @param options.signal stops the reading with ABORTED
 * @param options.onProgress called with the share of the file that is read
 * @throws BertuneError NOT_FOUND when there is no such file; INVALID_DATA when it cannot be read, is no text, is not in its
 *   encoding (of UTF-8 with byte and line) or no whole gzip file, unpacks to 100 times its size, or becomes shorter as it is
 *   read
 */
export async function* readTextFile(
  path: string,
  { encoding = UTF_8, signal, onProgress }: Pick<RecordOptions, 'encoding' | 'signal' | 'onProgress'> = {},
): AsyncGenerator<string> {
  let decoder: Decoder | undefined;
  const place = new Place();
  const { file, size } = await openFile(path, 'INVALID_DATA');
  try {
    const stream = file.createReadStream({ highWaterMark: CHUNK_BYTES });
    let bytes = 0;
    for await (const piece of unpacked(path, stream)) {
      throwIfAborted(signal);
      const chunk = piece as Buffer;
      bytes += chunk.length;
      expectRatio(path, size, bytes);
      if (decoder === undefined) {
        decoder = new Decoder(markedEncoding(chunk) ?? encoding);
        expectText(path, chunk, decoder.encoding);
      }
      if (decoder.encoding === UTF_8) place.next(chunk);
      yield decoder.decode(chunk);
      onProgress?.(stream.bytesRead / size);
    }
    place.next(Buffer.alloc(0));
    yield decoder?.decode() ?? '';
    if (stream.bytesRead < size) {
      throw new BertuneError('INVALID_DATA', `Expected ${size} bytes in ${path} but it ends after ${stream.bytesRead}`);
    }
  } catch (error) {
    throw explain(path, error, decoder?.encoding === UTF_8 ? place : decoder?.encoding);
  }
}

function unpacked(path: string, file: ReadStream): Readable {
  if (!path.toLowerCase().endsWith('.gz')) return file;
  // Errors of either stream end the loop over the last one.
  return pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => {});
}

/**
 * Turns an error of the file system, of gzip or of the decoder into one that names the file and the place.
 *
 * @param decoded where the decoder was, or the encoding that is not UTF-8
 */
function explain(path: string, error: unknown, decoded: Place | string | undefined): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (error instanceof BertuneError) return error;
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    const message =
      decoded instanceof Place
        ? notUtf8(path, decoded)
        : `Expected ${decoded} in ${path} but some of its bytes are not: is it in another encoding?`;
    return new BertuneError('INVALID_DATA', message, { cause: error });
  }
  if (code === 'Z_BUF_ERROR') {
    return new BertuneError('INVALID_DATA', `Expected a complete gzip file at ${path} but it is cut short`, {
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

function notUtf8(path: string, place: Place): string {
  const { byte, line, content } = place.firstBad();
  const guess = guessEncoding(content.bytes, content.at);
  const advice =
    guess === undefined
      ? `name its encoding, e.g. ${option('encoding', 'windows-1251')}, or save it as UTF-8`
      : `it looks like ${guess.encoding}, which gives ${JSON.stringify(guess.word)}: read it with ${option('encoding', guess.encoding)}`;
  return `Expected UTF-8 in ${path} but byte ${byte} (line ${line}) is not; ${advice}`;
}

/** Follows the bytes of a file, to say where they stop being UTF-8. */
class Place {
  /** The present piece, with the start of a character that the one before ended in. */
  private bytes: Buffer = Buffer.alloc(0);
  /** Bytes and line ends before it. */
  private offset = 0;
  private lines = 0;

  next(chunk: Buffer): void {
    const done = this.bytes.length - unfinished(this.bytes);
    this.offset += done;
    for (let at = this.bytes.indexOf(0x0a); at >= 0 && at < done; at = this.bytes.indexOf(0x0a, at + 1)) this.lines++;
    this.bytes = done === this.bytes.length ? chunk : Buffer.concat([this.bytes.subarray(done), chunk]);
  }

  /** The first byte, from 0, that is not UTF-8; its line, from 1, with that byte's place in it. */
  firstBad(): { byte: number; line: number; content: { bytes: Uint8Array; at: number } } {
    for (let start = 0, line = this.lines + 1; ; line++) {
      const newline = this.bytes.indexOf(0x0a, start);
      const end = newline < 0 ? this.bytes.length : newline + 1;
      const bytes = this.bytes.subarray(start, end);
      if (newline < 0 || !isUtf8(bytes)) {
        const at = firstBadByte(bytes);
        return { byte: this.offset + start + at, line, content: { bytes, at } };
      }
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
