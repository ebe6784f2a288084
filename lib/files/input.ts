import { constants, type Stats } from 'node:fs';
import { BertuneError, type ErrorCode } from '../errors.js';
import { noFile, readError } from './errors.js';
import { type OpenFile, open, stat } from './fs.js';
import { locate } from './journal.js';
import { isObject, parseJson } from './json.js';

/* Reading files that others wrote: every failure is a BertuneError that names the file. */

/** Opening a pipe that nobody writes to does not wait. Windows has no such pipes, and no such flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Largest JSON file that is read: far above any config, far below what would stall the process. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** Whether there is a regular file (or a link to one) at the path. */
export async function isFile(path: string): Promise<boolean> {
  const place = await locate(path);
  if (place === undefined) return false;
  // Its writer may give it its name in between.
  const found = await stat(place).catch(() => stat(path).catch(() => undefined));
  return found?.isFile() ?? false;
}

/** Whether there is a directory (or a link to one) at the path. */
export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Opens a regular file, or a link to one. Anything else (a pipe, a device) may have no end, and is refused, also where it
 * takes the file's place at the last moment.
 *
 * @param code of the error where it is no file or cannot be read. Defaults to CHECKPOINT_INVALID
 * @returns the file, for the caller to close, and its size in bytes
 * @throws BertuneError NOT_FOUND where there is nothing; `code`
 */
export async function openFile(
  path: string,
  code: ErrorCode = 'CHECKPOINT_INVALID',
): Promise<{ file: OpenFile; size: number }> {
  const place = await locate(path);
  if (place === undefined) throw noFile(path);
  try {
    return await openAt(place, path, code).catch((cause: NodeJS.ErrnoException) => {
      // Its writer has given it its name in between.
      if (place !== path && cause.code === 'ENOENT') return openAt(path, path, code);
      throw cause;
    });
  } catch (cause) {
    throw readError(path, cause, code);
  }
}

async function openAt(place: string, path: string, code: ErrorCode): Promise<{ file: OpenFile; size: number }> {
  // Before open, which devices may take for a command.
  expectFile(path, await stat(place), code);
  const file = await open(place, OPEN_FLAGS);
  try {
    const status = await file.stat();
    expectFile(path, status, code);
    return { file, size: status.size };
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

/**
 * Opens a regular file, hands it to `use` with its size in bytes, and closes it.
 *
 * @param code as in openFile
 * @throws BertuneError as openFile, and what `use` throws
 */
export async function withFile<T>(
  path: string,
  use: (file: OpenFile, size: number) => Promise<T>,
  code: ErrorCode = 'CHECKPOINT_INVALID',
): Promise<T> {
  const { file, size } = await openFile(path, code);
  try {
    return await use(file, size);
  } catch (cause) {
    throw readError(path, cause, code);
  } finally {
    await file.close();
  }
}

/**
 * Fills `into` from a file, starting at byte `position`.
 *
 * @param code of the error. Defaults to CHECKPOINT_INVALID
 * @throws BertuneError `code` when the file ends before `into` is full
 */
export async function readFully(
  file: OpenFile,
  into: Uint8Array,
  position: number,
  path: string,
  code: ErrorCode = 'CHECKPOINT_INVALID',
): Promise<void> {
  const chunk = 16 * 2 ** 20;
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, Math.min(chunk, into.length - done), position + done);
    if (bytesRead === 0) {
      const found = position + done;
      throw new BertuneError(code, `Expected ${position + into.length} bytes in ${path} but it ends after ${found}`);
    }
    done += bytesRead;
  }
}

/**
 * Reads a whole file.
 *
 * @param most bytes that it may have
 * @param code of the error where it is larger, is no file or cannot be read. Defaults to CHECKPOINT_INVALID
 * @throws BertuneError NOT_FOUND, `code`
 */
export async function readBytes(path: string, most: number, code: ErrorCode = 'CHECKPOINT_INVALID') {
  const read = async (file: OpenFile, size: number) => {
    if (size > most) throw new BertuneError(code, `Expected at most ${most} bytes in ${path}, found ${size}`);
    const bytes = new Uint8Array(size);
    await readFully(file, bytes, 0, path, code);
    return bytes;
  };
  return withFile(path, read, code);
}

/** The text of a whole file in UTF-8. Parameters and errors as readBytes. */
export async function readText(path: string, most: number, code: ErrorCode = 'CHECKPOINT_INVALID'): Promise<string> {
  return decodeUtf8(await readBytes(path, most, code), path, code);
}

/**
 * Reads a JSON file whose outermost value is an object.
 *
 * @param code of the error where it is something else. Defaults to CHECKPOINT_INVALID
 * @throws BertuneError NOT_FOUND, `code`
 */
export async function readJsonObject(
  path: string,
  code: ErrorCode = 'CHECKPOINT_INVALID',
): Promise<Record<string, unknown>> {
  const text = await readText(path, MAX_JSON_BYTES, code);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new BertuneError(code, `Expected JSON in ${path} but ${(cause as Error).message}`, { cause });
  }
  if (!isObject(value)) throw new BertuneError(code, `Expected a JSON object in ${path}`);
  return value;
}

/** @throws BertuneError `code`, CHECKPOINT_INVALID unless given, where the bytes are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, path: string, code: ErrorCode = 'CHECKPOINT_INVALID'): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BertuneError(code, `Expected UTF-8 text in ${path} but found other bytes`, { cause });
  }
}

function expectFile(path: string, status: Stats, code: ErrorCode): void {
  if (status.isFile()) return;
  const kind = status.isDirectory() ? 'a directory' : 'something else';
  throw new BertuneError(code, `Expected a file at ${path} but found ${kind}`);
}
