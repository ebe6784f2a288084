// Builds of the CUDA backend other than the addon's own: three for the emulator, and those by nvcc for the tests and for the
// package of CUDA backends. Each is quick if nothing changed.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root, SetupError, say, timed } from './console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from './files.js';
import { capture, onPath, run } from './process.js';

const jobs = Math.max(1, Math.min(2, os.availableParallelism()));
const output = path.join(root, 'build/Release');
const backendSources = () => listFiles(['native/core', 'native/cuda']);

/** Configures and builds a CMake project; writes what CMake prints to `log`, and shows it on failure. */
function cmake(title, source, folder, { definitions, targets = [], log }) {
  return timed(title, async () => {
    const printed = [];
    for (const args of [
      ['-S', source, '-B', folder, ...definitions],
      // The report covers the whole library, so everything has to be compiled again.
      [
        ...['--build', folder, '--parallel', String(jobs), ...(log ? ['--clean-first'] : [])],
        ...targets.flatMap((target) => ['--target', target]),
      ],
    ]) {
      const { status, text } = await capture('cmake', args);
      printed.push(text);
      if (status !== 0) {
        process.stderr.write(text);
        throw new SetupError(`${title} failed; what the tool said stands above.`);
      }
    }
    if (log) writeFileSync(path.join(root, log), printed.join(''));
  });
}

/**
 * Builds the emulated library and the emulator's own test programs beside the addon.
 *
 * @param {{ strict?: boolean }} [options] strict: the race and asan builds of both as well
 */
export async function buildEmulator({ strict = false } = {}) {
  const stamp = fingerprint([...backendSources(), ...listFiles(['test/simt'], /\.(cpp|h|cu|txt|map)$/)]);
  const folder = 'build/emulated';
  const stampFile = `${folder}/.stamp${strict ? '-strict' : ''}`;
  if (readStamp(stampFile) === stamp) return;
  const definitions = [`-DBERTUNE_EMULATED_OUTPUT=${output}`];
  const targets = strict ? [] : ['fast'];
  await cmake('building the emulated CUDA backend', 'test/simt', folder, { definitions, targets });
  writeStamp(stampFile, stamp);
}

/** The toolkit's nvcc, or undefined. */
function findNvcc() {
  if (onPath('nvcc')) return 'nvcc';
  const usual = '/usr/local/cuda/bin/nvcc';
  return existsSync(usual) ? usual : undefined;
}

/** A Python program that unpacks the headers of a wheel into a folder. */
const EXTRACT_HEADERS = `import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if '/include/' in name])`;

/** The folder of cublasLt.h in a copy of the nvidia-cublas wheel, which is fetched if it is missing. */
async function cublasHeaders() {
  const folder = path.join(root, 'build/cublas');
  const header = () => listFiles(['build/cublas'], /^cublasLt\.h$/)[0];
  if (!header()) {
    mkdirSync(folder, { recursive: true });
    say('fetching the headers of cuBLAS (pip download nvidia-cublas)');
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--retries', '0', '--dest', folder, 'nvidia-cublas'];
    await run('python3', pip, { output: 'failure' }).catch(() => 1);
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
    if (wheel) {
      const file = path.join(folder, wheel);
      await run('python3', ['-c', EXTRACT_HEADERS, file, folder], { output: 'failure' });
      rmSync(file); // 400 MB with its libraries
    }
  }
  return header() && path.join(root, path.dirname(header()));
}

/** Without source lines, and compressed as far as possible. */
const SMALL = ['BERTUNE_CUDA_LINES=OFF', 'CMAKE_CUDA_FLAGS=--compress-mode=size', 'CMAKE_SHARED_LINKER_FLAGS=-s'];

/** The builds by nvcc: the folder for the library and the compiler's report, report.txt, and the definitions for CMake. */
export const CUDA_BUILDS = {
  /**
   * Tests read its report, and see that it links. No source depends on the architecture, so today's data-center GPU
   * stands for all six; the package's build reads the report on each.
   */
  tests: { folder: 'build/cuda', definitions: ['CMAKE_CUDA_ARCHITECTURES=90-real', 'BERTUNE_CUDA_LINES=OFF'] },
  /** What a machine with a data-center GPU falls back on if it cannot build its own: see scripts/gpu/pack.js. */
  firstLight: {
    folder: 'build/cuda-first-light',
    definitions: ['CMAKE_CUDA_ARCHITECTURES=80-real;90-real', ...SMALL],
  },
  /** Every architecture. */
  package: {
    folder: 'build/cuda-package',
    definitions: SMALL,
  },
};

/**
 * Compiles and links the CUDA backend, and keeps the compiler's report on every kernel's registers, local memory and spills.
 * On a machine without nvcc or cuBLAS's headers it says so and does nothing.
 *
 * @param {{ folder: string, definitions: string[] }} [build] one of CUDA_BUILDS. Defaults to the one for tests.
 * @returns {Promise<boolean>} whether the library is there
 */
export async function buildCuda({ folder, definitions } = CUDA_BUILDS.tests) {
  const stamp = fingerprint([...backendSources(), ...listFiles(['native/portable'])], ...definitions);
  const made = ['report.txt', 'libbertune_cuda.so'].map((name) => path.join(root, folder, name));
  if (readStamp(`${folder}/.stamp`) === stamp && made.every((file) => existsSync(file))) return true;
  if (!findNvcc()) return missing('no nvcc on this machine');
  const toolkit = path.join(path.dirname(findNvcc()), '../include/cublasLt.h');
  const own = existsSync('/usr/local/cuda/include/cublasLt.h') || existsSync(toolkit);
  const headers = own ? '' : await cublasHeaders();
  if (headers === undefined) return missing('no headers of cuBLAS');
  const all = [`BERTUNE_CUBLAS_INCLUDE_DIR=${headers}`, ...definitions].map((definition) => `-D${definition}`);
  await cmake('compiling the CUDA backend', 'native/cuda', folder, { definitions: all, log: `${folder}/report.txt` });
  writeStamp(`${folder}/.stamp`, stamp);
  return true;
}

function missing(what) {
  say(`${what}: the CUDA backend is not compiled for GPUs`);
  return false;
}
