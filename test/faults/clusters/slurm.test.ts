import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { ROOT, UserProject } from '../../docs/project.js';
import { lasting, SweepFolder } from '../../sweep/folder.js';
import { LONG, note } from '../scale.js';
import { areThere } from './commands.js';

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'scontrol'];
const HOST = hostname().split('.')[0]!;

/** SLURM of one machine in a folder: Debian's slurm-wlm, run by root. */
class Slurm {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(folder: string): Promise<Slurm> {
    const path = (name: string) => join(folder, name);
    await writeFile(path('munge.key'), randomBytes(1024), { mode: 0o600 });
    const munge = ['socket', 'pid-file', 'log-file', 'seed-file'].map(
      (name) => `--${name}=${path(`munge.${name.slice(0, 3)}`)}`,
    );
    execFileSync('munged', ['--force', `--key-file=${path('munge.key')}`, ...munge]);
    const conf = [
      ...['ClusterName=bertune', `SlurmctldHost=${HOST}(127.0.0.1)`, 'SlurmUser=root', 'MailProg=/bin/true'],
      ...['AuthType=auth/munge', `AuthInfo=socket=${path('munge.soc')}`, 'CredType=cred/munge'],
      ...[`StateSaveLocation=${folder}`, `SlurmdSpoolDir=${folder}`, 'SlurmctldPort=26817', 'SlurmdPort=26818'],
      ...[`SlurmctldPidFile=${path('slurmctld.pid')}`, `SlurmctldLogFile=${path('slurmctld.log')}`],
      ...[`SlurmdPidFile=${path('slurmd.pid')}`, `SlurmdLogFile=${path('slurmd.log')}`],
      ...['ProctrackType=proctrack/pgid', 'TaskPlugin=task/none', 'ReturnToService=2', 'KillWait=20'],
      ...['SelectType=select/cons_tres', 'SelectTypeParameters=CR_CPU', 'SchedulerType=sched/backfill'],
      `NodeName=${HOST} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN`,
      `PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP`,
    ];
    await writeFile(path('slurm.conf'), `${conf.join('\n')}\n`);
    for (const daemon of ['slurmctld', 'slurmd']) execFileSync(daemon, ['-f', path('slurm.conf')]);
    return new Slurm(folder);
  }

  get environment(): NodeJS.ProcessEnv {
    return { SLURM_CONF: join(this.#folder, 'slurm.conf') };
  }

  async stop(): Promise<void> {
    for (const name of ['slurmd', 'slurmctld', 'munge']) {
      const pid = await readFile(join(this.#folder, `${name}.pid`), 'utf8').catch(() => '');
      if (pid !== '') process.kill(Number(pid), 'SIGKILL');
    }
  }
}

describe('a sweep on SLURM', function () {
  this.timeout(600_000);
  let slurm: Slurm | undefined;
  let project: UserProject;
  let folder: SweepFolder;

  before(async function () {
    if (!LONG || process.getuid?.() !== 0 || !areThere(...PROGRAMS)) this.skip();
    const conf = await UserProject.create();
    slurm = await Slurm.start(conf.folder);
    project = await UserProject.create(slurm.environment);
    folder = await SweepFolder.create(project.folder);
    await copyFile(join(ROOT, 'examples/slurm/sweep.sbatch'), join(project.folder, 'sweep.sbatch'));
    while (!/idle/.test((await project.shell('sinfo').catch(() => ({ stdout: '' }))).stdout)) await sleep(200);
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
