import type { Command } from 'commander';
import { type Pushed, pushModel } from '../hub/push.js';
import { given } from './arguments.js';
import { interruptibly } from './exit.js';
import { Progress } from './progress.js';
import { writeResult } from './terminal.js';

interface PushArguments {
  revision?: string;
  message?: string;
  public?: true;
  quiet?: true;
}

/** Adds `bertune push`. */
export function pushCommand(program: Command): void {
  program
    .command('push')
    .description('push a saved model to the Hugging Face hub, private unless --public, and print its address')
    .argument('<dir>', 'folder that train or export wrote')
    .argument('<name>', 'repository, org/name; created if it does not exist')
    .option('--revision <branch>', 'branch to push to', 'main')
    .option('--message <text>', 'message of the commit (default: Upload model with Bertune)')
    .option('--public', 'make a new repository public, or allow pushing to a public one')
    .option('--quiet', 'print only errors to stderr')
    .action(push);
}

async function push(directory: string, name: string, options: PushArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  const { revision, message, public: isPublic } = options;
  await interruptibly(progress, async (signal) => {
    const { url } = await pushing(directory, name, progress, {
      ...given({ revision, message, public: isPublic }),
      signal,
    });
    await writeResult(`${url}\n`);
  });
}

/** Pushes a model, with its progress and what is worth knowing. */
export async function pushing(
  directory: string,
  name: string,
  progress: Progress,
  options: NonNullable<Parameters<typeof pushModel>[2]>,
): Promise<Pushed> {
  const pushed = await pushModel(directory, name, {
    ...options,
    onProgress: ({ file, share }) => progress.update(`push ${file}`, { done: share, total: 1 }),
  });
  progress.clear();
  for (const note of pushed.notes) progress.note(`note: ${note}`);
  progress.note(`pushed ${pushed.files.length} files of ${directory} to ${pushed.url}`);
  return pushed;
}
