import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { rm } from './fs.js';

/** A name for a file that is still being written. */
export function temporaryPath(directory: string): string {
  return join(directory, `.bertune-${randomBytes(8).toString('hex')}.tmp`);
}

/** Whether a name is one that temporaryPath makes. */
export function isTemporaryName(name: unknown): name is string {
  return typeof name === 'string' && /^\.bertune-[0-9a-f]{16}\.tmp$/.test(name);
}

/** Removes a file that means nothing any more. Once more where that fails; what is left then goes with the next save. */
export async function discard(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => rm(path, { force: true }).catch(() => undefined));
}
