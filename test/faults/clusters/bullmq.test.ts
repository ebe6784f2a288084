import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { ROOT, UserProject } from '../../docs/project.js';
import { SweepFolder } from '../../sweep/folder.js';
import { LONG, note } from '../scale.js';
import { areThere } from './commands.js';

const PORT = 26379;

describe('a sweep from a queue of BullMQ', function () {
  this.timeout(300_000);
  const children: ChildProcess[] = [];
  let project: UserProject;
  let folder: SweepFolder;

  before(async function () {
    if (!LONG || !areThere('redis-server')) this.skip();
    project = await UserProject.create({ REDIS_URL: `redis://127.0.0.1:${PORT}` });
    folder = await SweepFolder.create(project.folder);
    for (const name of ['queue.js', 'enqueue.js', 'worker.js']) {
      await cp(join(ROOT, 'examples/bullmq', name), join(project.folder, name));
    }
    const args = ['--port', String(PORT), '--save', '', '--dir', project.folder];
    children.push(spawn('redis-server', args, { stdio: 'ignore' }));
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await project?.remove();
  });

  function worker(): { child: ChildProcess; output: () => string } {
    const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${PORT}` };
    const child = spawn(process.execPath, ['worker.js'], { cwd: project.folder, env });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
    }
    children.push(child);
    return { child, output: () => text };
  }

  it('is run by workers that come and go, each cell once', async () => {
    await folder.plan('s', ['--epochs', '60', '--method', 'linear', '--seed', '1,2,3,4']);
    for (let i = 0; i < 2; i++) expect((await project.shell('node enqueue.js s')).stdout).to.contain('4 cells of');
    const [first, second] = [worker(), worker()];
    while (!/epoch 3\/60/.test(first.output())) await sleep(100);
    // What it was at goes back to the queue, and to the other.
    first.child.kill('SIGTERM');
    expect(await once(first.child, 'exit')).to.deep.equal([0, null]);
    while (!(await folder.sweep('status', ['s'])).stdout.includes('4 cells: 4 done')) await sleep(1000);
    second.child.kill('SIGTERM');
    await once(second.child, 'exit');
    expect(`${first.output()}${second.output()}`.match(/^done: /gm)).to.have.lengthOf(4);
    const attempts = [...(await folder.results('s')).values()].map((result) => result.attempts);
    expect(attempts.sort()).to.deep.equal([1, 1, 1, 2]);
    note('sweeps: cells run from a queue of BullMQ', 4);
  });
});
