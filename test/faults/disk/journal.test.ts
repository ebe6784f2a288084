import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { dataFile, writeFilesAtomic } from '../../../lib/files/output.js';
import { JOURNAL_FILE } from '../../../lib/files/publication.js';
import { readSettled } from '../../../lib/files/settled.js';
import { expectRefusal, useTemporaryDirectory } from '../../lib/files.js';

describe('a save that was killed while it gave files their names', () => {
  const directory = useTemporaryDirectory();
  const read = (name: string) => readFileSync(directory.path(name), 'utf8');

  /** What a process leaves that is killed right after its journal has its name, or one rename later. */
  function leave(journal: unknown): void {
    writeFileSync(directory.path('config.json'), 'old');
    writeFileSync(directory.path('model.safetensors'), 'old');
    writeFileSync(directory.path('adapter_config.json'), 'old');
    writeFileSync(directory.path('.bertune-0a.tmp'), 'new');
    writeFileSync(directory.path('.bertune-0b.tmp'), 'new');
    writeFileSync(directory.path(JOURNAL_FILE), JSON.stringify(journal));
  }
  const sound = {
    rename: [
      ['.bertune-0a.tmp', 'model.safetensors'],
      ['.bertune-0b.tmp', 'config.json'],
    ],
    remove: ['adapter_config.json'],
  };

  it('is finished by the next reader', async () => {
    leave(sound);
    const found = await readSettled(directory.path(), async () => [read('config.json'), read('model.safetensors')]);
    expect(found).to.deep.equal(['new', 'new']);
    expect(existsSync(directory.path('adapter_config.json'))).to.equal(false);
    expect(existsSync(directory.path(JOURNAL_FILE))).to.equal(false);
  });

  it('is finished by the next writer', async () => {
    leave(sound);
    await writeFilesAtomic(directory.path(), [dataFile('results.json', 'later')]);
    expect([read('config.json'), read('model.safetensors'), read('results.json')]).to.deep.equal([
      'new',
      'new',
      'later',
    ]);
  });

  it('reads again what changed while it was read', async () => {
    writeFileSync(directory.path('config.json'), 'old');
    let reads = 0;
    const found = await readSettled(directory.path(), async () => {
      const seen = read('config.json');
      if (reads++ === 0) await writeFilesAtomic(directory.path(), [dataFile('config.json', 'newer')]);
      return seen;
    });
    expect([found, reads]).to.deep.equal(['newer', 2]);
  });

  for (const [title, journal] of Object.entries({
    'leads elsewhere': { rename: [['.bertune-0a.tmp', '../victim']], remove: [] },
    'leads to a path of its own': { rename: [['.bertune-0a.tmp', '/tmp/victim']], remove: [] },
    'moves other files': { rename: [['config.json', 'model.safetensors']], remove: [] },
    'removes elsewhere': { rename: [], remove: ['a/../../victim'] },
    'is no journal': ['x'],
  })) {
    it(`is refused where the journal ${title}`, async () => {
      await mkdir(directory.path('model'));
      writeFileSync(directory.path('victim'), 'kept');
      writeFileSync(directory.path('model', '.bertune-0a.tmp'), 'new');
      writeFileSync(directory.path('model', 'config.json'), 'kept');
      writeFileSync(directory.path('model', JOURNAL_FILE), JSON.stringify(journal));
      const reading = readSettled(directory.path('model'), async () => 'read');
      await expectRefusal(reading, 'CHECKPOINT_INVALID', JOURNAL_FILE);
      expect(read('victim')).to.equal('kept');
      expect(read(join('model', 'config.json'))).to.equal('kept');
    });
  }

  it('is refused at once where the journal is a pipe', async () => {
    await mkdir(directory.path('model'));
    execFileSync('mkfifo', [directory.path('model', JOURNAL_FILE)]);
    const reading = readSettled(directory.path('model'), async () => 'read');
    await expectRefusal(reading, 'CHECKPOINT_INVALID', JOURNAL_FILE);
  });
});
