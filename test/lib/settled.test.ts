import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { readSettled } from '../../lib/files/journal.js';
import { useTemporaryDirectory } from './files.js';

describe('reading a directory that somebody may be writing to', () => {
  const directory = useTemporaryDirectory();
  let reads: number;

  beforeEach(async () => {
    reads = 0;
    await writeFile(directory.path('config.json'), 'old');
  });

  /** Reads a file, which is replaced while it is read for the first time. */
  async function readWhileReplaced(): Promise<string> {
    reads += 1;
    const text = await readFile(directory.path('config.json'), 'utf8');
    if (reads === 1) await writeFile(directory.path('config.json'), 'newer');
    return text;
  }

  it('reads once what does not change', async () => {
    expect(await readSettled(directory.path('.'), async () => ++reads)).to.equal(1);
  });

  it('reads again what changed meanwhile', async () => {
    expect(await readSettled(directory.path('.'), readWhileReplaced)).to.equal('newer');
    expect(reads).to.equal(2);
  });

  it('forgets a failure where something changed meanwhile, as it may be that of a mixture', async () => {
    const read = async () => {
      if ((await readWhileReplaced()) === 'old') throw new Error('mixed');
      return 'whole';
    };
    expect(await readSettled(directory.path('.'), read)).to.equal('whole');
  });

  it('fails at once where nothing changed', async () => {
    const read = async () => {
      reads += 1;
      throw new Error('broken');
    };
    const error = await readSettled(directory.path('.'), read).then(
      () => null,
      (cause: unknown) => cause,
    );
    expect(error).to.be.an('error').with.property('message', 'broken');
    expect(reads).to.equal(1);
  });
});
