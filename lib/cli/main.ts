#!/usr/bin/env node
import { reportFailure } from './exit.js';
import { createProgram } from './program.js';
import { outliveReaders } from './terminal.js';

/** Runs one command; the process ends with its status once everything that runs has ended. */
async function main(): Promise<void> {
  outliveReaders();
  try {
    await createProgram((error) => void endWith(error)).parseAsync();
  } catch (error) {
    await endWith(error);
  }
}

/** Reports a failure. The status of one that was reported before stays. */
async function endWith(error: unknown): Promise<void> {
  process.exitCode = (await reportFailure(error)) || process.exitCode;
}

await main();
