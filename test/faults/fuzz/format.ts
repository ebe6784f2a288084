import type { ErrorCode } from '../../../lib/errors.js';
import type { Random } from './random.js';

/** Files that are to be read, and how they came about. */
export interface Input {
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** What is wrong with them, in words. */
  readonly what: string;
  /** One of many that differ in their length alone: `npm test -- --all` takes some of them. */
  readonly isCut?: true;
}

/** A kind of file that is read here, with what may come of reading it. */
export interface Format {
  /** Writes the files that stay as they are. Defaults to nothing. */
  prepare?(directory: string): Promise<void>;
  /** Inputs that are always tried: cut at every byte, and what once went wrong. */
  readonly fixed: readonly Input[];
  /** A bad input, decided by the random numbers alone. */
  generate(random: Random): Input;
  /** Reads the files as users do. Throws a BertuneError where they are refused, and Unsound where they should have been. */
  read(directory: string): Promise<void>;
  /** The codes a refusal may have. */
  readonly codes: readonly ErrorCode[];
}

/** An input that was accepted but should not have been. */
export class Unsound extends Error {}

/** @throws Unsound unless `condition` holds */
export function sound(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Unsound(what);
}

/** A file cut at every byte, or at evenly spread ones where it is long. */
export function cuts(name: string, bytes: Uint8Array, most = 6000): Input[] {
  const step = Math.max(1, Math.ceil(bytes.length / most));
  const inputs: Input[] = [];
  for (let end = 0; end < bytes.length; end += step) {
    inputs.push({
      files: { [name]: bytes.subarray(0, end) },
      what: `cut to ${end} of ${bytes.length} bytes`,
      isCut: true,
    });
  }
  return inputs;
}
