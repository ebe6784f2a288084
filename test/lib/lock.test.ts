import { closeSync, existsSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { LOCK_FILE, withDirectoryLock } from '../../lib/files/lock.js';
import { loadNative } from '../../lib/native.js';
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

  it('is waited for while it is held briefly', async () => {
    const first = withDirectoryLock(directory.path(), work('first', 100), { brief: true });
    const others = ['second', 'third'].map((name) => withDirectoryLock(directory.path(), work(name), { brief: true }));
    await Promise.all([first, ...others]);
    expect(done[0]).to.equal('first');
    expect(done).to.have.members(['first', 'second', 'third']);
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

  it('may be taken again by the work under it', async () => {
    const inner = () => withDirectoryLock(directory.path(), work('inner'));
    expect(await withDirectoryLock(directory.path(), inner)).to.equal('inner');
  });
});
