import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root, SetupError, say, timed } from './console.js';
import { onPath, run, succeeds } from './process.js';

/**
 * Where package managers put OpenBLAS's headers: the folders that cmake/FindBertuneBlas.cmake searches.
 * `{triplet}` is Debian's name for the architecture.
 */
const headerFolders = [
  '/usr/include/{triplet}/openblas-pthread',
  '/usr/include/{triplet}/openblas-openmp',
  '/usr/include/{triplet}/openblas-serial',
  '/usr/include/{triplet}',
  '/usr/include/openblas',
  '/usr/include',
  '/usr/local/include/openblas',
  '/usr/local/include',
  '/usr/local/opt/openblas/include',
  '/opt/OpenBLAS/include',
  '/home/linuxbrew/.linuxbrew/opt/openblas/include',
];

const triplets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu', ppc64: 'powerpc64le-linux-gnu' };

/** Folders that the user names, for one library or for CMake. */
const ownPrefixes = (home) => [home, ...(process.env.CMAKE_PREFIX_PATH ?? '').split(path.delimiter)].filter(Boolean);

function hasOpenBlas() {
  if (process.platform === 'darwin') return true; // Accelerate is part of the system
  const own = ownPrefixes(process.env.OpenBLAS_HOME).flatMap((prefix) => [
    path.join(prefix, 'include'),
    path.join(prefix, 'include', 'openblas'),
  ]);
  const triplet = triplets[process.arch] ?? `${process.arch}-linux-gnu`;
  const folders = [...own, ...headerFolders.map((folder) => folder.replace('{triplet}', triplet))];
  const header = folders.map((folder) => path.join(folder, 'cblas.h')).filter((file) => existsSync(file));
  if (header.some((file) => readFileSync(file, 'utf8').includes('openblas_set_num_threads'))) return true;
  return onPath('pkg-config') && succeeds('pkg-config', ['--exists', 'openblas']);
}

const hasOneDnn = () =>
  [...ownPrefixes(process.env.DNNLROOT), '/usr', '/usr/local'].some((prefix) =>
    existsSync(path.join(prefix, 'include/oneapi/dnnl/dnnl.hpp')),
  );

function hasCompiler() {
  return Boolean(process.env.CXX) || ['c++', 'g++', 'clang++'].some(onPath);
}

/** What a native build needs, and the package that has it, by package manager. */
const requirements = [
  { name: 'a C++ compiler', present: hasCompiler, apt: 'g++', dnf: 'gcc-c++' },
  {
    name: 'make or ninja',
    present: () => onPath('make') || onPath('ninja'),
    apt: 'make',
    dnf: 'make',
  },
  { name: 'CMake', present: () => onPath('cmake'), apt: 'cmake', dnf: 'cmake', brew: 'cmake' },
  { name: 'OpenBLAS with its headers', present: hasOpenBlas, apt: 'libopenblas-dev', dnf: 'openblas-devel' },
];

/** Optional: the addon is faster with it, and has bf16 and int8. */
const oneDnn = { name: 'oneDNN with its headers', present: hasOneDnn, apt: 'libdnnl-dev', dnf: 'onednn-devel' };

/** Optional: trains one model with several processes. A build uses what is there; tests use both. */
const mpis = [
  {
    name: 'Open MPI',
    present: () => onPath('mpicc.openmpi') && onPath('mpirun.openmpi'),
    apt: ['libopenmpi-dev', 'openmpi-bin'],
  },
  { name: 'MPICH', present: () => onPath('mpicc.mpich') && onPath('mpiexec.mpich'), apt: ['libmpich-dev', 'mpich'] },
];

const missing = () => requirements.filter((requirement) => !requirement.present());
const names = (list) => list.map(({ name }) => name).join(', ');

/** What a build of the addon needs and this machine lacks, in words; empty if it lacks nothing. */
export const missingForBuild = () => names(missing());

/** The command that a person would type to install what is missing. */
function advice(list) {
  const packages = (manager) => list.flatMap((requirement) => requirement[manager] ?? []).join(' ');
  if (process.platform === 'darwin') {
    const brew = packages('brew');
    return [list.some(({ brew }) => !brew) && 'xcode-select --install', brew && `brew install ${brew}`]
      .filter(Boolean)
      .join(' && ');
  }
  if (onPath('apt-get')) return `sudo apt-get update && sudo apt-get install -y ${packages('apt')}`;
  if (onPath('dnf')) return `sudo dnf install -y ${packages('dnf')}`;
  return `install with your system's package manager: ${names(list)}`;
}

