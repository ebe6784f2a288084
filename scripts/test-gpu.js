// What `npm run test:gpu` runs on a machine with a GPU: what npm test does for the CUDA backend, and more.
//
//   build       the addon and the kernels for the GPU that is here (CMake, with all cores)
//   device      the GPU can be used
//   operations  every operation against its formula
//   goldens     whole models against their references, runs against Trainer's
//   sanitizer   the operations under compute-sanitizer: memcheck, racecheck, initcheck, synccheck (where it is installed)
//
// Each stage says `N passed, N failed`; the exit status is that of all. Options:
//   --only goldens,operations,sanitizer     some of the stages, behind build and device
//   --no-build                              tests what was built before
//   --tools memcheck,racecheck              some of compute-sanitizer's
//   --grep PATTERN                          some of the tests, as mocha takes it
//   --cmake NAME=VALUE                      for the build, e.g. BERTUNE_CUBLAS_INCLUDE_DIR=/folder; may be repeated
//   --device cuda-emulated                  tries the script where there is no GPU
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { addonCommands } from './cmake.js';
import { main, root, SetupError, say } from './console.js';
import { withLock } from './lock.js';
import { onPath } from './process.js';

const MOCHA = 'node_modules/mocha/bin/mocha.js';
const STAGES = {
  operations: ['test/operations/*.test.ts'],
  goldens: ['test/model/*.test.ts'],
};
const TOOLS = ['memcheck', 'racecheck', 'initcheck', 'synccheck'];
/** What compute-sanitizer ends with when it found something; mocha ends with the number of failures, at most 255. */
const SANITIZER_STATUS = 99;
/** Instrumented kernels are slower by orders of magnitude. */
const SANITIZER_TIMEOUT_MS = 900_000;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    'no-build': { type: 'boolean', default: false },
    tools: { type: 'string', default: TOOLS.join(',') },
    grep: { type: 'string' },
    cmake: { type: 'string', multiple: true, default: [] },
    device: { type: 'string', default: 'cuda' },
  },
});

/** Runs a program in the root and keeps what it prints, which is shown as it comes, or `quiet`: once it has failed. */
function runAndRead(command, args, { env = {}, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks = [];
    for (const [stream, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      stream.on('data', (chunk) => {
        chunks.push(chunk);
        if (!quiet) target.write(chunk);
      });
    }
    child.once('error', reject);
    child.once('close', (code) => {
      const output = Buffer.concat(chunks).toString();
      if (quiet && code !== 0) process.stderr.write(output);
      resolve({ status: code ?? 128, output });
    });
  });
}

/** Builds addon and kernels. What CMake settled before there was a GPU is forgotten. */
async function build() {
  const library = path.join(root, 'build/Release/libbertune_cuda.so');
  if (!existsSync(library)) {
    for (const name of ['CMakeCache.txt', 'CMakeFiles'])
      rmSync(path.join(root, 'build', name), { recursive: true, force: true });
  }
  const definitions = ['BERTUNE_CUDA=ON', 'CMAKE_CUDA_ARCHITECTURES=native', ...options.cmake];
  for (const args of addonCommands('build', { definitions, parallel: os.availableParallelism() })) {
    const began = performance.now();
    const { status } = await runAndRead('cmake', args, { quiet: true });
    const part = args[0] === '--build' ? 'build' : 'configure';
    say(`${part}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
    if (status !== 0) throw new SetupError('the build failed; what CMake said stands above');
  }
}

/** What the addon says of the device. In a process of its own: this one keeps no GPU. */
async function describeDevice() {
  const program = `
    import { createRequire } from 'node:module';
    import { withEmulator } from './bench/support/operations.js';
    const addon = createRequire(process.cwd() + '/')('./build/Release/bertune.node');
    console.log('DEVICES ' + JSON.stringify(withEmulator(addon).devices()))`;
  const { output } = await runAndRead(process.execPath, ['--input-type=module', '-e', program], { quiet: true });
  const line = output.split('\n').find((text) => text.startsWith('DEVICES '));
  if (!line) throw new SetupError('the addon could not be loaded; the reason stands above');
  const device = JSON.parse(line.slice('DEVICES '.length)).find((item) => item.device === options.device);
  if (!device) throw new SetupError(`the addon knows no device ${options.device}`);
  if (!device.available) throw new SetupError(`${options.device} cannot be used: ${device.reason}`);
  say(`${device.name}, ${Math.round(device.totalMemory / 2 ** 20)} MiB, ${device.libraries}`);
}

function mochaArguments(files, more = []) {
  const grep = options.grep === undefined ? [] : ['--grep', options.grep];
  return [MOCHA, '--fail-zero', '--reporter', 'scripts/reporter.cjs', ...more, ...files, ...grep];
}

/** The counts of mocha's closing line; a run that never came to it failed. */
function countsOf({ status, output }) {
  const line = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  if (!line) return { passed: 0, failed: 1, note: `ended with status ${status} before its closing line` };
  const [passed, failed] = [Number(line[1]), Number(line[2])];
  return status === 0 || failed > 0 ? { passed, failed } : { passed, failed: 1, note: `ended with status ${status}` };
}

const testing = { env: { BERTUNE_TEST_DEVICES: options.device } };

async function test(name) {
  return countsOf(await runAndRead(process.execPath, mochaArguments(STAGES[name]), testing));
}

/** The operations under one of compute-sanitizer's tools. What it finds is a failure of its own. */
async function sanitize(tool) {
  const mocha = mochaArguments(STAGES.operations, ['--timeout', String(SANITIZER_TIMEOUT_MS)]);
  const args = [
    '--tool',
    tool,
    '--target-processes',
    'all',
    '--require-cuda-init',
    'no',
    '--error-exitcode',
    String(SANITIZER_STATUS),
  ];
  const result = await runAndRead('compute-sanitizer', [...args, process.execPath, ...mocha], testing);
  const counts = countsOf(result);
  const errors = [...result.output.matchAll(/(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:errors?|hazards?)/g)].map((match) =>
    Number(match[1]),
  );
  const found = errors.reduce((total, count) => total + count, 0);
  if (errors.length === 0) return { ...counts, failed: counts.failed + 1, note: `${tool} printed no summary` };
  if (found === 0 && result.status !== SANITIZER_STATUS) return counts;
  return { ...counts, failed: Math.max(1, counts.failed), note: `${tool} found ${found} errors` };
}

/** The stages to run, each with a name and a function to its counts. */
function plan() {
  const wanted = options.only?.split(',') ?? ['operations', 'goldens', 'sanitizer'];
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
    .map((name) => ({ name, run: () => test(name) }));
  if (!wanted.includes('sanitizer')) return stages;
  if (!onPath('compute-sanitizer')) {
    say('compute-sanitizer is not on the PATH: its stages are left out');
    return stages;
  }
  return [...stages, ...tools.map((tool) => ({ name: `sanitizer ${tool}`, run: () => sanitize(tool) }))];
}

await main(async () => {
  const stages = plan();
  await withLock(async () => {
    if (!options['no-build']) await build();
  });
  await describeDevice();
  const lines = [];
  let failures = 0;
  for (const { name, run } of stages) {
    say(name);
    const began = performance.now();
    const { passed, failed, note } = await run();
    failures += failed;
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    lines.push(`${name.padEnd(20)} ${passed} passed, ${failed} failed (${seconds} s)${note ? `: ${note}` : ''}`);
    say(lines.at(-1));
  }
  console.log(`\n${lines.join('\n')}`);
  return failures > 0 || stages.length === 0 ? 1 : 0;
});
