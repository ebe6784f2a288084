import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { type Lease, Leases } from '../../lib/files/lease.js';
import { loadNative } from '../../lib/native/index.js';
import { bundled } from '../bundled.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

const PROGRAM = await bundled('lease-program.ts', import.meta.url);

describe('leases', function () {
  this.timeout(30_000);
  const directory = useTemporaryDirectory();
  const held: (Lease | null)[] = [];
  const children: ChildProcess[] = [];
  const leases = (seconds = 60) => new Leases(directory.path(), seconds);
  const take = async (number = 0, from = leases()) => {
    const lease = await from.take('work', number);
    held.push(lease);
    return lease;
  };

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const lease of held.splice(0)) await lease?.release();
  });

  /** A worker in a process of its own: the leases that it took. */
  async function worker(names: string, end: 'hold' | 'exit'): Promise<{ child: ChildProcess; taken: string[] }> {
    const child = spawn(process.execPath, [PROGRAM, directory.path(), names, end], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    while (!text.includes('\n')) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      await sleep(10);
    }
    return { child, taken: JSON.parse(text) as string[] };
  }

  /** The lease of an owner on another machine, written so many seconds ago. */
  async function foreignLease(seconds: number): Promise<void> {
    const holder = {
      token: 'x',
      host: 'elsewhere',
      pid: 1,
      boot: 'another',
      since: 'then',
      progress: '',
      released: false,
    };
    await writeFile(directory.path('work.1'), JSON.stringify(holder));
    const then = Date.now() / 1000 - seconds;
    await utimes(directory.path('work.1'), then, then);
  }

  it('are had by one at a time, and by the next once they are given up', async () => {
    const first = await take();
    expect(first).to.include({ attempts: 0 });
    expect(await take(0)).to.equal(null);
    expect(await take(1)).to.equal(null);
    expect((await leases().find('work', 1))?.isFree).to.equal(false);
    await first?.release();
    expect((await leases().find('work', 1))?.holder).to.include({ released: true, pid: process.pid });
    expect(await take(0)).to.equal(null);
    expect(await take(1)).to.include({ attempts: 1 });
    expect(await leases().list()).to.deep.equal(new Map([['work', 2]]));
  });

  it('leave nothing behind when the work is done', async () => {
    await (await take())?.release();
    await (await take(1))?.finish();
    expect(readdirSync(directory.path())).to.deep.equal([]);
  });

  it('are taken once by workers that all want them', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `cell-${i}`);
    const workers = await Promise.all([1, 2, 3].map(() => worker(names.join(','), 'hold')));
    const taken = workers.flatMap((each) => each.taken);
    expect(taken.sort()).to.deep.equal(names.sort());
  });

  it('are taken over at once from an owner on this machine that was killed, by one alone', async () => {
    const { child, taken } = await worker('work', 'hold');
    expect(taken).to.deep.equal(['work']);
    expect(await take(1)).to.equal(null);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const asking = openSync(directory.path('work.1'), 'r+');
    expect(loadNative().lockFile(asking, true), 'somebody else who asks').to.equal(true);
    expect((await leases().find('work', 1))?.isFree).to.equal(true);
    const takers = await Promise.all(Array.from({ length: 20 }, () => take(1)));
    expect(takers.filter((lease) => lease !== null).length).to.equal(1);
    expect(await leases().list()).to.deep.equal(new Map([['work', 2]]));
    closeSync(asking);
  });

  it('are taken over from an owner elsewhere that has not written for too long', async () => {
    await foreignLease(50);
    expect(await take(1)).to.equal(null);
    await foreignLease(70);
    const takers = await Promise.all(Array.from({ length: 20 }, () => take(1)));
    expect(takers.filter((lease) => lease !== null).length).to.equal(1);
  });

  it('count as held where their file cannot be read, until it is old', async () => {
    await writeFile(directory.path('work.1'), '{"token":');
    expect(await take(1)).to.equal(null);
    await utimes(directory.path('work.1'), 0, 0);
    expect(await take(1)).not.to.equal(null);
  });

  it('are renewed, with what the work has come to', async () => {
    const lease = await take(0, leases(0.4));
    lease!.progress = 'epoch 2';
    await utimes(directory.path('work.1'), 0, 0);
    await sleep(400);
    expect((await leases().find('work', 1))?.holder).to.include({ progress: 'epoch 2' });
    expect(JSON.parse(await readFile(directory.path('work.1'), 'utf8'))).to.include({ released: false });
    expect(lease?.lost.aborted).to.equal(false);
  });

  it('tell an owner that was thought dead', async () => {
    const lease = await take();
    await writeFile(directory.path('work.2'), '{}');
    expect(await lease?.renew()).to.equal(false);
    expect(lease?.lost.aborted).to.equal(true);
    await lease?.release();
    expect(JSON.parse(await readFile(directory.path('work.1'), 'utf8'))).to.include({ released: false });
  });

  it('are lost with their file', async () => {
    const lease = await take();
    await rename(directory.path('work.1'), directory.path('elsewhere'));
    expect(await lease?.renew()).to.equal(false);
  });

  it('follow no link', async () => {
    await writeFile(directory.path('other'), 'kept');
    await symlink(directory.path('other'), directory.path('work.1'));
    await expectRefusal(leases().take('work', 1), 'OUTPUT_REFUSED');
    expect(await readFile(directory.path('other'), 'utf8')).to.equal('kept');
  });
});