/** The prefix that lets apt-get run without asking anyone, or undefined if there is none. */
function aptPrefix() {
  if (process.platform !== 'linux' || !onPath('apt-get')) return undefined;
  if (process.getuid() === 0) return [];
  return onPath('sudo') && succeeds('sudo', ['-n', 'true']) ? ['sudo', '-n'] : undefined;
}

/** Installs what is optional if that needs nobody's permission; else says what is left out. */
async function ensureOptional(list, install, leftOut) {
  const wanted = list.filter((requirement) => !requirement.present());
  if (wanted.length === 0) return;
  const prefix = install ? aptPrefix() : undefined;
  try {
    if (prefix) return await aptInstall(prefix, wanted);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
  }
  say(`note: ${leftOut}. To have it: ${advice(wanted)}`);
}

/** oneDNN, except on macOS, where Accelerate multiplies. */
async function ensureOneDnn(install) {
  if (process.platform === 'darwin') return;
  await ensureOptional([oneDnn], install, 'without oneDNN the CPU is slower, and has no bf16 and no int8');
}

/** The MPIs that tests use. */
export const ensureMpi = () =>
  ensureOptional(
    mpis,
    true,
    `without ${names(mpis.filter(({ present }) => !present()))}, tests with several processes are left out`,
  );

/** The compilers of MPI that a build would find. */
export const foundMpis = () => ['mpicc.openmpi', 'mpicc.mpich', 'mpicc'].filter(onPath);

async function aptInstall(prefix, list) {
  const apt = async (...args) => {
    const [command, ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args];
    return (await run(command, rest, { output: 'failure' })) === 0;
  };
  const packages = list.flatMap((requirement) => requirement.apt);
  await timed(`installing ${packages.join(' ')} with apt-get, for ${names(list)}`, async () => {
    await apt('update'); // may fail because of one broken source; the next line tells whether that matters
    if (!(await apt('install', '-y', '--no-install-recommends', ...packages))) {
      throw new SetupError(`apt-get could not install ${packages.join(' ')}. Run this by hand:\n  ${advice(list)}`);
    }
  });
}

/** Whether a version is in a range as package.json's `engines` writes them: `>=20.19`, `^20.19.0 || >=22.12.0`. */
export function fitsEngines(range, version) {
  const numbers = (text) => text.split('.').map(Number);
  const found = numbers(version);
  return range.split('||').some((part) => {
    const [, operator, least] = part.trim().match(/^(>=|\^)([\d.]+)$/) ?? [];
    if (!least) throw new Error(`Expected >= or ^ and a version in engines but found ${part}`);
    const wanted = numbers(least);
    const newer = wanted.map((number, i) => found[i] - number).find((difference) => difference !== 0) ?? 0;
    return newer >= 0 && (operator === '>=' || found[0] === wanted[0]);
  });
}

/** Throws unless package.json's `engines` allows this Node.js. */
export function checkNode() {
  const { engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  if (!fitsEngines(engines.node, process.versions.node)) {
    throw new SetupError(`Node.js ${engines.node} is needed, this is ${process.versions.node}. See https://nodejs.org`);
  }
}

/**
 * Installs the missing system packages that a build needs, or throws an error with the command that would.
 *
 * @param {{ install?: boolean }} [options] install: whether to install them; false: only say what is missing. Defaults to true.
 */
export async function ensureSystemPackages({ install = true } = {}) {
  await ensureRequirements(install);
  await ensureOneDnn(install);
}

async function ensureRequirements(install) {
  const before = missing();
  if (before.length === 0) return;
  const prefix = install ? aptPrefix() : undefined;
  if (!prefix) throw new SetupError(`missing: ${names(before)}. Run this, then try again:\n  ${advice(before)}`);
  await aptInstall(prefix, before);
  const after = missing();
  if (after.length > 0)
    throw new SetupError(`still missing after apt-get: ${names(after)}. Run this by hand:\n  ${advice(after)}`);
}
