import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const run = promisify(execFile);

/** A project of a user's own: an empty folder in which `bertune` is installed, and nothing else of the repository. */
export class UserProject {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(folder: string, environment: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.#environment = environment;
  }

  /** @param environment variables for everything that runs in it */
  static async create(environment: NodeJS.ProcessEnv = {}): Promise<UserProject> {
    const folder = await mkdtemp(join(tmpdir(), 'bertune-project-'));
    const modules = join(folder, 'node_modules');
    await mkdir(join(modules, '.bin'), { recursive: true });
    // The packages that examples use beside bertune are those of the repository.
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      if (!name.startsWith('.')) await symlink(join(ROOT, 'node_modules', name), join(modules, name));
    }
    await symlink(ROOT, join(modules, 'bertune'));
    // As npm installs it: a command that can be run, which the compiler's output is not.
    const command = `#!/bin/sh\nexec node ${JSON.stringify(join(ROOT, 'dist/cli/main.js'))} "$@"\n`;
    await writeFile(join(modules, '.bin/bertune'), command, { mode: 0o755 });
    for (const name of ['tsc', 'tsx', 'esbuild']) {
      await symlink(join(ROOT, 'node_modules/.bin', name), join(modules, '.bin', name));
    }
    // npm's own takes longer to find a command than most of them take.
    const npx = `#!/bin/sh\ncommand=${JSON.stringify(join(modules, '.bin'))}/$1\nshift\nexec "$command" "$@"\n`;
    await mkdir(join(modules, '.npx'));
    await writeFile(join(modules, '.npx/npx'), npx, { mode: 0o755 });
    await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
    return new UserProject(folder, environment);
  }

  /** Runs a shell script; the promise rejects, with what it printed, where a command fails. */
  async shell(script: string): Promise<{ stdout: string; stderr: string }> {
    // Where its input is a socket, as here, bash reads the system's own settings otherwise.
    return run('bash', ['--norc', '-eu', '-o', 'pipefail', '-c', script], {
      cwd: this.folder,
      env: {
        ...process.env,
        npm_config_offline: 'true',
        ...this.#environment,
        PATH: [join(this.folder, 'node_modules/.npx'), this.#environment.PATH ?? process.env.PATH].join(delimiter),
      },
      maxBuffer: 1 << 26,
    });
  }

  /** Writes a file, and the folders it lies in. */
  async write(name: string, text: string): Promise<void> {
    const file = join(this.folder, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
