// Mutation run of what decides how far backward goes and which of forward's buffers it finds as they were: lets a buffer be
// shared that is kept, or leaves an operand of a condition out, one at a time, and runs the test of gradients. A change that
// it does not notice is a hole in it, or a buffer that need not be kept.
//
//   node test/model/mutate.js               every file
//   node test/model/mutate.js sequence_classifier.cpp      some
//   --list    says which mutants there are
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { addonCommands } from '../../scripts/cmake.js';
import { main, root, SetupError } from '../../scripts/console.js';
import { apply, describe, isAmong, mutantsOf, runFor, summarise } from '../mutants.js';

const SOURCES = 'native/model';
const FILES = [
  'sequence_classifier.cpp',
  'embeddings.cpp',
  'encoder_layer.cpp',
  'encoder_layer.h',
  'heads.cpp',
  'layernorm.h',
  'linear.h',
  'prefix.cpp',
];
const TESTS = ['test/faults/gradients.test.ts'];

const OPERAND = String.raw`(?:\((?:[^()]|\(\))*\)|!?[\w.]+(?:\(\))?(?:->\w+(?:\(\))?)*)`;
const OPERATORS = [
  { name: 'shared, not kept', pattern: /(?<=(?<![.\w])(?:real|acc)\()[^,]+(?=, )/, replacement: 'false' },
  { name: 'shared, not kept', pattern: /(?<=(?:= |return ))[^=;?]+(?= \? cutter\.)/, replacement: 'false' },
  { name: 'shared, not kept', pattern: /(?<=, )keeps_input\([^()]*\)(?=, shared)/, replacement: 'false' },
  { name: 'operand dropped', pattern: new RegExp(String.raw`${OPERAND} \|\| `), replacement: '' },
  { name: 'operand dropped', pattern: new RegExp(String.raw` \|\| ${OPERAND}`), replacement: '' },
];
const IGNORED_LINES = /^\s*(\/\/|#)|BERTUNE_CHECK|throw /;

/** Mutants that compute the same: file, the operator's name, a part of the line, of what it becomes where that tells, and why. */
const EQUIVALENT = [
  {
    file: 'encoder_layer.cpp',
    operator: 'operand dropped',
    line: 'b.att = real(reaches_.attention || attention_output_.reads_input()',
    after: 'b.att = real(reaches_.attention,',
    why: 'where attention is not reached it is in the lowest layer that trains: those above keep theirs, so none overwrites it',
  },
  {
    file: 'prefix.cpp',
    operator: 'operand dropped',
    line: 'if (!training || !trains()) return;',
    why: 'takes scratch of backward that is not used',
  },
  {
    file: 'prefix.cpp',
    operator: 'operand dropped',
    line: '|| fresh_',
    why: 'makes the same prompt again',
  },
];

const SCRATCH = 'build/mutated';
const folder = path.join(root, SCRATCH);
const ADDON = path.join(folder, 'Release/bertune.node');

const mutantsOfFile = (file) =>
  mutantsOf(file, readFileSync(path.join(root, SOURCES, file), 'utf8'), OPERATORS, IGNORED_LINES);

/** A copy of the sources, so that the working tree stays as it is; all newer than what an earlier run left compiled. */
function prepare() {
  for (const part of ['CMakeLists.txt', 'cmake', 'native', 'package.json']) {
    rmSync(path.join(folder, part), { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
  }
}

const write = (file, text) => writeFileSync(path.join(folder, SOURCES, file), text);
const restore = (file) => write(file, readFileSync(path.join(root, SOURCES, file)));

/** @returns whether it compiles, and what CMake said where it does not */
async function build() {
  for (const args of addonCommands('build', { output: `${SCRATCH}/Release` })) {
    const { status, text } = await runFor(1800, 'cmake', args, { cwd: folder });
    if (status !== 0) return { built: false, text };
  }
  return { built: true, text: '' };
}

/** In double, where what differs is no rounding. @returns what failed, or null */
async function failureOfTests(seconds) {
  const mocha = ['node_modules/mocha/bin/mocha.js', '--bail', '--grep', 'slopes|alone|on cpu in fp64', ...TESTS];
  const env = { BERTUNE_ADDON: ADDON, BERTUNE_TEST_DEVICES: 'cpu' };
  const { status, text } = await runFor(seconds, process.execPath, mocha, { cwd: root, env });
  if (status === 0) return null;
  if (status === 'timeout') return 'timeout';
  const tries = /Property failed after (\d+) tests?/.exec(text)?.[1];
  const assertion = /AssertionError: (.*)/.exec(text) ?? /\n {6}(.*)\n {6}\+ expected - actual/.exec(text);
  const reason = assertion?.[1] ?? (status === null || status > 128 ? 'crash' : 'error');
  return tries ? `model ${tries}: ${reason.slice(0, 120)}` : reason;
}

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { list: { type: 'boolean', default: false } },
  });
  const unknown = positionals.filter((file) => !FILES.includes(file));
  if (unknown.length > 0)
    throw new SetupError(`Files with mutants are ${FILES.join(', ')}; not ${unknown.join(', ')}.`);
  const all = FILES.filter((file) => positionals.length === 0 || positionals.includes(file)).flatMap(mutantsOfFile);
  const mutants = all.filter((mutant) => !isAmong(mutant, EQUIVALENT));
  console.log(`${mutants.length} of ${all.length} mutants; ${all.length - mutants.length} are known to be equivalent`);
  if (values.list) {
    for (const mutant of mutants) console.log(describe(mutant));
    return;
  }
  prepare();
  const { built, text } = await build();
  if (!built) throw new SetupError(`The addon does not compile:\n${text}`);
  const failure = await failureOfTests(900);
  if (failure) throw new SetupError(`The tests fail without a mutant: ${failure}`);
  const results = [];
  for (const mutant of mutants) {
    write(mutant.file, apply(mutant, readFileSync(path.join(root, SOURCES, mutant.file), 'utf8')));
    const compiles = (await build()).built;
    const reason = compiles ? await failureOfTests(300) : 'does not compile';
    restore(mutant.file);
    if (!compiles) continue; // no mutant
    results.push({ mutant, killer: reason ? 'tests' : '' });
    console.log(`${reason ? 'killed  ' : 'SURVIVED'}  ${describe(mutant)}  ${reason ?? ''}`);
  }
  summarise(results);
});
