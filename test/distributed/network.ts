import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Mpi } from '../../lib/distributed/ranks.js';
import { PROGRAM } from './launch.js';
import type { Program } from './program.js';

/*
 * Two machines, as far as processes can tell: network namespaces with a link between them that takes its time, and names of
 * their own. Making them takes root and Python.
 */

const ADDRESSES = ['10.77.0.1', '10.77.0.2'] as const;
const LINK = 'bertune-link'; // 15 letters at most
/** Milliseconds that a packet takes. */
export const DELAY = 5;
const WIRE = fileURLToPath(new URL('wire.py', import.meta.url));

/** Starts a command on the machine of an address, as ssh would for a launcher. */
const AGENT = `#!/bin/sh
while [ "\${1#-}" != "$1" ]; do shift; done
host=$1
shift
case $host in
${ADDRESSES.map((address, i) => `${address}) name=NAME${i} ;;`).join('\n')}
esac
exec ip netns exec $name unshare --uts sh -c "hostname $name; $*"
`;

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export class Network {
  readonly #names = ['a', 'b'].map((letter) => `bertune-${process.pid}-${letter}`);
  readonly #agent: string;
  readonly #wire: ChildProcess;

  private constructor(agent: string) {
    this.#agent = agent;
    for (const name of this.#names) ip('netns', 'add', name);
    this.#wire = spawn('python3', [WIRE, ...this.#names, LINK, String(DELAY)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    writeFileSync(
      agent,
      AGENT.replace(/NAME(\d)/g, (_, i: string) => this.#names[Number(i)]!),
    );
    chmodSync(agent, 0o755);
  }

  /**
   * @param agent a file to write
   * @throws Error where it is not permitted
   */
  static async create(agent: string): Promise<Network> {
    const network = new Network(agent);
    await network.#connect().catch((error) => {
      network.remove();
      throw error;
    });
    return network;
  }

  async #connect(): Promise<void> {
    const [word] = await Promise.race([once(this.#wire.stdout!, 'data'), once(this.#wire, 'exit')]);
    if (String(word).trim() !== 'ready') throw new Error('the wire between the namespaces ended');
    for (const [i, name] of this.#names.entries()) {
      ip('-n', name, 'addr', 'add', `${ADDRESSES[i]}/24`, 'dev', LINK);
      for (const device of [LINK, 'lo']) ip('-n', name, 'link', 'set', device, 'up');
    }
  }

  /** Starts the program with a rank on each machine. */
  start(program: Program, mpi: Mpi): ChildProcess {
    const rank = [process.execPath, PROGRAM, JSON.stringify(program)];
    const [a] = this.#names as [string];
    const commands: Record<Mpi, string[]> = {
      openmpi: [
        ...['mpirun.openmpi', '--allow-run-as-root', '--mca', 'plm_rsh_agent', this.#agent, '--mca', 'pml', 'ob1'],
        ...['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', LINK, '--mca', 'oob_tcp_if_include', LINK],
        ...['-H', ADDRESSES.map((address) => `${address}:1`).join(','), '-n', '2'],
      ],
      mpich: [
        ...[
          'mpiexec.mpich',
          '-launcher',
          'ssh',
          '-launcher-exec',
          this.#agent,
          '-hosts',
          ADDRESSES.join(','),
          '-n',
          '2',
        ],
      ],
    };
    const environment = { FI_PROVIDER: 'tcp', FI_TCP_IFACE: LINK, UCX_TLS: 'tcp,self', UCX_NET_DEVICES: LINK };
    const inside = ['netns', 'exec', a, 'unshare', '--uts', 'sh', '-c', `hostname ${a}; exec "$@"`, 'sh'];
    return spawn('ip', [...inside, ...commands[mpi], ...rank], { env: { ...process.env, ...environment } });
  }

  /** No packet arrives any more, and nobody is told. */
  cut(): void {
    this.#wire.kill('SIGSTOP');
  }

  join(): void {
    this.#wire.kill('SIGCONT');
  }

  /** Ends what still runs there. */
  remove(): void {
    this.#wire.kill('SIGKILL');
    for (const name of this.#names) {
      for (const pid of execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n').filter(Boolean))
        process.kill(Number(pid), 'SIGKILL');
      ip('netns', 'delete', name);
    }
  }
}
