// Builds the CUDA backend for this machine's GPU, on all cores, and the addon with it. If the addon cannot be built because OpenBLAS's
// headers are missing, keeps the existing addon and builds the kernels beside it.
//   node scripts/gpu/build.js [NAME=VALUE...]     definitions for CMake
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { addonCommands } from '../cmake.js';
import { main, root, SetupError, say } from '../console.js';
import { withLock } from '../lock.js';
import { capture } from '../process.js';
import { missingForBuild } from '../system.js';

const RELEASE = path.join(root, 'build/Release');
const LIBRARY = 'libbertune_cuda.so';
/** Where the kernels are built by themselves, so that an existing library stays intact until the new one is complete. */
const KERNELS = 'build/cuda-gpu';
const parallel = os.availableParallelism();

/** The commands for addon and kernels. CMake forgets what it decided before there was a GPU. */
function forBoth(definitions) {
  if (!existsSync(path.join(RELEASE, LIBRARY))) {
    for (const name of ['CMakeCache.txt', 'CMakeFiles'])
      rmSync(path.join(root, 'build', name), { recursive: true, force: true });
  }
  return addonCommands('build', { definitions: ['BERTUNE_CUDA=ON', ...definitions], parallel });
}

/** The commands for the kernels alone. */
function forKernels(definitions) {
  return [
    ['-S', 'native/cuda', '-B', KERNELS, ...definitions.map((definition) => `-D${definition}`)],
    ['--build', KERNELS, '--parallel', String(parallel)],
  ];
}

/**
 * @param {string[]} more definitions for CMake, NAME=VALUE each
 * @throws if the build fails, after showing CMake's output
 */
export async function buildForGpu(more) {
  const missing = missingForBuild();
  const keepsAddon = missing !== '' && existsSync(path.join(RELEASE, 'bertune.node'));
  if (keepsAddon) say(`missing: ${missing}; the addon that is there is kept`);
  // Many cores finish sooner with one source at a time.
  const definitions = ['CMAKE_CUDA_ARCHITECTURES=native', ...(parallel > 4 ? ['CMAKE_UNITY_BUILD=OFF'] : []), ...more];
  for (const args of keepsAddon ? forKernels(definitions) : forBoth(definitions)) {
    const began = performance.now();
    const { status, text } = await capture('cmake', args);
    if (status !== 0) {
      process.stderr.write(text);
      throw new SetupError('the build failed; what CMake said stands above');
    }
    const part = args[0] === '--build' ? 'build' : 'configure';
    say(`${part}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  if (!keepsAddon) return;
  const fresh = path.join(RELEASE, `${LIBRARY}.${process.pid}`);
  copyFileSync(path.join(root, KERNELS, LIBRARY), fresh);
  renameSync(fresh, path.join(RELEASE, LIBRARY));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(() => withLock(() => buildForGpu(process.argv.slice(2))));
}
