import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { root } from './console.js';

/**
 * Runs a program in the project's root and waits for it.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ output?: 'inherit' | 'stderr' | 'failure' | 'after', env?: Record<string, string> }} [options] output: where what it
 *   prints goes. 'inherit': as it is; 'stderr': all to stderr; 'failure': to stderr if it fails, else nowhere; 'after': as it is,
 *   once it has ended. Defaults to 'inherit'. env: variables in addition to those of this process.
 * @returns {Promise<number>} the exit status; 128 if a signal ended the program
 */
export function run(command, args, { output = 'inherit', env = {} } = {}) {
  const stdio = { inherit: ['inherit', 'inherit'], stderr: [2, 2] }[output] ?? ['pipe', 'pipe'];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', ...stdio],
    });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (output === 'after') process.stdout.write(Buffer.concat(chunks));
      else if (code !== 0) process.stderr.write(Buffer.concat(chunks));
      resolve(code ?? 128);
    });
  });
}

/**
 * Runs a program in the project's root and keeps what it prints.
 *
 * @returns {Promise<{ status: number, text: string }>} its exit status, and what went to stdout and stderr
 */
export function capture(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ status: code ?? 128, text: Buffer.concat(chunks).toString() }));
  });
}

/** Runs a JavaScript program with this Node.js. Options and result are those of `run`. */
export function runNode(script, args, options) {
  return run(process.execPath, [path.resolve(root, script), ...args], options);
}

/** Whether a command ends with status 0; its output is dropped. */
export function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** Whether a program of this name is on the PATH. */
export function onPath(program) {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    const file = path.join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** Calls `visit` with every item in order, `atOnce` calls at a time. */
export async function sideBySide(items, atOnce, visit) {
  const left = [...items];
  async function visitRest() {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await visit(item);
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, visitRest));
}
