import { BertuneError } from '../errors.js';

/** The longest row that is read, in characters: a line of JSON, an object, a record of columns. */
export const MOST_ROW_CHARACTERS = 4 * 2 ** 20;

/** The longest header line, in characters. */
export const MOST_HEADER_CHARACTERS = 256 * 2 ** 10;

/** What a compressed file may always unpack to, in bytes ... */
const FREE_BYTES = 2 * 2 ** 20;

/** ... and for each of its own bytes. Text is packed to a tenth; what is made to fill the memory, to a thousandth. */
const MOST_RATIO = 100;

/** @throws BertuneError INVALID_DATA for a row, as far as it was read, that is too long to be one */
export function expectRow(path: string, line: number, characters: number, most = MOST_ROW_CHARACTERS): void {
  if (characters <= most) return;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected at most ${most} characters in the row at ${path}, line ${line}, but it is longer`,
  );
}

/** @throws BertuneError INVALID_DATA where so few bytes unpack to so many that they can only be meant to fill the memory */
export function expectRatio(path: string, packed: number, unpacked: number): void {
  if (unpacked <= FREE_BYTES + MOST_RATIO * packed) return;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected data in ${path} but its ${packed} bytes unpack to more than ${MOST_RATIO} times as many`,
  );
}
