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

/** Building the portable addon takes a minute of both cores. */
export const BUILD_TIMEOUT_MS = 600_000;

export const onLinux = process.platform === 'linux' && process.arch === 'x64';

interface Outcome {
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

let made: Promise<Project> | undefined;

/**
 * The packages, made and installed into an empty project without install scripts; once a process. They are with oneDNN where it
 * was built before, and without otherwise: `npm run test:package` builds it, which takes minutes.
 */
export function installedProject(): Promise<Project> {
  made ??= makeProject();
  return made;
}

async function makeProject(): Promise<Project> {
  const parent = await mkdtemp(join(tmpdir(), 'bertune-package-'));
  process.once('exit', () => rmSync(parent, { recursive: true, force: true }));
  const packages = join(parent, 'packages');
  const folder = join(parent, 'project');
  const script = join(ROOT, 'scripts/package/index.js');
  await run(process.execPath, [script, '--output', packages, ...(builtOneDnn() ? [] : ['--without-onednn'])]);
  await mkdir(folder);
  await writeConsumer(folder, packages);
  await run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder });

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
