import { BertuneError } from '../errors.js';
import { decodeUtf8 } from '../files/input.js';
import { endOfString, isObject, MAX_JSON_DEPTH } from '../files/json.js';
import { byteLength, type DescribedTensor, dtypeRank, isDtype, type SafetensorsDtype } from './tensor.js';

/** The format's own limit. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The name that holds metadata in place of a tensor. */
const METADATA = '__metadata__';

/** Half of a surrogate pair: text that UTF-8 cannot hold. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What a header says of one tensor; `begin` and `end` count bytes from the end of the header. */
export interface TensorEntry {
  name: string;
  dtype: SafetensorsDtype;
  shape: number[];
  begin: number;
  end: number;
}

/** A header that was found to be sound. */
export interface Header {
  /** In the order of the file. */
  entries: TensorEntry[];
  metadata: Record<string, string>;
}

/**
 * Reads a header and checks all that it claims.
 *
 * @param bytes the header's JSON
 * @param bodyLength bytes that follow the header in the file
 * @param path for messages
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function parseHeader(bytes: Uint8Array, bodyLength: number, path: string): Header {
  const text = decodeUtf8(bytes, `the header of ${path}`);
  const fault = findJsonFault(text);
  if (fault !== undefined) throw invalid(path, fault);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected JSON in the header of ${path} but ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  if (!isObject(value)) throw invalid(path, 'the header is not an object');

  let metadata: Record<string, string> = {};
  const entries: TensorEntry[] = [];
  for (const [name, item] of Object.entries(value)) {
    if (name === METADATA) metadata = parseMetadata(item, path);
    else entries.push(parseEntry(name, item, path));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(entries, bodyLength, path);
  return { entries, metadata };
}

/**
 * Lays out a file: by alignment (highest first), then name, the header padded with spaces to 8 bytes.
 *
 * @returns the file's beginning (length and header) and the tensors in the order in which they follow
 * @throws BertuneError SHAPE_MISMATCH, INVALID_OPTION naming the tensor
 */
export function formatHeader<T extends DescribedTensor>(
  tensors: ReadonlyMap<string, T>,
  metadata: Readonly<Record<string, string>>,
): { head: Uint8Array; order: T[] } {
  const sorted = [...tensors].sort(([aName, a], [bName, b]) => {
    return dtypeRank(b.dtype) - dtypeRank(a.dtype) || Buffer.compare(Buffer.from(aName), Buffer.from(bName));
  });
  const parts: string[] = [];
  if (Object.keys(metadata).length > 0) parts.push(`"${METADATA}":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const [name, tensor] of sorted) {
    checkTensor(name, tensor);
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, offset + tensor.data.length] };
    // Not through one object: it would put names that look like integers first and lose one named __proto__.
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset += tensor.data.length;
  }
  const json = Buffer.from(`{${parts.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    throw new BertuneError('INVALID_OPTION', `Expected a header of at most ${MAX_HEADER_BYTES} bytes, found ${length}`);
  }
  const head = Buffer.alloc(8 + length, ' ');
  head.writeBigUInt64LE(BigInt(length));
  json.copy(head, 8);
  return { head, order: sorted.map(([, tensor]) => tensor) };
}

function parseMetadata(value: unknown, path: string): Record<string, string> {
  if (!isObject(value) || Object.values(value).some((item) => typeof item !== 'string')) {
    throw invalid(path, `${METADATA} is not a map of strings to strings`);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, item: unknown, path: string): TensorEntry {
  const what = `tensor ${JSON.stringify(name)}`;
  if (LONE_SURROGATE.test(name)) throw invalid(path, `the name of ${what} is not Unicode text`);
  if (!isObject(item)) throw invalid(path, `${what} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = item;
  if (!isDtype(dtype)) throw invalid(path, `${what} has the unknown dtype ${JSON.stringify(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw invalid(path, `${what} has the shape ${brief(shape)}, not a list of non-negative integers`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw invalid(path, `${what} has the data_offsets ${brief(offsets)}, not two non-negative integers`);
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw invalid(path, `${what} ends at byte ${end}, before it begins at ${begin}`);
  const bytes = byteLength(dtype, shape);
  if (bytes !== end - begin) {
    const needed = bytes === undefined ? 'more than 2^53' : bytes;
    throw invalid(
      path,
      `${what} of dtype ${dtype} and shape ${brief(shape)} takes ${needed} bytes, not ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

/** Tensors must follow each other without overlap or hole and fill the file exactly. */
function checkLayout(entries: readonly TensorEntry[], bodyLength: number, path: string): void {
  let position = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== position) {
      const fault = begin < position ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw invalid(path, `tensor ${JSON.stringify(name)} begins at byte ${begin}, not ${position}: it ${fault}`);
    }
    position = end;
  }
  if (position > bodyLength) {
    throw invalid(path, `its tensors take ${position} bytes but only ${bodyLength} are there: it is truncated`);
  }
  if (position < bodyLength) {
    throw invalid(path, `${bodyLength - position} bytes follow its last tensor`);
  }
}

function checkTensor(name: string, tensor: DescribedTensor): void {
  if (name === METADATA || LONE_SURROGATE.test(name)) {
    throw new BertuneError('INVALID_OPTION', `Expected the name of a tensor but received ${JSON.stringify(name)}`);
  }
  if (!isDtype(tensor.dtype) || !tensor.shape.every(isCount)) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected a known dtype and a shape of non-negative integers for tensor ${name} but received ` +
        `${tensor.dtype} and ${brief(tensor.shape)}`,
    );
  }
  const bytes = byteLength(tensor.dtype, tensor.shape);
  if (bytes !== tensor.data.length) {
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected ${bytes} bytes for tensor ${name} of dtype ${tensor.dtype} and shape ${brief(tensor.shape)} but ` +
        `received ${tensor.data.length}`,
    );
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function invalid(path: string, fault: string): BertuneError {
  return new BertuneError('CHECKPOINT_INVALID', `Expected a sound safetensors file but ${path} is not: ${fault}`);
}

const COLON = 0x3a;

/** Commas and colons of a header: those of more than 100,000 tensors. More would hold up the event loop. */
const MOST_PARTS = 2 ** 20;

/**
 * Looks for what JSON.parse lets pass: a key that an object holds twice (the last would win in silence), nesting deeper
 * than 128, and more than a million keys and values.
 *
 * @param text JSON; where it is not valid, JSON.parse is left to say so
 * @returns the fault in words, or undefined
 */
function findJsonFault(text: string): string | undefined {
  /** The keys of each object (and array) that is open; made when there is one. */
  const open: (Set<string> | undefined)[] = [];
  let parts = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
      case '[':
        if (open.push(undefined) > MAX_JSON_DEPTH) return `its header is nested deeper than ${MAX_JSON_DEPTH}`;
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ',':
      case ':':
        if (++parts > MOST_PARTS) return `its header has more than ${MOST_PARTS} keys and values`;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (isKey(text, end)) {
          const key = decode(text.slice(i, end));
          const keys = open.at(-1) ?? new Set();
          open[open.length - 1] = keys;
          if (keys.has(key)) return `the name ${JSON.stringify(key)} occurs twice`;
          keys.add(key);
        }
        i = end - 1;
      }
    }
  }
  return undefined;
}

/** In valid JSON a string is a key if and only if a colon follows. */
function isKey(text: string, end: number): boolean {
  let i = end;
  while (i < text.length && ' \t\n\r'.includes(text[i]!)) i++;
  return text.charCodeAt(i) === COLON;
}

/** "\u0061" and "a" are one key. */
function decode(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}
