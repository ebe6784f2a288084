import { spawnSync } from 'node:child_process';
import { SetupError } from '../console.js';

/** What objdump (from binutils, which comes with every compiler) says about a binary. */
function objdump(option, file) {
  const { status, stdout, stderr } = spawnSync('objdump', [option, file], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new SetupError(`objdump ${option} ${file} failed: ${stderr}`);
  return stdout;
}

/**
 * What a shared library needs from the system.
 *
 * @returns {{ libraries: string[], glibc: string, exported: string[], imported: string[] }} libraries: the libraries it is linked
 *   with. glibc: the latest version of the GNU C library that any of its symbols requires. exported: the names visible from
 *   outside. imported: the names that others have to provide, except those of the C library and libgcc.
 */
export function binaryNeeds(file) {
  const libraries = [...objdump('-p', file).matchAll(/^\s*NEEDED\s+(\S+)/gm)].map(([, name]) => name);
  const symbols = objdump('-T', file);
  const versions = [...symbols.matchAll(/\(?GLIBC_(\d+(?:\.\d+)+)\)?/g)].map(([, version]) => version);
  const order = (a, b) => a.localeCompare(b, 'en', { numeric: true });
  const names = (lines) => lines.map((line) => line.trim().split(/\s+/).at(-1));
  // Local symbols (l), such as those of sections, are nobody else's.
  const lines = symbols.split('\n').filter((line) => /^[0-9a-f]{8,} [^l]/.test(line));
  const [others, own] = [true, false].map((missing) => lines.filter((line) => line.includes('*UND*') === missing));
  return {
    libraries,
    glibc: versions.sort(order).at(-1) ?? '2.2.5',
    exported: names(own),
    // Weak symbols (w) may be missing.
    imported: names(others.filter((line) => !/\(?(?:GLIBC|GCC)_/.test(line) && !/^\S+\s+w\b/.test(line))),
  };
}
