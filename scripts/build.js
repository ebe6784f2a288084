// Builds what is out of date: the addon (cmake-js) into build/Release, the TypeScript (tsc) into dist.
// node scripts/build.js [--native | --typescript] [--force]
import { existsSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { main, root, SetupError, say } from './console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from './files.js';
import { withLock } from './lock.js';
import { runNode } from './process.js';

const cmakeJs = 'node_modules/cmake-js/bin/cmake-js';
const tsc = 'node_modules/typescript/bin/tsc';
const jobs = Math.max(1, Math.min(2, os.availableParallelism()));

/** What the machine itself puts into a native build: the processor's abilities, the compiler, the folder. */
function machine() {
  let flags = '';
  try {
    flags = readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:.*$/m)?.[0] ?? '';
  } catch {
    // Not Linux: the processor's name has to do.
  }
  const { CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS, OpenBLAS_HOME } = process.env;
  const environment = JSON.stringify({ CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS, OpenBLAS_HOME });
  return fingerprint([], root, process.platform, process.arch, os.cpus()[0]?.model ?? '', flags, environment);
}

/** Runs one build's commands; what its tool prints is shown when one fails, or as it comes where `verbose`. */
async function step(title, script, commands, verbose) {
  say(title);
  const start = performance.now();
  for (const args of commands) {
    if ((await runNode(script, args, { output: verbose ? 'stderr' : 'failure' })) !== 0) {
      throw new SetupError(`${title} failed; what the tool said stands above.`);
    }
  }
  say(`${title}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** Builds build/Release/bertune.node when its sources or the machine changed. */
export async function buildNative({ force = false, verbose = false } = {}) {
  const host = machine();
  const sources = listFiles(['CMakeLists.txt', 'cmake', 'native']);
  const stamp = `${host} ${fingerprint(sources)}`;
  const file = 'build/.stamp';
  const before = readStamp(file);
  if (!force && before === stamp && existsSync(path.join(root, 'build/Release/bertune.node'))) return;
  // CMake's cache and objects are good for one folder, one compiler and one processor only. What else lies in build/
  // is left: node-gyp, where it runs this through binding.gyp, keeps its own files there.
  if (force || before.split(' ')[0] !== host) {
    for (const made of ['CMakeCache.txt', 'CMakeFiles', 'Release/bertune.node']) {
      rmSync(path.join(root, 'build', made), { recursive: true, force: true });
    }
  }
  // Known before the build, so that after a failed one CMake goes on from where it stopped.
  writeStamp(file, host);
  // Configured each time: cmake-js by itself takes the cache of a configuration that failed for a finished one.
  const commands = [['configure'], ['build', '--parallel', String(jobs)]].map((args) => [
    ...args,
    '--log-level',
    'error',
  ]);
  await step('building the addon', cmakeJs, commands, verbose);
  writeStamp(file, stamp);
}

/** Builds dist when the TypeScript sources, their settings or the compiler changed. */
export async function buildTypeScript({ force = false, verbose = false } = {}) {
  const { version } = JSON.parse(readFileSync(path.join(root, 'node_modules/typescript/package.json'), 'utf8'));
  const stamp = fingerprint(listFiles(['lib', 'tsconfig.json']), version);
  const file = 'dist/.stamp';
  if (!force && readStamp(file) === stamp) return;
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  await step('compiling TypeScript', tsc, [['-p', 'tsconfig.json']], verbose);
  writeStamp(file, stamp);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const flags = new Set(process.argv.slice(2));
  const options = { force: flags.has('--force'), verbose: true };
  await main(() =>
    withLock(async () => {
      if (!flags.has('--typescript')) await buildNative(options);
      if (!flags.has('--native')) await buildTypeScript(options);
    }),
  );
}
