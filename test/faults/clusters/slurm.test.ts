import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { ROOT, UserProject } from '../../docs/project.js';
import { lasting, SweepFolder } from '../../sweep/folder.js';
import { LONG, note } from '../scale.js';
import { Slurm } from './slurm.js';

describe('a sweep on SLURM', function () {
  this.timeout(600_000);
  let slurm: Slurm | undefined;
  let project: UserProject;
  let folder: SweepFolder;

  before(async function () {
    if (!LONG || !Slurm.isThere()) this.skip();
    const conf = await UserProject.create();
    slurm = await Slurm.start(conf.folder);
    project = await UserProject.create(slurm.environment);
    folder = await SweepFolder.create(project.folder);
    await copyFile(join(ROOT, 'examples/slurm/sweep.sbatch'), join(project.folder, 'sweep.sbatch'));
  });
  after(async () => {
    // A daemon that is killed leaves the processes of its jobs.
    await project?.shell('scancel --user=root; while squeue --noheader | grep -q .; do sleep 0.2; done');
    await slurm?.stop();
    await project?.remove();
  });

  it('is shared by the tasks of an array', async () => {
    await folder.plan('array', ['--max-steps', '4', '--method', 'linear,lora', '--seed', '1,2,3']);
    await project.shell('sbatch --wait --array=1-3 --cpus-per-task=1 sweep.sbatch array');
    const logs = (await readdir(project.folder)).filter((name) => name.startsWith('sweep-'));
    expect(logs).to.have.lengthOf(3);
    const texts = await Promise.all(logs.sort().map((name) => readFile(join(project.folder, name), 'utf8')));
    for (const [i, text] of texts.entries()) {
      expect(text).to.contain(`SLURM_ARRAY_TASK_ID=${i + 1}: share ${i + 1} of 3: 2 of 6 cells\n`);
      expect(text).to.contain('2 cells: 2 done\n');
    }
    for (const { attempts } of (await folder.results('array')).values()) expect(attempts).to.equal(1);
    note('sweeps: cells run by an array of SLURM', 6);
  });

  it('goes on after a task was put back into the queue, to the same bits', async () => {
    const settings = ['--epochs', '400', '--method', 'lora', '--seed', '1'];
    for (const name of ['whole', 'requeued']) await folder.plan(name, settings);
    await folder.sweep('run', ['whole', '--quiet']);
    const { stdout } = await project.shell(
      'sbatch --parsable --array=1 --cpus-per-task=1 --output=requeued.log sweep.sbatch requeued',
    );
    const job = stdout.trim();
    const log = async () => readFile(join(project.folder, 'requeued.log'), 'utf8').catch(() => '');
    while (!(await log()).includes('epoch 3/400')) await sleep(100);
    await project.shell(`scontrol requeue ${job}_1`);
    // A job that is put back waits for a while before it may begin.
    const until = performance.now() + 300_000;
    while (!(await log()).includes('1 cell: 1 done') && performance.now() < until) await sleep(500);
    expect(await log()).to.contain('1 cell: 1 done');
    const [[id, { attempts, run }] = expect.fail('no result')] = [...(await folder.results('requeued'))];
    expect(attempts, await log()).to.equal(2);
    expect(lasting(run)).to.deep.equal(lasting((await folder.results('whole')).get(id)?.run));
    note('sweeps: cells resumed by SLURM to the same bits', 1);
  });
});
