import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { withLock } from '../../lib/hub/lock.js';
import { loadNative } from '../../lib/native/index.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';

describe('the lock of the hub cache', () => {
  const directory = useTemporaryDirectory();
  const path = () => directory.path('x.lock');
  const wait = { signal: undefined, progress: async () => 0 };

  /** Locks the file as another process would. */
  function hold(): () => void {
    const fd = openSync(path(), 'a');
    expect(loadNative().lockFile(fd)).to.equal(true);
    return () => closeSync(fd);
  }

  /** How many of several worked at the same time. */
  async function mostAtOnce(patience?: number): Promise<number> {
    let working = 0;
    let most = 0;
    const work = async () => {
      working += 1;
      most = Math.max(most, working);
      await sleep(20);
      working -= 1;
    };
    const each = patience === undefined ? wait : { ...wait, patience };
    await Promise.all([1, 2, 3].map(() => withLock(path(), each, work)));
    return most;
  }

  it('lets one work at a time', async () => {
    expect(await mostAtOnce()).to.equal(1);
  });

  it('lets one work at a time of those who gave up its holder', async () => {
    const free = hold();
    expect(await mostAtOnce(1000)).to.equal(1);
    free();
  });

  it('ends with its holder, however that ends', async function () {
    if (process.platform !== 'linux') this.skip();
    const command = ['--no-fork', path(), 'sh', '-c', 'echo locked; exec sleep 60'];
    const holder = spawn('flock', command, { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(holder.stdout, 'data');
    let freed = false;
    const work = withLock(path(), wait, async () => freed);
    await sleep(200);
    freed = true;
    holder.kill('SIGKILL');
    expect(await work).to.equal(true);
  });

  it('is waited for as long as its holder gets on, and no longer', async () => {
    const free = hold();
    let bytes = 0;
    const progress = async () => Math.min(bytes++, 5);
    const start = performance.now();
    await withLock(path(), { signal: undefined, progress, patience: 150 }, async () => undefined);
    expect(performance.now() - start, 'five polls with progress, and the patience').to.be.greaterThan(600);
    free();
  });

  it('is waited for until the signal', async () => {
    const free = hold();
    const signal = AbortSignal.timeout(100);
    await expectRefusal(
      withLock(path(), { ...wait, signal }, async () => undefined),
      'ABORTED',
    );
    free();
  });

  it('is passed over where its file is none', async () => {
    const work = async () => 'done';
    await writeFile(directory.path('victim'), 'as it was');
    await symlink(directory.path('victim'), path());
    await mkdir(directory.path('folder'));
    expect(await withLock(path(), wait, work)).to.equal('done');
    expect(await withLock(directory.path('folder'), wait, work)).to.equal('done');
    expect(await withLock(directory.path('missing/x.lock'), wait, work)).to.equal('done');
    expect(await readFile(directory.path('victim'), 'utf8')).to.equal('as it was');
  });
});
