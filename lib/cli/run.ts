import { reportFailure } from './exit.js';
import { createProgram } from './program.js';
import { outliveReaders } from './terminal.js';

/**
 * Runs the command of the process's arguments; its exit code is the command's once everything that runs has ended. Never
 * rejects.
 */
export async function run(): Promise<void> {
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
