import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { BertuneError, type ErrorCode } from '../../lib/errors.js';
import type { Tensor } from '../../lib/formats/tensor.js';

/** The path of a file or folder of test/fixtures. */
export function fixture(...parts: string[]): string {
  return join(fileURLToPath(new URL('../fixtures', import.meta.url)), ...parts);
}

/** Gives each test of the suite a directory of its own, which is removed afterwards. */
export function useTemporaryDirectory(): { path(...parts: string[]): string } {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bertune-test-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });
  return {
    path(...parts) {
      if (directory === '') throw new Error('Expected a test, or a hook beforeEach, to be under way');
      return join(directory, ...parts);
    },
  };
}

/** Expects a BertuneError of this code whose message matches all patterns, and returns it. */
export async function expectRefusal(
  work: Promise<unknown> | (() => unknown),
  code: ErrorCode,
  ...patterns: (RegExp | string)[]
): Promise<BertuneError> {
  let error: unknown;
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (caught) {
    error = caught;
  }
  expect(error, 'an error').to.be.instanceOf(BertuneError);
  const refusal = error as BertuneError;
  expect(refusal.code, refusal.message).to.equal(code);
  for (const pattern of patterns) {
    if (typeof pattern === 'string') expect(refusal.message).to.include(pattern);
    else expect(refusal.message).to.match(pattern);
  }
  return refusal;
}

/** A file laid out as safetensors, whatever the header says. */
export function rawSafetensors(header: string | Uint8Array, body: number | Uint8Array = 0, length?: bigint): Buffer {
  const json = Buffer.from(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([size, json, typeof body === 'number' ? Buffer.alloc(body) : body]);
}

/** Tensors as plain values that chai can compare. */
export function comparable(tensors: ReadonlyMap<string, Tensor>): Record<string, unknown> {
  return Object.fromEntries(
    [...tensors]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: Buffer.from(data).toString('hex') }]),
  );
}

/** Copies a folder, unless source and target are the same, and changes its JSON file. */
export async function copyWith(
  source: string,
  target: string,
  file: string,
  change: (value: Record<string, unknown>) => void,
): Promise<string> {
  if (source !== target) await cp(source, target, { recursive: true, dereference: true });
  const value = JSON.parse(await readFile(join(target, file), 'utf8')) as Record<string, unknown>;
  change(value);
  await writeFile(join(target, file), JSON.stringify(value));
  return target;
}
