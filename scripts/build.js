// Builds what is out of date: the addon (CMake) into build/Release, the TypeScript (tsc, esbuild) into dist.
// node scripts/build.js [--native | --typescript] [--cuda] [--force]
//   --cuda   the CUDA backend as well, with or without a GPU: for this machine's GPU if it has one, else for every architecture
// In an installed package, which has no TypeScript to build, `npx bertune build` runs it with --native.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { addonCommands } from './cmake.js';
import { compiled } from './compiled.js';
import { main, root, SetupError, timed } from './console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from './files.js';
import { withLock } from './lock.js';
import { run } from './process.js';
import { checkNode, ensureMpi, ensureSystemPackages, foundMpis } from './system.js';

/** TypeScript 7, several times as fast as the `typescript` whose API typedoc asks for. */
export const tsc = 'node_modules/typescript-native/bin/tsc';

/** What a native build takes from the machine: the processor's features, the compiler, the folder. */
function machine() {
  let flags = '';
  try {
    flags = readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:.*$/m)?.[0] ?? '';
  } catch {
    // Elsewhere than on Linux the processor's name has to do.
  }
  const { CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS, OpenBLAS_HOME } = process.env;
  const environment = JSON.stringify({ CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS, OpenBLAS_HOME });
  return fingerprint([], root, process.platform, process.arch, os.cpus()[0]?.model ?? '', flags, environment);
}

/** Runs one build's commands; shows what they print when one fails, or as it comes if `verbose`. */
export function step(title, program, commands, verbose) {
  return timed(title, async () => {
    for (const args of commands) {
      if ((await run(program, args, { output: verbose ? 'stderr' : 'failure' })) !== 0) {
        throw new SetupError(`${title} failed; what the tool said stands above.`);
      }
    }
  });
}

/** Builds build/Release/bertune.node when its sources or the machine changed. */
export async function buildNative({ force = false, verbose = false, cuda = false } = {}) {
  const host = `${machine()}${cuda ? '+cuda' : ''}`;
  const sources = listFiles(['CMakeLists.txt', 'cmake', 'native']);
  const stamp = `${host} ${fingerprint(sources, ...foundMpis())}`;
  const file = 'build/.stamp';
  const before = readStamp(file);
  if (!force && before === stamp && existsSync(path.join(root, 'build/Release/bertune.node'))) return;
  // CMake's cache and objects are good for one folder, one compiler and one processor only. Everything else in build/
  // stays: node-gyp keeps its own files there when it runs this through binding.gyp.
  if (force || before.split(' ')[0] !== host) {
    for (const made of ['CMakeCache.txt', 'CMakeFiles', 'Release/bertune.node']) {
      rmSync(path.join(root, 'build', made), { recursive: true, force: true });
    }
  }
  // Recorded before the build, so that CMake continues where a failed one stopped.
  writeStamp(file, host);
  const definitions = cuda ? cudaDefinitions() : [];
  await step('building the addon', 'cmake', addonCommands('build', { definitions }), verbose);
  writeStamp(file, stamp);
}

/** Builds it with each MPI as well, for tests with several processes; leaves out an MPI that is not available. */
export async function buildWithMpi() {
  await ensureMpi();
  await withLock(() => buildNative());
}

/** Compiles the kernels for this machine's GPU, or for every architecture if it has none. */
function cudaDefinitions() {
  const headers = process.env.BERTUNE_CUBLAS_INCLUDE_DIR;
  return [
    'BERTUNE_CUDA=ON',
    ...(existsSync('/dev/nvidiactl') ? ['CMAKE_CUDA_ARCHITECTURES=native'] : []),
    ...(headers ? [`BERTUNE_CUBLAS_INCLUDE_DIR=${headers}`] : []),
  ];
}

/** Builds dist when the TypeScript sources, their settings or the compiler changed. */
export async function buildTypeScript({ force = false, verbose = false } = {}) {
  const { file, stamp, isUpToDate } = compiled();
  if (!force && isUpToDate) return;
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  await step('compiling TypeScript', process.execPath, [[path.join(root, tsc), '-p', 'tsconfig.json']], verbose);
  const { bundle } = await import('./bundle.js'); // not part of the published package, nor is the next
  const { writeCommonJsDeclarations } = await import('./declarations.js');
  await bundle('dist');
  writeCommonJsDeclarations(path.join(root, 'dist'));
  writeStamp(file, stamp);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const flags = new Set(process.argv.slice(2));
  const options = { force: flags.has('--force'), verbose: true, cuda: flags.has('--cuda') };
  await main(() =>
    withLock(async () => {
      checkNode();
      if (!flags.has('--typescript')) await ensureSystemPackages({ install: false });
      if (!flags.has('--typescript')) await buildNative(options);
      if (!flags.has('--native')) await buildTypeScript(options);
    }),
  );
}
