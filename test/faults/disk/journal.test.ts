import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { expect } from 'chai';
import { isFile, readText } from '../../../lib/files/input.js';
import { JOURNAL_FILE, type Journal, readSettled, writeJournal } from '../../../lib/files/journal.js';
import { dataFile, removeLeftovers, writeFilesAtomic } from '../../../lib/files/output.js';
import { expectRefusal, useTemporaryDirectory } from '../../lib/files.js';
import { scaled } from '../scale.js';

const TEMPORARY = ['a', 'b', 'c'].map((letter) => `.bertune-${letter.repeat(16)}.tmp`);
const [A, B, C] = TEMPORARY as [string, string, string];
const SOUND: Journal = {
  rename: [
    [A, 'model.safetensors'],
    [B, 'base/config.json'],
    [C, 'config.json'],
  ],
  remove: ['adapter_config.json'],
};

describe('a save that was killed while it gave files their names', () => {
  const directory = useTemporaryDirectory();
  const model = (...parts: string[]) => directory.path('model', ...parts);
  const OLD = { 'config.json': 'old', 'model.safetensors': 'old', 'base/config.json': 'old', adapter: true };
  const NEW = { 'config.json': 'new', 'model.safetensors': 'new', 'base/config.json': 'new', adapter: false };

  /** What a process leaves that is killed right after its journal has its name, or so many renames later. */
  async function leave(journal: Journal, renames = 0): Promise<void> {
    rmSync(model(), { recursive: true, force: true });
    mkdirSync(model('base'), { recursive: true });
    for (const name of ['config.json', 'model.safetensors', 'adapter_config.json', 'base/config.json']) {
      writeFileSync(model(name), 'old');
    }
    for (const name of TEMPORARY) writeFileSync(model(name), 'new');
    await writeJournal(model(), journal);
    for (const [from, to] of journal.rename.slice(0, renames)) renameSync(model(from), model(to));
  }

  /** The files of a directory, as readers find them. */
  async function read(place = model()) {
    const files = Object.keys(OLD).filter((name) => name !== 'adapter');
    const texts = files.map(async (name) => [name, await readText(`${place}/${name}`, 10)] as const);
    return { ...Object.fromEntries(await Promise.all(texts)), adapter: await isFile(`${place}/adapter_config.json`) };
  }

  /** Every name and what it holds. */
  const everything = () =>
    readdirSync(directory.path(), { recursive: true, withFileTypes: true })
      .map((entry) => `${entry.parentPath}/${entry.name}`)
      .sort()
      .map((path) => [path, lstatSync(path).isFile() ? readFileSync(path, 'utf8') : 'other']);

  it('is read as if it had ended, at once, and nothing is written', async () => {
    for (const renames of [0, 1, 2, 3]) {
      await leave(SOUND, renames);
      const before = everything();
      let reads = 0;
      const found = await readSettled(model(), () => {
        reads++;
        return read();
      });
      expect([found, reads], `${renames} renames`).to.deep.equal([NEW, 1]);
      expect(await readText(model('base/config.json'), 10)).to.equal('new');
      expect(everything()).to.deep.equal(before);
    }
  });

  it('is finished by the next writer', async () => {
    const later = { ...NEW, 'model.safetensors': 'later' };
    for (const renames of [0, 1, 2, 3]) {
      await leave(SOUND, renames);
      await writeFilesAtomic(model(), [dataFile('model.safetensors', 'later')]);
      expect(await read()).to.deep.equal(later);
      expect(readdirSync(model()).filter((name) => /journal|tmp/.test(name))).to.deep.equal([]);
    }
  });

  it('is left to a writer of the model by those who write other files there', async () => {
    await leave(SOUND);
    await writeFilesAtomic(model(), [dataFile('report.html', 'x')]);
    expect(existsSync(model(JOURNAL_FILE))).to.equal(true);
    expect(await read()).to.deep.equal(NEW);
  });

  it('reads again what changed while it was read', async () => {
    await leave(SOUND);
    let reads = 0;
    const found = await readSettled(model(), async () => {
      const seen = await read();
      if (reads++ === 0) await writeFilesAtomic(model(), [dataFile('config.json', 'newer')]);
      return seen;
    });
    expect([found, reads]).to.deep.equal([{ ...NEW, 'config.json': 'newer' }, 2]);
  });

  it('opens a file under its name where it gets it between looking and opening', async () => {
    for (let i = 0; i < scaled(8, 300); i++) {
      await leave(SOUND);
      const readers: Promise<string>[] = [];
      let isFinished = false;
      const finishing = removeLeftovers(model()).finally(() => {
        isFinished = true;
      });
      while (!isFinished) {
        readers.push(readText(model('config.json'), 10));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await finishing;
      expect(new Set(await Promise.all(readers))).to.deep.equal(new Set(['new']));
    }
  });

  /** Checks that readers pass over a journal, and that writers refuse it and change nothing until it is gone. */
  async function expectForeign(): Promise<void> {
    const before = everything();
    expect(await readSettled(model(), () => read())).to.deep.equal(OLD);
    for (const write of [
      () => removeLeftovers(model()),
      () => writeFilesAtomic(model(), [dataFile('config.json', 'later')]),
    ]) {
      await expectRefusal(write, 'OUTPUT_REFUSED', model(JOURNAL_FILE), 'Delete that file');
    }
    expect(everything()).to.deep.equal(before);
    rmSync(model(JOURNAL_FILE), { recursive: true });
    await writeFilesAtomic(model(), [dataFile('config.json', 'later')]);
    expect(await read()).to.deep.equal({ ...OLD, 'config.json': 'later' });
  }

  /** Puts a copy in the place of the directory. */
  function replaceByCopy(copy: (to: string) => void): void {
    copy(directory.path('copy'));
    rmSync(model(), { recursive: true });
    renameSync(directory.path('copy'), model());
  }

  /** Checks that readers and writers refuse the directory, until the journal and what it lists are gone. */
  async function expectCopied(): Promise<void> {
    const before = everything();
    for (const use of [
      () => readSettled(model(), () => read()),
      () => isFile(model('vocab.txt')),
      () => readText(model('base', 'config.json'), 10),
    ]) {
      await expectRefusal(use, 'CHECKPOINT_INVALID', `${model()} is a copy`, 'copy that', `delete ${JOURNAL_FILE}`);
    }
    await expectRefusal(() => removeLeftovers(model()), 'OUTPUT_REFUSED', model(JOURNAL_FILE));
    expect(everything()).to.deep.equal(before);
    for (const name of TEMPORARY) rmSync(model(name), { force: true });
    await expectForeign();
  }

  const recursive = { recursive: true, preserveTimestamps: true };

  it('makes a copy, which has files of its own, a mixture of two models, which is refused', async () => {
    await leave(SOUND);
    replaceByCopy((to) => cpSync(model(), to, recursive));
    await expectCopied();
  });

  it('makes a copy a mixture also where it is made of hard links', async function () {
    await leave(SOUND);
    try {
      replaceByCopy((to) => execFileSync('cp', ['-al', model(), to], { stdio: 'ignore' }));
    } catch {
      this.skip();
    }
    await expectCopied();
  });

  it('is refused in a copy for as long as a single file has not got its name', async () => {
    await leave(SOUND, 2);
    replaceByCopy((to) => cpSync(model(), to, recursive));
    await expectRefusal(() => readText(model('config.json'), 10), 'CHECKPOINT_INVALID', 'is a copy');
    rmSync(model(C));
    expect(await readText(model('config.json'), 10)).to.equal('old');
  });

  it('is of no meaning in a copy whose journal gives a name that no model has', async () => {
    await leave({ ...SOUND, rename: [...SOUND.rename, [A, '.bashrc']] });
    replaceByCopy((to) => cpSync(model(), to, recursive));
    await expectForeign();
  });

  it('goes with its directory to another place', async () => {
    await leave(SOUND);
    renameSync(model(), directory.path('moved'));
    expect(await read(directory.path('moved'))).to.deep.equal(NEW);
  });

  // As if the numbers of its directory and file had been guessed: nothing else may lead out of the directory.
  const rename = (from: string, to: string) => ({ rename: [[from, to]], remove: [] });
  for (const [title, journal] of Object.entries({
    'leads elsewhere': rename(A, '../victim'),
    'leads elsewhere through a directory': rename(A, 'base/../../victim'),
    'leads through another directory': rename(A, 'assets/config.json'),
    'leads to a path of its own': rename(A, '/tmp/victim'),
    'gives a name that no model has': rename(A, '.bashrc'),
    'moves other files': rename('config.json', 'model.safetensors'),
    'moves files from elsewhere': rename('../victim', 'model.safetensors'),
    'removes elsewhere': { rename: [], remove: ['../victim'] },
    'removes other files': { rename: [], remove: ['notes.txt'] },
    'is no journal': { rename: [null], remove: 7 },
  })) {
    it(`is not obeyed where the journal ${title}`, async () => {
      await leave(SOUND);
      mkdirSync(model('assets'));
      for (const path of [directory.path('victim'), model('assets', 'config.json'), model('notes.txt')]) {
        writeFileSync(path, 'kept');
      }
      await writeJournal(model(), journal as unknown as Journal);
      await expectForeign();
    });
  }

  for (const [title, make] of Object.entries<(path: string) => unknown>({
    'a link': (path) => symlinkSync('elsewhere.json', path),
    'a pipe': (path) => execFileSync('mkfifo', [path]),
    'a directory': (path) => mkdirSync(path),
    'no JSON': (path) => writeFileSync(path, '{"rename":'),
    'null in JSON': (path) => writeFileSync(path, 'null'),
    endless: (path) => writeFileSync(path, `${' '.repeat(2 ** 20)}{}`),
    'one of before there were numbers in it': (path) => writeFileSync(path, JSON.stringify(SOUND)),
  })) {
    it(`is not obeyed where the journal is ${title}`, async () => {
      await leave(SOUND);
      renameSync(model(JOURNAL_FILE), model('elsewhere.json'));
      make(model(JOURNAL_FILE));
      await expectForeign();
    });
  }

  it('is not obeyed where a file that is to get a name is a link', async () => {
    await leave(SOUND);
    writeFileSync(directory.path('victim'), 'kept');
    rmSync(model(A));
    symlinkSync(directory.path('victim'), model(A));
    await expectForeign();
  });

  it('is not finished through a link in the place of the directory inside', async () => {
    await leave(SOUND);
    renameSync(model('base'), directory.path('elsewhere'));
    symlinkSync(directory.path('elsewhere'), model('base'));
    const before = everything();
    await expectRefusal(removeLeftovers(model()), 'OUTPUT_REFUSED', model('base'), 'it is a link');
    await expectRefusal(
      writeFilesAtomic(model(), [dataFile('base/config.json', 'x')]),
      'OUTPUT_REFUSED',
      model('base'),
    );
    expect(everything()).to.deep.equal(before);
  });
});
