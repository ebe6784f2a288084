import { BertuneError, type ErrorCode } from '../../../lib/errors.js';
import { printable } from '../../../lib/printable.js';

const MOST_CHARACTERS = 2048;

/**
 * What is wrong with the way a file was refused.
 *
 * @param error what was thrown
 * @param codes those that are documented
 * @param directory where the files are: the message has to name it
 * @returns undefined where nothing is
 */
export function refusalFault(error: unknown, codes: readonly ErrorCode[], directory: string): string | undefined {
  if (!(error instanceof BertuneError)) return `a raw ${error instanceof Error ? error.stack : String(error)}`;
  const { code, message } = error;
  if (!codes.includes(code)) return `the code ${code}, not ${codes.join(', ')}: ${message.slice(0, 200)}`;
  if (message.length > MOST_CHARACTERS) return `a message of ${message.length} characters: ${message.slice(0, 200)}`;
  if (printable(message) !== message) return `an unprintable message: ${printable(message)}`;
  if (!message.includes(directory)) return `a message without the file: ${message}`;
  return undefined;
}
