import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { stat } from './fs.js';
import { JOURNAL_FILE } from './journal.js';
import { MODEL_FILES, OWN_BASE } from './model-files.js';

/** What tells that a file of a model's directory was replaced, or is about to be. */
const WATCHED = [...MODEL_FILES, JOURNAL_FILE];

/** Milliseconds in which the files are expected to stay the same for as long as they are read. */
const PATIENCE = 30_000;

/**
 * Reads the files of a model's directory that somebody may be writing to, or was when the process died: all the old ones
 * or all the new ones. Reads again where they changed meanwhile. Nothing is written, and nobody is waited for who died.
 *
 * @param read may be called more than once; looks for files as openFile does
 * @throws BertuneError CHECKPOINT_INVALID where the directory does not come to rest; what `read` throws
 */
export async function readSettled<T>(directory: string, read: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE;
  for (;;) {
    const before = await stateOf(directory);
    const result = await read().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ((await stateOf(directory)) === before) {
      if ('error' in result) throw result.error;
      return result.value;
    }
    if (performance.now() > until) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected the files of a model in ${directory} but they keep changing`,
      );
    }
    await sleep(5);
  }
}

/** Changes with every file that is replaced. */
async function stateOf(directory: string): Promise<string> {
  const names = [...WATCHED, ...WATCHED.map((name) => join(OWN_BASE, name))];
  // The weights under an adapter are replaced together with it.
  if (basename(resolve(directory)) === OWN_BASE) names.push(join('..', JOURNAL_FILE));
  const states = names.map(async (name) => {
    const found = await stat(join(directory, name), { bigint: true }).catch(() => undefined);
    return found ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}` : '';
  });
  return (await Promise.all(states)).join();
}
