import { constants } from 'node:buffer';
import { basename, dirname } from 'node:path';
import { BertuneError } from '../errors.js';
import type { OpenFile } from '../files/fs.js';
import { readFully, withFile } from '../files/input.js';
import { type OutputFile, writeFilesAtomic, writeFully } from '../files/output.js';
import { expectString } from '../options/validation.js';
import { formatHeader, type Header, MAX_HEADER_BYTES, parseHeader } from './safetensors-header.js';
import type { LazyTensor, SafetensorsDtype, Tensor } from './tensor.js';

/** What a safetensors file holds. */
export interface Safetensors {
  /** In the order of the file. */
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/** What a safetensors file says it holds. */
export interface SafetensorsHeader {
  /** In the order of the file. */
  tensors: Map<string, { dtype: SafetensorsDtype; shape: number[] }>;
  metadata: Record<string, string>;
}

/** What Hugging Face's libraries write, and look for. */
const DEFAULT_METADATA = { format: 'pt' };

/**
 * Reads a safetensors file. Everything its header claims is checked before memory is taken for its contents.
 *
 * @throws BertuneError NOT_FOUND where there is no file, CHECKPOINT_INVALID where it is not a sound safetensors file,
 *   OUT_OF_MEMORY where its contents do not fit
 */
export async function readSafetensors(path: string): Promise<Safetensors> {
  return withFile(expectString('path', path), async (file, size) => {
    const { entries, metadata, bodyStart } = await readHeader(file, size, path);
    const body = allocate(size - bodyStart, path);
    await readFully(file, body, bodyStart, path);
    const tensors = new Map(
      entries.map(({ name, dtype, shape, begin, end }) => [name, { dtype, shape, data: body.subarray(begin, end) }]),
    );
    return { tensors, metadata };
  });
}

/**
 * Reads names, types and shapes alone, with the same checks as readSafetensors.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(expectString('path', path), async (file, size) => {
    const { entries, metadata } = await readHeader(file, size, path);
    return { tensors: new Map(entries.map(({ name, dtype, shape }) => [name, { dtype, shape }])), metadata };
  });
}

/**
 * Writes a safetensors file atomically, laid out byte for byte as the safetensors library does: by alignment (highest
 * first), then name. The tensors must not change until the promise settles.
 *
 * @param metadata Defaults to `{ format: 'pt' }`, as Hugging Face writes it.
 * @throws BertuneError OUTPUT_REFUSED where the file cannot be written, SHAPE_MISMATCH or INVALID_OPTION for a tensor
 *   that is not sound
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = DEFAULT_METADATA,
): Promise<void> {
  const file = safetensorsFile(basename(expectString('path', path)), tensors, metadata);
  await writeFilesAtomic(dirname(path), [file]);
}

/** A safetensors file for writeFilesAtomic; the tensors are checked at once. Parameters and errors as writeSafetensors. */
export function safetensorsFile(
  name: string,
  tensors: ReadonlyMap<string, Tensor | LazyTensor>,
  metadata: Readonly<Record<string, string>> = DEFAULT_METADATA,
): OutputFile {
  const { head, order } = formatHeader(tensors, metadata);
  const write = async (file: OpenFile) => {
    await writeFully(file, head);
    for (const { data } of order) await writeFully(file, 'read' in data ? await data.read() : data);
  };
  return { name, write };
}

async function readHeader(file: OpenFile, size: number, path: string): Promise<Header & { bodyStart: number }> {
  const start = new Uint8Array(Math.min(size, 64));
  await readFully(file, start, 0, path);
  const length = start.length < 8 ? 0n : new DataView(start.buffer).getBigUint64(0, true);
  const fault =
    start.length < 8
      ? `it has ${size} bytes, fewer than the 8 that the length of a header takes`
      : length > MAX_HEADER_BYTES
        ? `its header claims ${length} bytes, more than the ${MAX_HEADER_BYTES} allowed`
        : length > size - 8
          ? `its header claims ${length} bytes but only ${size - 8} follow: it is truncated`
          : length === 0n || start[8] !== 0x7b
            ? 'its header does not start with {'
            : undefined;
  if (fault !== undefined) {
    const advice = describeForeign(start) ?? fault;
    throw new BertuneError('CHECKPOINT_INVALID', `Expected a safetensors file at ${path} but ${advice}`);
  }
  const bytes = new Uint8Array(Number(length));
  await readFully(file, bytes, 8, path);
  const bodyStart = 8 + bytes.length;
  return { ...parseHeader(bytes, size - bodyStart, path), bodyStart };
}

/** What a file that is no safetensors file seems to be, with advice, or undefined. */
function describeForeign(start: Uint8Array): string | undefined {
  const text = Buffer.from(start).toString('latin1');
  // torch.save writes a zip archive; before version 1.6 a bare pickle of protocol 2.
  if (text.startsWith('PK') || (start[0] === 0x80 && start[1]! >= 2 && start[1]! <= 5)) {
    return `it is a pickle, which can run code when it is read and is never read here. ${CONVERSION_ADVICE}`;
  }
  if (text.startsWith('version https://git-lfs')) {
    return 'it is a Git LFS pointer, not the file itself; fetch it with: git lfs pull';
  }
  if (text.startsWith('\x89HDF')) return 'it is an HDF5 file. Convert it to safetensors with transformers first';
  if (text.startsWith('GGUF')) return 'it is a GGUF file. Use the safetensors of the original model';
  return undefined;
}

/** How a pickle becomes a safetensors file. */
export const CONVERSION_ADVICE =
  'Convert it to safetensors first, where you trust its source, in Python with transformers: ' +
  "AutoModelForSequenceClassification.from_pretrained('DIRECTORY').save_pretrained('NEW_DIRECTORY')";

function allocate(bytes: number, path: string): Uint8Array {
  try {
    // Not zeroed, which would hold up the event loop: all of it is read into before it is seen.
    if (bytes <= constants.MAX_LENGTH) return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
  } catch (cause) {
    throw new BertuneError(
      'OUT_OF_MEMORY',
      `Expected ${bytes} bytes of memory for ${path} but could not allocate them`,
      {
        cause,
      },
    );
  }
  throw new BertuneError(
    'OUT_OF_MEMORY',
    `Expected at most ${constants.MAX_LENGTH} bytes of tensors in ${path} but found ${bytes}; save it in shards`,
  );
}
