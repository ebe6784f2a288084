import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { BertuneError } from '../../errors.js';
import { refusal } from '../../files/errors.js';
import { lstat, mkdir, readdir, rename, rm } from '../../files/fs.js';
import { expectWhole, writeManifest } from '../../files/manifest.js';
import { syncDirectory } from '../../files/places.js';
import { option } from '../../options/names.js';

/*
 * The directories checkpoint-N of an output directory. One of that name is always whole: it gets the name once all of it
 * is on the disk, and loses it before anything of it goes.
 */

/** A checkpoint to go on from. */
export interface FoundCheckpoint {
  /** Absolute. */
  directory: string;
  /** What is wrong with newer ones. */
  damaged: string[];
}

/** Name of the checkpoint after so many steps. */
export function checkpointName(step: number): string {
  return `checkpoint-${step}`;
}

/** Steps of the checkpoints in a directory, the latest first. */
export async function checkpointSteps(directory: string): Promise<number[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw new BertuneError('NOT_FOUND', `Expected a directory of checkpoints at ${directory} but ${cause.message}`, {
      cause,
    });
  });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => /^checkpoint-(0|[1-9]\d{0,14})$/.exec(name)?.[1])
    .filter((step) => step !== undefined)
    .map(Number)
    .sort((a, b) => b - a);
}

/**
 * Makes a checkpoint: written under another name, flushed to the disk with the manifest last, then renamed. One that is
 * there already is replaced. On failure nothing is left behind.
 *
 * @param write writes the files; each has to be flushed
 * @returns its path
 * @throws BertuneError OUTPUT_REFUSED; what `write` throws
 */
export async function writeCheckpointDirectory(
  output: string,
  step: number,
  write: (directory: string) => Promise<void>,
): Promise<string> {
  const directory = join(output, checkpointName(step));
  const temporary = temporaryPath(output, step);
  let before: string | undefined;
  try {
    await mkdir(temporary);
    await write(temporary);
    await writeManifest(temporary);
    before = await moveAside(output, step);
    await rename(temporary, directory);
    await syncDirectory(output);
    if (before !== undefined) await rm(before, { recursive: true, force: true });
    return directory;
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    // Where the new one did not get the name, the one before has it again.
    if (before !== undefined) await rename(before, directory).catch(() => undefined);
    throw refusal(directory, cause);
  }
}

/** Removes a checkpoint: its name first. Does nothing where there is none. @throws BertuneError OUTPUT_REFUSED */
export async function removeCheckpoint(output: string, step: number): Promise<void> {
  try {
    const aside = await moveAside(output, step);
    if (aside !== undefined) await rm(aside, { recursive: true, force: true });
  } catch (cause) {
    throw refusal(join(output, checkpointName(step)), cause);
  }
}

/**
 * Checks that a run that starts at the beginning finds no checkpoints of another.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectNoCheckpoints(output: string): Promise<void> {
  const [latest] = await checkpointSteps(output);
  if (latest === undefined) return;
  throw new BertuneError(
    'OUTPUT_REFUSED',
    `${output} holds ${checkpointName(latest)} of another run; continue that run with ` +
      `${option('resume', 'latest')}, or remove its checkpoints`,
  );
}

/** Removes all checkpoints of a directory, the oldest first. @throws BertuneError OUTPUT_REFUSED */
export async function removeCheckpoints(output: string): Promise<void> {
  for (const step of (await checkpointSteps(output)).reverse()) await removeCheckpoint(output, step);
}

/** Takes a checkpoint's name away. @returns where it is now; undefined where there was none */
async function moveAside(output: string, step: number): Promise<string | undefined> {
  const directory = join(output, checkpointName(step));
  if ((await lstat(directory).catch(() => undefined)) === undefined) return undefined;
  const aside = temporaryPath(output, step);
  await rename(directory, aside);
  return aside;
}

/**
 * Finds the checkpoint to go on from.
 *
 * @param wish `latest`: the newest in `output` that is whole; otherwise a checkpoint, or a directory with checkpoints
 * @param output the run's own directory of checkpoints, null without one
 * @returns null where `latest` finds no checkpoint at all
 * @throws BertuneError NOT_FOUND; CHECKPOINT_INVALID where there are some but none of them is whole
 */
export async function findCheckpoint(wish: string, output: string | null): Promise<FoundCheckpoint | null> {
  const within = wish === 'latest' ? output : wish;
  if (within === null) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('resume', 'latest')} needs ${option('outputDirectory')}, where the checkpoints are`,
    );
  }
  const steps = await checkpointSteps(within);
  if (steps.length === 0) {
    if (wish === 'latest') return null;
    await expectWhole(wish).catch((cause) => {
      if (cause instanceof BertuneError && cause.code === 'NOT_FOUND') {
        throw new BertuneError(
          'NOT_FOUND',
          `Expected a checkpoint of a run at ${wish} but found none: ${cause.message}`,
          { cause },
        );
      }
      throw cause;
    });
    return { directory: resolve(wish), damaged: [] };
  }
  const damaged: string[] = [];
  for (const step of steps) {
    const directory = join(within, checkpointName(step));
    try {
      await expectWhole(directory);
      return { directory: resolve(directory), damaged };
    } catch (cause) {
      if (!(cause instanceof BertuneError)) throw cause;
      damaged.push(cause.message);
    }
  }
  throw new BertuneError('CHECKPOINT_INVALID', `Expected a complete checkpoint in ${within} but ${damaged.join('; ')}`);
}

function temporaryPath(output: string, step: number): string {
  return join(output, `.${checkpointName(step)}.${randomBytes(8).toString('hex')}.tmp`);
}
