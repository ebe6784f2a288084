// What `npm run test:gpu` runs on a machine with a GPU: what npm test does for the CUDA backend, and more.
//
//   build       the kernels for this machine's GPU, and the addon if it can be built (scripts/gpu/build.js)
//   hello       the GPU can be used, and multiplies (scripts/gpu/hello.js)
//   operations  every operation against its formula
//   goldens     whole models against their references, runs against Trainer's
//   cuda        training runs against the CPU's, recorded steps, the backend's library
//   sanitizer   the operations under compute-sanitizer, if it is installed: memcheck, racecheck, initcheck, synccheck
//
// Each stage says `N passed, N failed` and which tests failed; the exit status covers all stages. Options:
//   --only goldens,operations,sanitizer     some of the stages, after build and hello
//   --no-build                              tests what was built before
//   --files attention,lora                  of each stage, the files whose names begin with these
//   --processes 4                           how many test files run side by side; defaults to 4, or one per core if there are fewer
//   --tools memcheck,racecheck              some of compute-sanitizer's tools
//   --grep PATTERN                          some of the tests, as mocha takes it
//   --cmake NAME=VALUE                      a definition for the build, e.g. BERTUNE_CUBLAS_INCLUDE_DIR=/folder; may be repeated
//   --device cuda-emulated                  tries the script without a GPU
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { main, root, SetupError, say } from './console.js';
import { listFiles } from './files.js';
import { buildForGpu } from './gpu/build.js';
import { withLock } from './lock.js';
import { onPath, runNode, sideBySide } from './process.js';

const MOCHA = 'node_modules/mocha/bin/mocha.js';
const STAGES = { operations: 'test/operations', goldens: 'test/model', cuda: 'test/cuda' };
/** It runs on no device, and takes packages that nothing else there does. */
const LEFT_OUT = ['test/model/onnx.test.ts'];
const TOOLS = ['memcheck', 'racecheck', 'initcheck', 'synccheck'];
/** The exit status of compute-sanitizer when it finds something; mocha's is the number of failures, at most 255. */
const SANITIZER_STATUS = 99;
/** Instrumented kernels are slower by orders of magnitude. */
const SANITIZER_TIMEOUT_MS = 900_000;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    'no-build': { type: 'boolean', default: false },
    files: { type: 'string', default: '' },
    processes: { type: 'string', default: String(Math.min(4, os.availableParallelism())) },
    tools: { type: 'string', default: TOOLS.join(',') },
    grep: { type: 'string' },
    cmake: { type: 'string', multiple: true, default: [] },
    device: { type: 'string', default: 'cuda' },
  },
});

/** What the running programs have printed so far. */
const unfinished = new Set();

/** Runs a program in the root with this device only, shows what it printed once it has ended, and keeps that. */
function runAndRead(command, args) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, BERTUNE_TEST_DEVICES: options.device };
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    unfinished.add(chunks);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      unfinished.delete(chunks);
      const output = Buffer.concat(chunks).toString();
      process.stdout.write(output);
      resolve({ status: code ?? 128, output });
    });
  });
}

/** The counts in mocha's closing line and the titles above it; a run that did not get that far failed. */
function countsOf({ status, output }) {
  const line = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  if (!line) return { passed: 0, failed: 1, notes: [`ended with status ${status} before its closing line`] };
  const [passed, failed] = [Number(line[1]), Number(line[2])];
  const notes = [...output.matchAll(/^failed: .*$/gm)].map(([title]) => title);
  return status === 0 || failed > 0
    ? { passed, failed, notes }
    : { passed, failed: 1, notes: [`ended with status ${status}`] };
}

/** Anything that compute-sanitizer finds counts as a failure of its own. */
function sanitizedCounts(tool, result) {
  const counts = countsOf(result);
  const errors = [...result.output.matchAll(/(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:errors?|hazards?)/g)].map((match) =>
    Number(match[1]),
  );
  const found = errors.reduce((total, count) => total + count, 0);
  const failing = (note) => ({ ...counts, failed: Math.max(1, counts.failed), notes: [...counts.notes, note] });
  if (errors.length === 0) return failing(`${tool} printed no summary`);
  return found === 0 && result.status !== SANITIZER_STATUS ? counts : failing(`${tool} found ${found} errors`);
}

