import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder. */
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Says on stderr, in one line, what is being done; stdout belongs to the command itself. */
export function say(line) {
  process.stderr.write(`bertune: ${line}\n`);
}

/**
 * Does some work. Says what it is, every 15 seconds how long it has taken, so that a compiler that is silent for minutes
 * does not look stuck, and how long it took.
 *
 * @template T
 * @param {string} title
 * @param {() => Promise<T>} work
 * @returns {Promise<T>} the result of the work
 */
export async function timed(title, work) {
  say(title);
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const timer = setInterval(() => say(`${title}: ${seconds().toFixed(0)} s so far`), 15_000);
  try {
    const result = await work();
    say(`${title}: done in ${seconds().toFixed(1)} s`);
    return result;
  } finally {
    clearInterval(timer);
  }
}

/** A failure whose message is all the user needs; any other error shows its stack. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** Runs a script's main function and turns an error into a message and exit status 1. */
export async function main(run) {
  try {
    process.exitCode = (await run()) ?? 0;
  } catch (error) {
    say(error instanceof SetupError ? error.message : (error.stack ?? String(error)));
    process.exitCode = 1;
  }
}
