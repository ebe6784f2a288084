import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { bundled } from '../bundled.js';

(existsSync('/sys/kernel/mm/transparent_hugepage') ? describe : describe.skip)('pages of memory on the CPU', () => {
  it('are large for weights and moments, but small for the moments of words, most of which a text does not have', async () => {
    // In a process of its own, where no earlier test has left memory that is used again.
    const program = await bundled('pages-program.ts', import.meta.url);
    const { stdout } = await promisify(execFile)(process.execPath, [program]);
    const { table, before, loaded, trained } = JSON.parse(stdout);
    expect(loaded.large - before.large, 'MiB of large pages').to.be.within(3 * table - 4, 3 * table + 4);
    expect(trained.small - loaded.small, 'MiB of small pages').to.be.within(2 * table - 1, 2 * table + 1);
    expect(trained.large - loaded.large, 'MiB of large pages').to.be.within(-2 * table - 1, -2 * table + 1);
  });
});
