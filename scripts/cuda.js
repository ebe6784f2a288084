// The builds of the CUDA backend that tests need and users do not: under the emulator, in three ways, and by nvcc for every
// architecture. Each is quick where nothing changed.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root, SetupError, say } from './console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from './files.js';
import { capture, onPath, run } from './process.js';

const jobs = Math.max(1, Math.min(2, os.availableParallelism()));
const output = path.join(root, 'build/Release');
const backendSources = () => listFiles(['native/core', 'native/cuda']);

/** Runs a CMake project's configuration and build; what they print goes to `log`, and is shown when one fails. */
async function cmake(title, source, folder, definitions, log) {
  say(title);
  const start = performance.now();
  const printed = [];
  for (const args of [
    ['-S', source, '-B', folder, ...definitions],
    // A report is of the whole library, so nothing that was compiled before may be left out of it.
    ['--build', folder, '--parallel', String(jobs), ...(log ? ['--clean-first'] : [])],
  ]) {
    const { status, text } = await capture('cmake', args);
    printed.push(text);
    if (status !== 0) {
      process.stderr.write(text);
      throw new SetupError(`${title} failed; what the tool said stands above.`);
    }
  }
  if (log) writeFileSync(path.join(root, log), printed.join(''));
  say(`${title}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** Builds the emulated libraries and the emulator's own test programs beside the addon. */
export async function buildEmulator() {
  const stamp = fingerprint([...backendSources(), ...listFiles(['test/simt'], /\.(cpp|h|cu|txt|map)$/)]);
  const folder = 'build/emulated';
  if (readStamp(`${folder}/.stamp`) === stamp) return;
  await cmake('building the emulated CUDA backend', 'test/simt', folder, [`-DBERTUNE_EMULATED_OUTPUT=${output}`]);
  writeStamp(`${folder}/.stamp`, stamp);
}

/** The toolkit's nvcc, or undefined. */
function findNvcc() {
  if (onPath('nvcc')) return 'nvcc';
  const usual = '/usr/local/cuda/bin/nvcc';
  return existsSync(usual) ? usual : undefined;
}

/** The folder of cublasLt.h in a copy of the nvidia-cublas wheel, which is fetched where it is not there yet. */
async function cublasHeaders() {
  const folder = path.join(root, 'build/cublas');
  const header = () => listFiles(['build/cublas'], /^cublasLt\.h$/)[0];
  if (!header()) {
    mkdirSync(folder, { recursive: true });
    say('fetching the headers of cuBLAS (pip download nvidia-cublas)');
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--retries', '0', '--dest', folder, 'nvidia-cublas'];
    await run('python3', pip, { output: 'failure' }).catch(() => 1);
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
    if (wheel) await run('python3', ['-m', 'zipfile', '-e', path.join(folder, wheel), folder], { output: 'failure' });
  }
  return header() && path.join(root, path.dirname(header()));
}

/** Where the compiler's report of every kernel's registers, local memory and spills goes. */
export const compilerReport = 'build/cuda/report.txt';

/**
 * Compiles and links the CUDA backend for every architecture, and keeps the compiler's report. Nothing is done, and said so,
 * on a machine that has no nvcc or no headers of cuBLAS.
 */
export async function buildCuda() {
  const stamp = fingerprint(backendSources());
  const folder = 'build/cuda';
  if (readStamp(`${folder}/.stamp`) === stamp && existsSync(path.join(root, compilerReport))) return;
  if (!findNvcc()) return say('no nvcc on this machine: the CUDA backend is not compiled for GPUs');
  const toolkit = path.join(path.dirname(findNvcc()), '../include/cublasLt.h');
  const own = existsSync('/usr/local/cuda/include/cublasLt.h') || existsSync(toolkit);
  const headers = own ? '' : await cublasHeaders();
  if (headers === undefined) return say('no headers of cuBLAS: the CUDA backend is not compiled for GPUs');
  await cmake(
    'compiling the CUDA backend',
    'native/cuda',
    folder,
    [`-DBERTUNE_CUBLAS_INCLUDE_DIR=${headers}`],
    compilerReport,
  );
  writeStamp(`${folder}/.stamp`, stamp);
}
