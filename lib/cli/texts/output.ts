import { basename, dirname } from 'node:path';
import { BertuneError } from '../../errors.js';
import { lstat, realpath } from '../../files/fs.js';
import { expectFilePlaces, writeFilesAtomic, writeFully } from '../../files/output.js';

/**
 * Checks that a file can be written, before the work that makes it.
 *
 * @param options.overwrite whether one that is there is replaced
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectOutputFile(path: string, { overwrite }: { overwrite: boolean }): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isDirectory() && !overwrite) {
    throw new BertuneError('OUTPUT_REFUSED', `There is a file ${path} already; pass --overwrite to replace it`);
  }
  await expectFilePlaces(dirname(path), [basename(path)]);
}

/**
 * Refuses to write predictions over the file that they are about, under whatever name.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectOtherFile(output: string, input: string): Promise<void> {
  const [there, read] = await Promise.all([output, input].map((path) => realpath(path).catch(() => undefined)));
  if (there === undefined || there !== read) return;
  throw new BertuneError('OUTPUT_REFUSED', `--output ${output} is the file that --file reads; give it another name`);
}

/**
 * Writes a file piece by piece under a temporary name, and gives it its own when it is whole: on failure nothing is left,
 * and a file that had been there is as it was.
 *
 * @param pieces what it holds; the next is asked for when the one before is written
 * @param head what its first bytes are in the end. Defaults to those of the pieces.
 * @throws BertuneError OUTPUT_REFUSED; what `pieces` throws
 */
export async function writeOutputFile(
  path: string,
  pieces: AsyncIterable<string | Uint8Array>,
  head?: () => Uint8Array,
): Promise<void> {
  const write = async (file: Parameters<typeof writeFully>[0]) => {
    for await (const piece of pieces) await writeFully(file, typeof piece === 'string' ? Buffer.from(piece) : piece);
    if (head !== undefined) await writeFully(file, head(), 0);
  };
  await writeFilesAtomic(dirname(path), [{ name: basename(path), write }]);
}
