// Mutation run of the CUDA sources under the emulator: changes one place at a time (mutations.js) and runs the tests that
// belong to the file. A change that no test notices is a hole in the tests, or computes the same.
//
//   node test/simt/mutate.js                    every file
//   node test/simt/mutate.js layernorm rows     some
//   --sample N    N mutants, the same ones each time      --seed S   another choice of them
//   --list        says which mutants there are            --scratch DIR   where it works; one run at a time uses a folder
//
// A mutant runs in the fast build first, in the race build if it survives that, and in the asan build at last.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { main, root, SetupError } from '../../scripts/console.js';
import { apply, describe, isAmong, mutantsOf, runFor, summarise } from '../mutants.js';
import { EQUIVALENT, IGNORED_LINES, OPERATORS, testsOf } from './mutations.js';

const SOURCES = 'native/cuda';

/** In the order in which they are tried. */
const BUILDS = [
  { name: 'fast', target: 'bertune_cuda_emulated', environment: () => ({}) },
  { name: 'race', target: 'bertune_cuda_emulated_race', environment: () => ({ BERTUNE_EMULATED_SEED: '7' }) },
  { name: 'asan', target: 'bertune_cuda_emulated_asan', environment: asanEnvironment },
];

function asanEnvironment() {
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  return { LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0' };
}

/** A mutant runs at most this many times as long as the tests do without one, and some seconds. */
const SLOWER = 4;
const MORE_SECONDS = 20;

// ---- the mutants ----

/** Every place of a file that an operator changes. */
const mutantsOfFile = (file) =>
  mutantsOf(file, readFileSync(path.join(root, SOURCES, file), 'utf8'), OPERATORS, IGNORED_LINES);

/** `count` of them, chosen by a seed and in their order. */
function sample(mutants, count, seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  const chosen = new Set(
    mutants
      .map((mutant) => ({ mutant, key: next() }))
      .sort((a, b) => a.key - b.key)
      .slice(0, count)
      .map(({ mutant }) => mutant),
  );
  return mutants.filter((mutant) => chosen.has(mutant));
}

// ---- the place of work ----

/** A copy of what is built and run, so that the working tree stays as it is; all newer than what an earlier run compiled. */
class Scratch {
  constructor(folder) {
    this.folder = folder;
    this.output = path.join(folder, 'build/Release');
  }

  /** Copies the sources and the addon, and configures the emulated libraries. */
  prepare() {
    const addon = path.join(root, 'build/Release/bertune.node');
    if (!existsSync(addon)) throw new SetupError('The addon is not built; node scripts/build.js does it.');
    for (const part of ['lib', 'test', 'bench', 'native', 'package.json', 'tsconfig.json', '.mocharc.json']) {
      rmSync(path.join(this.folder, part), { recursive: true, force: true });
      cpSync(path.join(root, part), path.join(this.folder, part), { recursive: true });
    }
    for (const part of ['node_modules', 'assets']) {
      if (!existsSync(path.join(this.folder, part))) symlinkSync(path.join(root, part), path.join(this.folder, part));
    }
    mkdirSync(this.output, { recursive: true });
    for (const name of ['bertune.node', 'bertune_operations.node']) {
      cpSync(path.join(root, 'build/Release', name), path.join(this.output, name));
    }
    const flags = ['-S', 'test/simt', '-B', 'build/emulated', `-DBERTUNE_EMULATED_OUTPUT=${this.output}`];
    // Most of a mutant's time is its compilation, of one source.
    flags.push('-DCMAKE_UNITY_BUILD=OFF');
    execFileSync('cmake', flags, { cwd: this.folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  write(file, text) {
    writeFileSync(path.join(this.folder, SOURCES, file), text);
  }

  restore(file) {
    this.write(file, readFileSync(path.join(root, SOURCES, file)));
  }

  /** @returns whether it compiles */
  async build({ target }) {
    const { status } = await this.run('cmake', ['--build', 'build/emulated', '--target', target], {}, 900);
    return status === 0;
  }

  /** @returns {Promise<{ passed: boolean, reason: string, seconds: number }>} */
  async test(build, tests, seconds = 900) {
    const environment = {
      BERTUNE_TEST_DEVICES: 'cuda-emulated',
      BERTUNE_EMULATOR: build.name,
      ...build.environment(),
    };
    const mocha = ['node_modules/mocha/bin/mocha.js', '--fail-zero', '--bail', '--timeout', '120000', ...tests];
    const start = performance.now();
    const { status, text } = await this.run(process.execPath, mocha, environment, seconds);
    return { passed: status === 0, reason: reasonOf(status, text), seconds: (performance.now() - start) / 1000 };
  }

  run(command, args, env, seconds) {
    return runFor(seconds, command, args, { cwd: this.folder, env });
  }
}

/** In a few words, what ended the tests. */
function reasonOf(status, text) {
  if (status === 0) return '';
  if (status === 'timeout') return 'timeout';
  const line = /^simt: (.*)$/m.exec(text) ?? /(AddressSanitizer: .*|runtime error: .*)/.exec(text);
  if (line) return line[1].slice(0, 110);
  return status === null || status > 128 ? 'crash' : 'value';
}

// ---- the run ----

/** How long the tests of a file take in a build, without a mutant: they have to pass. @returns seconds */
async function measure(scratch, build, file, tests) {
  scratch.restore(file);
  if (!(await scratch.build(build))) throw new SetupError(`The ${build.name} build of the emulator does not compile.`);
  const found = await scratch.test(build, tests);
  if (!found.passed) throw new SetupError(`The tests of ${file} fail in the ${build.name} build: ${found.reason}`);
  return found.seconds;
}

/**
 * Tries the builds, one after the other, until one notices.
 *
 * @param {Map<string, number>} seconds what `measure` gave for the file, by the name of the build; filled in as needed
 * @returns {Promise<{ killer: string, reason: string } | null>} null: it does not compile; killer '': it survived
 */
async function judge(scratch, mutant, tests, seconds) {
  const text = apply(mutant, readFileSync(path.join(root, SOURCES, mutant.file), 'utf8'));
  for (const build of BUILDS) {
    if (!seconds.has(build.name)) seconds.set(build.name, await measure(scratch, build, mutant.file, tests));
    scratch.write(mutant.file, text);
    if (!(await scratch.build(build))) return null;
    const found = await scratch.test(build, tests, SLOWER * seconds.get(build.name) + MORE_SECONDS);
    if (!found.passed) return { killer: build.name, reason: found.reason };
  }
  return { killer: '', reason: '' };
}

function chosenFiles(names) {
  const files = readdirSync(path.join(root, SOURCES)).filter((file) => /\.(?:cuh?|cpp)$/.test(file));
  const nameOf = (file) => file.replace(/\.(?:cuh?|cpp)$/, '');
  const known = files.filter((file) => testsOf(nameOf(file)).length > 0);
  const unknown = names.filter((name) => !known.some((file) => nameOf(file) === name));
  if (unknown.length)
    throw new SetupError(`Expected files of ${SOURCES} with tests but received ${unknown.join(', ')}`);
  return known.filter((file) => names.length === 0 || names.includes(nameOf(file)));
}

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sample: { type: 'string' },
      seed: { type: 'string', default: '1' },
      scratch: { type: 'string', default: path.join(root, 'build/mutants') },
      list: { type: 'boolean', default: false },
    },
  });
  const all = chosenFiles(positionals).flatMap(mutantsOfFile);
  const worthwhile = all.filter((mutant) => !isAmong(mutant, EQUIVALENT));
  const mutants = values.sample ? sample(worthwhile, Number(values.sample), Number(values.seed)) : worthwhile;
  console.log(
    `${mutants.length} of ${all.length} mutants; ${all.length - worthwhile.length} are known to be equivalent`,
  );
  if (values.list) {
    for (const mutant of mutants) console.log(describe(mutant));
    return;
  }
  const scratch = new Scratch(path.resolve(values.scratch));
  scratch.prepare();
  const results = [];
  for (const file of new Set(mutants.map((mutant) => mutant.file))) {
    const tests = testsOf(file.replace(/\.(?:cuh?|cpp)$/, ''));
    const seconds = new Map();
    for (const mutant of mutants.filter((item) => item.file === file)) {
      const verdict = await judge(scratch, mutant, tests, seconds);
      if (!verdict) continue; // no mutant: it does not compile
      results.push({ mutant, ...verdict });
      console.log(
        `${verdict.killer ? `killed by ${verdict.killer}` : 'SURVIVED'}  ${describe(mutant)}  ${verdict.reason}`,
      );
    }
    scratch.restore(file);
  }
  summarise(
    results,
    BUILDS.map(({ name }) => name),
  );
});
