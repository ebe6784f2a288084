import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder. */
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Says on stderr, in one line, what is being done; stdout is left to the command itself. */
export function say(line) {
  process.stderr.write(`bertune: ${line}\n`);
}

/** A failure whose message is all the user needs; anything else that is thrown shows its stack. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** Runs a script's main function and turns what it throws into a message and exit status 1. */
export async function main(run) {
  try {
    process.exitCode = (await run()) ?? 0;
  } catch (error) {
    say(error instanceof SetupError ? error.message : (error.stack ?? String(error)));
    process.exitCode = 1;
  }
}
