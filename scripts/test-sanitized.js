// Runs the tests with an addon that is built with sanitizers, each file in a process of its own, one per processor.
//   node scripts/test-sanitized.js address    AddressSanitizer and UndefinedBehaviorSanitizer
//   node scripts/test-sanitized.js thread     ThreadSanitizer
//   ... test/lib test/cli                     the files of these folders, or single ones
//   ... --grep adapter                        mocha's arguments
// The addon goes to build/sanitized-<kind>/Release, which BERTUNE_ADDON names; build/Release stays as it is. The emulated CUDA
// backends are linked beside it. Sanitizers write what they find, in processes that tests start as well, to
// build/sanitized-<kind>/reports; the run fails if they find anything.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { step } from './build.js';
import { addonCommands } from './cmake.js';
import { main, root, SetupError } from './console.js';
import { buildEmulator } from './cuda.js';
import { closingLines, mochaEach, resetTally, testsAndArguments } from './mocha.js';
import { capture, onPath } from './process.js';

const KINDS = {
  // Node.js itself keeps memory until the process ends; test/faults/leaks.test.ts looks for leaks instead.
  address: {
    flags: 'address,undefined',
    libraries: ['libasan.so', 'libubsan.so'],
    emulator: 'asan',
    options: { ASAN_OPTIONS: ['detect_leaks=0', 'quarantine_size_mb=4'], UBSAN_OPTIONS: ['print_stacktrace=1'] },
  },
  // ThreadSanitizer's shadow memory requires the usual address layout, hence setarch.
  thread: {
    flags: 'thread',
    libraries: ['libtsan.so'],
    emulator: 'fast',
    options: { TSAN_OPTIONS: ['history_size=4', `suppressions=${path.join(root, 'scripts/sanitizer/thread.txt')}`] },
    // It uses up part of a worker thread's stack that V8 counts on: unlimited recursion, as in deep YAML, then kills the process
    // instead of throwing a RangeError, in any program. No native code reads cards.
    leftOut: ['test/faults/fuzz/card.test.ts'],
  },
};

/**
 * Tests that build, package or document, run programs from builds of their own, start a browser, preload a library ahead of
 * the sanitizer's, or measure what a sanitizer slows down. All others run.
 */
const LEFT_OUT = [
  'test/docs/',
  'test/package/',
  'test/simt/',
  'test/bench/test-gpu.test.ts',
  'test/cuda/compiler-report.test.ts',
  'test/report/browser.test.ts',
  'test/faults/disk/',
  'test/lib/event-loop.test.ts',
];

async function build(kind, folder) {
  const definitions = [`BERTUNE_SANITIZE=${KINDS[kind].flags}`, 'BERTUNE_CUDA=OFF'];
  await step(`building the addon for ${kind}`, 'cmake', addonCommands(folder, { definitions }), false);
  const output = path.join(root, folder, 'Release');
  for (const name of readdirSync(path.join(root, 'build/Release'))) {
    if (!name.startsWith('libbertune_cuda_emulated') || existsSync(path.join(output, name))) continue;
    symlinkSync(path.join(root, 'build/Release', name), path.join(output, name));
  }
  return path.join(output, 'bertune.node');
}

async function runtime({ libraries }) {
  const found = await Promise.all(libraries.map((name) => capture('g++', [`-print-file-name=${name}`])));
  return found.map(({ text }) => text.trim()).join(':');
}

async function environment(kind, addon, reports) {
  const { options, emulator } = KINDS[kind];
  const common = ['halt_on_error=0', `log_path=${path.join(reports, 'report')}`];
  const settings = Object.entries(options).map(([name, own]) => [name, [...own, ...common].join(':')]);
  return {
    LD_PRELOAD: await runtime(KINDS[kind]),
    BERTUNE_ADDON: addon,
    BERTUNE_EMULATOR: emulator,
    BERTUNE_SANITIZER: kind,
    ...Object.fromEntries(settings),
  };
}

await main(async () => {
  const [kind, ...given] = process.argv.slice(2);
  if (!Object.hasOwn(KINDS, kind ?? '')) {
    throw new SetupError(
      `Expected address or thread but received ${kind}; e.g. node scripts/test-sanitized.js address`,
    );
  }
  await buildEmulator({ strict: true });
  const folder = `build/sanitized-${kind}`;
  const addon = await build(kind, folder);
  const reports = path.join(root, folder, 'reports');
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports);
  resetTally();
  const { files: all, forMocha } = testsAndArguments(given, 'test');
  const leftOut = [...LEFT_OUT, ...(KINDS[kind].leftOut ?? [])];
  const files = all.filter((file) => !leftOut.some((path) => file.startsWith(path)));
  const args = ['--exit', '--timeout', '600000', '--require', 'scripts/patience.cjs'];
  const through = kind === 'thread' && onPath('setarch') ? ['setarch', '-R'] : [];
  const env = await environment(kind, addon, reports);
  const status = await mochaEach(files, os.availableParallelism(), { args, env, through, forMocha });
  const found = readdirSync(reports).map((name) => readFileSync(path.join(reports, name), 'utf8'));
  for (const text of found) process.stderr.write(text);
  console.log(`${closingLines()}; ${found.length} reports of sanitizers`);
  return status !== 0 ? status : found.length > 0 ? 1 : 0;
});
