// Runs mocha. Several runs may be parts of one: their counts add up.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { root, say } from './console.js';
import { listFiles, readJsonLines } from './files.js';
import { run, sideBySide } from './process.js';

/** Named after this process, so that several may run at once. */
const tally = path.join(root, `build/.tally-${process.pid}`);
const COUNTS = ['passes', 'failures', 'pending'];

/**
 * Sorts a script's arguments into paths of tests and arguments for mocha.
 *
 * @param {string[]} given
 * @param {string} folder the folder of all tests, relative to the root
 * @param {string[]} [others] further files of tests. None by default.
 * @returns {{ files: string[], forMocha: string[] }} files: those of the paths, or all if there are none
 */
export function testsAndArguments(given, folder, others = []) {
  const within = (argument) => argument === folder || argument.startsWith(`${folder}/`) || others.includes(argument);
  const paths = given.filter(within);
  return {
    files: listFiles(paths.length > 0 ? paths : [folder, ...others], /\.test\.ts$/),
    forMocha: given.filter((argument) => !paths.includes(argument)),
  };
}

/** Starts a new count. */
export function resetTally() {
  rmSync(tally, { force: true });
  process.once('exit', () => rmSync(tally, { force: true }));
}

/**
 * Runs mocha over files, or globs.
 *
 * @param {string[]} files
 * @param {{ args?: string[], env?: Record<string, string>, output?: 'inherit' | 'failure' | 'after', through?: string[], node?: string[] }} [options]
 *   args: further arguments for mocha. env, output: as for `run` of process.js. through: a program, with its arguments, that starts
 *   Node.js. node: a program, with its arguments, that replaces this Node.js; it need not be able to start processes.
 * @returns {Promise<number>} the exit status
 */
export function mocha(files, { args = [], env = {}, output, through = [], node } = {}) {
  const all = ['--fail-zero', '--reporter', 'scripts/reporter.cjs', ...files, ...args];
  const folder = path.join(root, 'node_modules/mocha');
  // mocha.js would start another process for the options that .mocharc.json has for Node.js.
  const start = node
    ? [...node, '--import', 'tsx', path.join(folder, 'lib/cli/cli.js')]
    : [process.execPath, path.join(folder, 'bin/mocha.js')];
  const [program, ...given] = [...through, ...start, ...all];
  return run(program, given, { env: { BERTUNE_TALLY: tally, ...env }, output });
}

/**
 * Runs mocha over each file, or each list of files that has a name, in a process of its own, several side by side, in this order. Shows what
 * each prints once it has ended. Given arguments for mocha, which may select tests of other files only, a file without tests has not failed.
 *
 * @param {(string | { name: string, files: string[], env?: Record<string, string> })[]} runs
 * @param {number} atOnce how many run side by side
 * @param {Parameters<typeof mocha>[1] & { forMocha?: string[] }} options except `output`; forMocha: what `testsAndArguments` found
 * @returns {Promise<number>} the highest exit status; 0 for no files
 */
export async function mochaEach(runs, atOnce, { forMocha = [], args = [], ...options }) {
  const all = [...args, ...(forMocha.length > 0 ? ['--no-fail-zero', ...forMocha] : [])];
  let highest = 0;
  await sideBySide(runs, atOnce, async (given) => {
    const start = performance.now();
    const { name, files, env } = typeof given === 'string' ? { name: given, files: [given] } : given;
    const status = await mocha(files, { ...options, args: all, env: { ...options.env, ...env }, output: 'after' });
    say(`${name}: ${status === 0 ? 'done' : 'failed'} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
    highest = Math.max(highest, status);
  });
  return highest;
}

/**
 * The last lines about all runs since the count started: what failed and why, then "12 passed, 1 failed, 1 skipped", so that
 * the end of a long log says it all.
 */
export function closingLines() {
  const runs = readJsonLines(tally);
  const [passes, failures, pending] = COUNTS.map((count) => runs.reduce((total, run) => total + run[count], 0));
  const failed = runs
    .flatMap((run) => run.failed)
    .map(({ title, reason }) => `failed: ${title}\n  ${reason.replaceAll('\n', '\n  ')}`);
  return [...failed, `${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`].join('\n');
}