/** Runs a test file, under one of compute-sanitizer's tools if one is named. */
async function testFile(file, tool) {
  const grep = options.grep === undefined ? [] : ['--no-fail-zero', '--grep', options.grep];
  const patience = tool ? ['--timeout', String(SANITIZER_TIMEOUT_MS)] : [];
  const mocha = [MOCHA, '--fail-zero', '--reporter', 'scripts/reporter.cjs', ...patience, file, ...grep];
  if (!tool) return countsOf(await runAndRead(process.execPath, mocha));
  const all = ['--target-processes', 'all', '--require-cuda-init', 'no', '--error-exitcode', String(SANITIZER_STATUS)];
  return sanitizedCounts(
    tool,
    await runAndRead('compute-sanitizer', ['--tool', tool, ...all, process.execPath, ...mocha]),
  );
}

/** The files of a stage that --files selects. */
function filesOf(stage) {
  const beginnings = options.files.split(',');
  const wanted = (file) =>
    !LEFT_OUT.includes(file) && beginnings.some((beginning) => path.basename(file).startsWith(beginning));
  return listFiles([STAGES[stage]], /\.test\.ts$/).filter(wanted);
}

/** The stages to run: a name, files, and perhaps one of compute-sanitizer's tools. */
function plan() {
  const wanted = options.only?.split(',') ?? [...Object.keys(STAGES), 'sanitizer'];
  const tools = options.tools.split(',');
  for (const [chosen, known] of [
    [wanted, [...Object.keys(STAGES), 'sanitizer']],
    [tools, TOOLS],
  ]) {
    const unknown = chosen.find((name) => !known.includes(name));
    if (unknown) throw new SetupError(`Expected ${known.join(', ')} but received ${unknown}`);
  }
  const stages = Object.keys(STAGES)
    .filter((name) => wanted.includes(name))
    .map((name) => ({ name, files: filesOf(name) }));
  if (!wanted.includes('sanitizer')) return stages;
  if (!onPath('compute-sanitizer')) {
    say('compute-sanitizer is not on the PATH: its stages are left out');
    return stages;
  }
  return [...stages, ...tools.map((tool) => ({ name: `sanitizer ${tool}`, files: filesOf('operations'), tool }))];
}

/** Runs a stage, and keeps its counts up to date. */
async function runStage({ files, tool }, counts) {
  await sideBySide(files, Number(options.processes), async (file) => {
    const began = performance.now();
    const { passed, failed, notes } = await testFile(file, tool);
    counts.passed += passed;
    counts.failed += failed;
    counts.notes.push(...notes.map((note) => `${path.basename(file, '.test.ts')}: ${note}`));
    say(`${file}: ${passed} passed, ${failed} failed in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  });
  if (counts.passed + counts.failed === 0) {
    counts.failed = 1;
    counts.notes.push('no test was run');
  }
}

/** On SIGTERM, shows what is known so far, beginning with what was running. */
function summariseWhenStopped(results) {
  process.once('SIGTERM', () => {
    for (const chunks of unfinished) process.stdout.write(Buffer.concat(chunks));
    say('stopped');
    printSummary(results);
    process.exit(143);
  });
}

function printSummary(results) {
  for (const { name, began, ended = performance.now(), passed, failed, notes } of results) {
    const seconds = ((ended - began) / 1000).toFixed(0);
    console.log(`\n${name.padEnd(20)} ${passed} passed, ${failed} failed (${seconds} s)`);
    for (const note of notes) console.log(`  ${note}`);
  }
}

await main(async () => {
  const stages = plan();
  if (!options['no-build']) await withLock(() => buildForGpu(options.cmake));
  if ((await runNode('scripts/gpu/hello.js', ['--device', options.device], { output: 'stderr' })) !== 0) return 1;
  const results = [];
  summariseWhenStopped(results);
  for (const stage of stages) {
    say(stage.name);
    const counts = { name: stage.name, began: performance.now(), passed: 0, failed: 0, notes: [] };
    results.push(counts);
    await runStage(stage, counts);
    counts.ended = performance.now();
  }
  printSummary(results);
  return results.some(({ failed }) => failed > 0) || stages.length === 0 ? 1 : 0;
});
