import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { builtOneDnn } from '../../scripts/package/onednn.js';
import { writeConsumer } from './consumer.js';

const run = promisify(execFile);

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const OWN_ADDON = join(ROOT, 'build/Release/bertune.node');

/** Building the portable addon takes a minute of both cores. */
export const BUILD_TIMEOUT_MS = 600_000;

export const onLinux = process.platform === 'linux' && process.arch === 'x64';

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

export interface Project {
  folder: string;
  /** Where the packages were made, as folders and .tgz files. */
  packages: string;
  /** Runs a program in the project; what a test of this repository is told in variables is not told to it. */
  execute(program: string, args: string[], environment?: NodeJS.ProcessEnv): Promise<Outcome>;
  /** Runs the project's `bertune`. */
  bertune(args: string[], environment?: NodeJS.ProcessEnv): Promise<Outcome>;
}

/** Whether the addon of the packages is the portable one, with oneDNN: where that was built before. */
export const isPortable = builtOneDnn() !== undefined;

const made = new Map<string, Promise<Project>>();

/**
 * The packages, made and installed into an empty project; once a process. Their addon is the clone's own
 * where there is no portable one: `npm run test:package` builds that, which takes minutes.
 *
 * @param arch the processor that npm installs them for, as Node.js calls it
 */
export function installedProject(arch: 'x64' | 'arm64' = 'x64'): Promise<Project> {
  if (!made.has(arch)) made.set(arch, makeProject(arch));
  return made.get(arch)!;
}

async function makeProject(arch: string): Promise<Project> {
  const parent = await mkdtemp(join(tmpdir(), 'bertune-package-'));
  process.once('exit', () => rmSync(parent, { recursive: true, force: true }));
  const packages = join(parent, 'packages');
  const folder = join(parent, 'project');
  const script = join(ROOT, 'scripts/package/index.js');
  const options = [...(arch === 'arm64' ? ['--arm64'] : []), ...(isPortable ? [] : ['--addon', OWN_ADDON])];
  await run(process.execPath, [script, '--output', packages, ...options]);
  await mkdir(folder);
  await writeConsumer(folder, packages);
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['ci', '--cpu', arch, ...quiet], { cwd: folder });

  async function execute(program: string, args: string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const { NODE_OPTIONS: _, BERTUNE_ADDON: __, ...inherited } = process.env;
    const options = { cwd: folder, env: { ...inherited, ...environment } };
    try {
      return { status: 0, ...(await run(program, args, options)) };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { status: code, stdout, stderr };
    }
  }
  const bertune: Project['bertune'] = (args, environment) =>
    execute(join(folder, 'node_modules/.bin/bertune'), args, environment);
  return { folder, packages, execute, bertune };
}
