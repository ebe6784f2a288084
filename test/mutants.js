// Mutants: copies of a source with one place changed. Tests that pass with one do not test what was changed.
import { spawn } from 'node:child_process';

/**
 * Every place of a source that an operator changes.
 *
 * @param {string} file the name by which mutants are told
 * @param {string} text
 * @param {{ name: string, pattern: RegExp, replacement: string | ((...match: string[]) => string) }[]} operators
 *   `$1` in a replacement stands for the pattern's first group
 * @param {RegExp} ignoredLines
 */
export function mutantsOf(file, text, operators, ignoredLines) {
  return text.split('\n').flatMap((line, index) => {
    if (ignoredLines.test(line)) return [];
    const code = line.replace(/\/\/.*|\/\*.*?\*\//g, (comment) => ' '.repeat(comment.length));
    const mutants = operators.flatMap(({ name, pattern, replacement }) =>
      [...code.matchAll(new RegExp(pattern, 'g'))].map((match) => {
        const end = match.index + match[0].length;
        const mutated = line.slice(0, match.index) + expand(match, replacement) + line.slice(end);
        return { file, line: index + 1, operator: name, before: line.trim(), after: mutated.trim(), mutated };
      }),
    );
    // Two operators may come to the same.
    return [...new Map(mutants.map((mutant) => [mutant.mutated, mutant])).values()];
  });
}

/** What an operator puts in the place of a match. */
function expand(match, replacement) {
  if (typeof replacement === 'function') return replacement(...match);
  return replacement.replace(/\$(\d)/g, (_, group) => match[Number(group)] ?? '');
}

/** A source's text with a mutant in it. */
export function apply(mutant, text) {
  const lines = text.split('\n');
  lines[mutant.line - 1] = mutant.mutated;
  return lines.join('\n');
}

/** Whether a mutant is listed among those that compute the same. */
export const isAmong = (mutant, equivalent) =>
  equivalent.some(
    ({ file, operator, line, after = '' }) =>
      mutant.file === file &&
      mutant.operator === operator &&
      mutant.before.includes(line) &&
      mutant.after.includes(after),
  );

export const describe = ({ file, line, operator, before, after }) =>
  `${file}:${line} ${operator}: ${before}  →  ${after}`;

/** Prints how many were killed, and those that were not. */
export function summarise(results, byBuild = []) {
  const survivors = results.filter(({ killer }) => !killer);
  const killed = results.length - survivors.length;
  const share = results.length ? ((100 * killed) / results.length).toFixed(1) : '100.0';
  const counts = byBuild.map((name) => `${name} ${results.filter(({ killer }) => killer === name).length}`);
  console.log(
    `\n${results.length} mutants, ${killed} killed (${share}%)${counts.length > 0 ? `: ${counts.join(', ')}` : ''}`,
  );
  for (const { mutant } of survivors) console.log(`survived  ${describe(mutant)}`);
}

/**
 * Runs a program, and ends it and what it started after some seconds.
 *
 * @returns {Promise<{ status: number | null | 'timeout', text: string }>} null: a signal ended it
 */
export function runFor(seconds, command, args, { cwd, env = {} }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let text = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid, 'SIGKILL');
    }, seconds * 1000);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        text += chunk;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ status: late ? 'timeout' : code, text });
    });
  });
}
