// Runs of mocha, several of which may be parts of one: their counts are added up.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { root } from './console.js';
import { readJsonLines } from './files.js';
import { runNode } from './process.js';

const tally = path.join(root, 'build/.tally');
const COUNTS = ['passes', 'failures', 'pending'];

/** Begins to count anew. */
export function resetTally() {
  rmSync(tally, { force: true });
}

/**
 * Runs mocha over files, or globs.
 *
 * @param {string[]} files
 * @param {{ args?: string[], env?: Record<string, string>, output?: 'inherit' | 'failure' | 'after' }} [options] args: more for
 *   mocha. env, output: as for `run` of process.js.
 * @returns {Promise<number>} the exit status
 */
export function mocha(files, { args = [], env = {}, output } = {}) {
  const all = ['--fail-zero', '--reporter', 'scripts/reporter.cjs', ...files, ...args];
  return runNode('node_modules/mocha/bin/mocha.js', all, { env: { BERTUNE_TALLY: tally, ...env }, output });
}

/** The closing line over all runs since the tally was reset: "12 passed, 0 failed, 1 skipped". */
export function closingLine() {
  const runs = readJsonLines(tally);
  const [passes, failures, pending] = COUNTS.map((count) => runs.reduce((total, run) => total + run[count], 0));
  return `${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`;
}
