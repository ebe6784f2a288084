import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { BertuneError } from '../errors.js';

/** Where a model was saved at last. */
export interface Saved {
  directory: string;
  /** What was wrong with the directory that was asked for, and where the model is instead; null where nothing was. */
  refusal: BertuneError | null;
}

/**
 * Saves a model that took long to train: in the directory that was asked for, else beside it, else where temporary files
 * go.
 *
 * @param save writes to a directory, which may not be there yet
 * @throws BertuneError OUTPUT_REFUSED listing what was tried; what `save` throws but that
 */
export async function saveSomewhere(output: string, save: (directory: string) => Promise<void>): Promise<Saved> {
  const refusals: BertuneError[] = [];
  for (const directory of placesFor(output)) {
    try {
      await save(directory);
    } catch (cause) {
      if (!(cause instanceof BertuneError) || cause.code !== 'OUTPUT_REFUSED') throw cause;
      refusals.push(cause);
      continue;
    }
    const [first] = refusals;
    return { directory, refusal: first ? savedElsewhere(first, directory) : null };
  }
  throw new BertuneError(
    'OUTPUT_REFUSED',
    `The model could not be saved anywhere and is lost: ${refusals.map(({ message }) => message).join('; ')}`,
    { cause: refusals[0] },
  );
}

/** An error that says where the model is although it happened. */
export function savedElsewhere(cause: BertuneError, directory: string): BertuneError {
  return new BertuneError(cause.code, `${cause.message}; the model is saved in ${directory}`, { cause });
}

function placesFor(output: string): string[] {
  const place = resolve(output);
  return [output, unused(place), unused(join(tmpdir(), `bertune-${basename(place)}`))];
}

/** A name that nothing has: with `-2`, `-3`, ... */
function unused(path: string): string {
  for (let n = 2; ; n++) if (!existsSync(`${path}-${n}`)) return `${path}-${n}`;
}
