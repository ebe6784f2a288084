import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { LOCK_FILE, withDirectoryLock } from '../../lib/files/lock.js';
import { loadNative } from '../../lib/native/index.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

describe('lock of a directory', () => {
  const directory = useTemporaryDirectory();
  const done: string[] = [];
  const work =
    (name: string, milliseconds = 0) =>
    async () => {
      await sleep(milliseconds);
      done.push(name);
      return name;
    };

  beforeEach(() => {
    done.length = 0;
  });
  afterEach(() => expect(existsSync(directory.path(LOCK_FILE))).to.equal(false));

  it('is refused while it is held, and free afterwards, also of work that failed', async () => {
    const first = withDirectoryLock(directory.path(), work('first', 100));
    await expectRefusal(withDirectoryLock(directory.path(), work('second')), 'OUTPUT_REFUSED', 'other work of this');
    await first;
    const failing = withDirectoryLock(directory.path(), () => Promise.reject(new Error('failed')));
    expect(await failing.catch(({ message }) => message)).to.equal('failed');
    await withDirectoryLock(directory.path(), work('third'));
    expect(done).to.deep.equal(['first', 'third']);
  });

  it('is waited for where its holder has not said yet who it is', async () => {
    const fd = openSync(directory.path(LOCK_FILE), 'a+');
    expect(loadNative().lockFile(fd)).to.equal(true);
    const waiting = withDirectoryLock(directory.path(), work('second'));
    await sleep(50);
    expect(done).to.deep.equal([]);
    closeSync(fd);
    await waiting;
    expect(done).to.deep.equal(['second']);
  });

  it('is shared by those alone who are handed it, one at a time, by whatever path', async () => {
    await symlink(directory.path(), directory.path('alias'));
    await withDirectoryLock(directory.path(), async (lock) => {
      expect([lock.covers(directory.path()), lock.covers(directory.path('alias', '.'))]).to.deep.equal([true, true]);
      await mkdir(directory.path('inner'));
      expect([lock.covers(directory.path('inner')), lock.covers(directory.path('none'))]).to.deep.equal([false, false]);
      await expectRefusal(withDirectoryLock(directory.path('alias'), work('stranger')), 'OUTPUT_REFUSED', 'other work');
      const failing = lock.inTurn(() => Promise.reject(new Error('failed')));
      const turns = [lock.inTurn(work('first', 40)), lock.inTurn(work('second', 20)), lock.inTurn(work('third'))];
      expect(await failing.catch(({ message }) => message)).to.equal('failed');
      await turns[1];
      expect(done).to.deep.equal(['first', 'second']);
    });
    // It is given up once all turns are over.
    expect(done).to.deep.equal(['first', 'second', 'third']);
  });

  it('is no right of what outlives the work it was taken for', async () => {
    let late: Promise<unknown> = Promise.resolve();
    await withDirectoryLock(directory.path(), async () => {
      late = sleep(50).then(() => withDirectoryLock(directory.path(), work('late')));
    });
    const fd = openSync(directory.path(LOCK_FILE), 'wx+');
    expect(loadNative().lockFile(fd)).to.equal(true);
    writeSync(fd, '{"pid":7,"host":"elsewhere","since":"now","token":"x"}');
    await expectRefusal(late, 'OUTPUT_REFUSED', 'process 7 on elsewhere');
    unlinkSync(directory.path(LOCK_FILE));
    closeSync(fd);
  });

  it('tells another process of the same number, as in another container, from this one', async () => {
    const fd = openSync(directory.path(LOCK_FILE), 'wx+');
    expect(loadNative().lockFile(fd)).to.equal(true);
    writeSync(fd, JSON.stringify({ pid: process.pid, host: 'elsewhere', since: 'now', token: 'x' }));
    const other = `process ${process.pid} on elsewhere`;
    await expectRefusal(withDirectoryLock(directory.path(), work('second')), 'OUTPUT_REFUSED', other);
    unlinkSync(directory.path(LOCK_FILE));
    closeSync(fd);
  });

  it('leaves the lock file of another in its place', async () => {
    await withDirectoryLock(directory.path(), async () => {
      unlinkSync(directory.path(LOCK_FILE));
      await writeFile(directory.path(LOCK_FILE), 'of another');
    });
    expect(await readFile(directory.path(LOCK_FILE), 'utf8')).to.equal('of another');
    unlinkSync(directory.path(LOCK_FILE));
  });

  it('takes over what a process that died left, all of it or the beginning', async () => {
    for (const text of ['', '{"pid":1', '{"pid":1,"host":"a"}\n']) {
      await writeFile(directory.path(LOCK_FILE), text);
      await withDirectoryLock(directory.path(), work('next'));
    }
    expect(done).to.have.lengthOf(3);
  });

  const inTheWay: Record<string, [words: string, make: (path: string, victim: string) => unknown]> = {
    'a link': ['is a symbolic link', (path, victim) => symlinkSync(victim, path)],
    'a link to nowhere': ['is a symbolic link', (path) => symlinkSync(directory.path('made'), path)],
    'another name of a file': ['is a hard link', (path, victim) => linkSync(victim, path)],
    'another file': ['is a file of something else', (path, victim) => copyFileSync(victim, path)],
    'a directory': ['is a directory', (path) => mkdirSync(path)],
    'a pipe': ['is no file', (path) => execFileSync('mkfifo', [path])],
  };
  for (const [title, [words, make]] of Object.entries(inTheWay)) {
    it(`is refused by name where ${title} is in its place, which is not touched`, async () => {
      const victim = directory.path('victim');
      await mkdir(directory.path('output'));
      await writeFile(victim, 'kept');
      const path = directory.path('output', LOCK_FILE);
      await make(path, victim);
      await expectRefusal(withDirectoryLock(directory.path('output'), work('never')), 'OUTPUT_REFUSED', path, words);
      expect(await readFile(victim, 'utf8')).to.equal('kept');
      expect(existsSync(directory.path('made'))).to.equal(false);
      expect(lstatSync(path).isSymbolicLink()).to.equal(title.startsWith('a link'));
      expect(done).to.deep.equal([]);
    });
  }
});
