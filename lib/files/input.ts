import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { BertuneError } from '../errors.js';

/* Reading files that others wrote: every failure is a BertuneError that names the file. */

/** Largest JSON file that is read: far above any config, far below what would stall the process. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** Whether there is a regular file (or a link to one) at the path. */
export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

/** Whether there is a directory (or a link to one) at the path. */
export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Opens a regular file, hands it to `use` with its size in bytes, and closes it.
 *
 * @throws BertuneError NOT_FOUND where there is nothing, CHECKPOINT_INVALID where it is no file or cannot be read
 */
export async function withFile<T>(path: string, use: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  try {
    // Before open, which would wait forever on a pipe that nobody writes to.
    const status = await stat(path);
    if (!status.isFile()) {
      const kind = status.isDirectory() ? 'a directory' : 'something else';
      throw new BertuneError('CHECKPOINT_INVALID', `Expected a file at ${path} but found ${kind}`);
    }
    const file = await open(path, 'r');
    try {
      return await use(file, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw readError(path, cause);
  }
}

/**
 * Fills `into` from a file, starting at byte `position`.
 *
 * @throws BertuneError CHECKPOINT_INVALID when the file ends before `into` is full
 */
export async function readFully(file: FileHandle, into: Uint8Array, position: number, path: string): Promise<void> {
  const chunk = 16 * 2 ** 20;
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, Math.min(chunk, into.length - done), position + done);
    if (bytesRead === 0) {
      const found = position + done;
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected ${position + into.length} bytes in ${path} but it ends after ${found}`,
      );
    }
    done += bytesRead;
  }
}

/**
 * Reads a JSON file whose outermost value is an object.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const text = await withFile(path, async (file, size) => {
    if (size > MAX_JSON_BYTES) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected at most ${MAX_JSON_BYTES} bytes in ${path}, found ${size}`,
      );
    }
    const bytes = new Uint8Array(size);
    await readFully(file, bytes, 0, path);
    return decodeUtf8(bytes, path);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected JSON in ${path} but ${(cause as Error).message}`, { cause });
  }
  if (!isObject(value)) throw new BertuneError('CHECKPOINT_INVALID', `Expected a JSON object in ${path}`);
  return value;
}

/** @throws BertuneError CHECKPOINT_INVALID where the bytes are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected UTF-8 text in ${path} but found other bytes`, { cause });
  }
}

/** Whether a value from JSON is an object, neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readError(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException | null)?.code;
  if (cause instanceof BertuneError || typeof code !== 'string') return cause;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new BertuneError('NOT_FOUND', `Expected a file at ${path} but there is none`, { cause });
  }
  const reason = (cause as Error).message;
  return new BertuneError('CHECKPOINT_INVALID', `Expected to read ${path} but ${reason}`, { cause });
}
