#!/usr/bin/env node
import { reportFailure } from './exit.js';
import { createProgram } from './program.js';
import { outliveReaders } from './terminal.js';

/** Runs one command; the process ends with its status once everything that runs has ended. */
async function main(): Promise<void> {
  outliveReaders();
  try {
    await createProgram(endWith).parseAsync();
  } catch (error) {
    endWith(error);
  }
}

/** Reports a failure. The status of one that was reported before stays. */
function endWith(error: unknown): void {
  process.exitCode = reportFailure(error) || process.exitCode;
}

await main();
