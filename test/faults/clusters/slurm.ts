import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { areThere } from './commands.js';

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'scontrol'];
const HOST = hostname().split('.')[0]!;

/** SLURM of one machine in a folder: Debian's slurm-wlm, run by root. */
export class Slurm {
  readonly #folder: string;

  /** Whether it can be started here. */
  static isThere(): boolean {
    return process.getuid?.() === 0 && areThere(...PROGRAMS);
  }

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
    const slurm = new Slurm(folder);
    const env = { ...process.env, ...slurm.environment };
    const isIdle = () => /idle/.test(execFileSync('sinfo', { env, encoding: 'utf8' }));
    while (!isIdle()) await sleep(200);
    return slurm;
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
