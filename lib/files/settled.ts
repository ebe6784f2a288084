import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { stat } from './fs.js';
import { withDirectoryLock } from './lock.js';
import { finishPublication, isUnfinished } from './publication.js';

/** What a model's directory may hold that belongs together. */
const FILES = [
  'config.json',
  'model.safetensors',
  'model.safetensors.index.json',
  'adapter_config.json',
  'adapter_model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'special_tokens_map.json',
  'added_tokens.json',
];

/** Milliseconds in which a writer is expected to give its files their names. */
const PATIENCE = 30_000;

/**
 * Reads the files of a model's directory that somebody may be writing to: all the old ones or all the new ones. Reads
 * again where they changed meanwhile, and finishes what a writer that died had begun to publish.
 *
 * @param read may be called more than once
 * @throws BertuneError CHECKPOINT_INVALID where the directory does not come to rest; what `read` throws
 */
export async function readSettled<T>(directory: string, read: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE;
  for (;;) {
    if (await settle(directory)) {
      const before = await stateOf(directory);
      const result = await read().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      if (!(await isUnfinished(directory)) && (await stateOf(directory)) === before) {
        if ('error' in result) throw result.error;
        return result.value;
      }
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

/** Whether nobody is half-way through giving files their names. */
async function settle(directory: string): Promise<boolean> {
  if (!(await isUnfinished(directory))) return true;
  // Locked, it is being finished by the one who began it.
  const finish = () => finishPublication(directory);
  await withDirectoryLock(directory, finish, { brief: true }).catch((cause: unknown) => {
    if (!(cause instanceof BertuneError && cause.code === 'OUTPUT_REFUSED')) throw cause;
  });
  return !(await isUnfinished(directory));
}

/** Changes with every file that is replaced. */
async function stateOf(directory: string): Promise<string> {
  const names = [...FILES, ...FILES.map((name) => join('base', name))];
  const states = names.map(async (name) => {
    const found = await stat(join(directory, name), { bigint: true }).catch(() => undefined);
    return found ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}` : '';
  });
  return (await Promise.all(states)).join();
}
