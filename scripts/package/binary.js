import { spawnSync } from 'node:child_process';
import { SetupError } from '../console.js';

/** What objdump (binutils, which comes with every compiler) says of a binary. */
function objdump(option, file) {
  const { status, stdout, stderr } = spawnSync('objdump', [option, file], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new SetupError(`objdump ${option} ${file} failed: ${stderr}`);
  return stdout;
}

/**
 * What a shared library asks of the system.
 *
 * @returns {{ libraries: string[], glibc: string, exported: string[], imported: string[] }} libraries: the names it is linked
 *   with. glibc: the latest version of the GNU C library that one of its symbols names. exported: the names that are seen from
 *   outside. imported: the names that others have to bring, but for those of the C library and of libgcc.
 */
export function binaryNeeds(file) {
  const libraries = [...objdump('-p', file).matchAll(/^\s*NEEDED\s+(\S+)/gm)].map(([, name]) => name);
  const symbols = objdump('-T', file);
  const versions = [...symbols.matchAll(/\(?GLIBC_(\d+(?:\.\d+)+)\)?/g)].map(([, version]) => version);
  const order = (a, b) => a.localeCompare(b, 'en', { numeric: true });
  const names = (lines) => lines.map((line) => line.trim().split(/\s+/).at(-1));
  const lines = symbols.split('\n').filter((line) => /^[0-9a-f]{8,}/.test(line));
  const [others, own] = [true, false].map((missing) => lines.filter((line) => line.includes('*UND*') === missing));
  return {
    libraries,
    glibc: versions.sort(order).at(-1) ?? '2.2.5',
    exported: names(own),
    // What may be missing (w) is not asked for.
    imported: names(others.filter((line) => !/\(?(?:GLIBC|GCC)_/.test(line) && !/^\S+\s+w\b/.test(line))),
  };
}
