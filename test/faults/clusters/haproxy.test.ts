import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { freePort, startBalancer } from '../../../bench/service/balancer.js';
import { useTemporaryDirectory } from '../../lib/files.js';
import { writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { LONG, note } from '../scale.js';
import { Example } from '../service/example.js';
import { areThere } from './commands.js';

const CLIENTS = 32;
const BODY = JSON.stringify({ texts: Array(8).fill('we went home with a friend and the day was good') });

/** A request, by performance.now(); without a status the connection was closed. */
interface Outcome {
  began: number;
  ended: number;
  status: number | undefined;
}

/** Clients that ask again as soon as they are answered, until they are told to stop. */
class Load {
  readonly outcomes: Outcome[] = [];
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  readonly #clients: Promise<void>[];
  #over = false;

  constructor(address: string) {
    this.#url = new URL('/predict', address);
    this.#clients = Array.from({ length: CLIENTS }, async () => {
      while (!this.#over) await this.#ask();
    });
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #ask(): Promise<void> {
    const began = performance.now();
    const status = await new Promise<number | undefined>((resolve) => {
      const headers = { 'content-type': 'application/json', 'content-length': BODY.length };
      const sent = request(this.#url, { method: 'POST', headers, agent: this.#agent }, (answer) => {
        answer.on('error', () => resolve(undefined)).resume();
        answer.on('end', () => resolve(answer.statusCode));
      });
      sent.on('error', () => resolve(undefined)).end(BODY);
    });
    this.outcomes.push({ began, ended: performance.now(), status });
  }
}

describe('faults: two replicas of examples/service behind HAProxy', function () {
  this.timeout(300_000);
  const directory = useTemporaryDirectory();
  const replicas: Example[] = [];
  let ports: number[];
  let balancer: ChildProcess | undefined;
  let load: Load;
  let starts = 0;

  async function start(port: number): Promise<Example> {
    const flags = ['--port', String(port), '--threads', '1', '--max-queue-time', '10000', '--drain-delay', '2'];
    return Example.start(directory.path(`replica-${starts++}`), directory.path('model'), ...flags);
  }

  before(function () {
    if (!LONG || !areThere('haproxy')) this.skip();
  });
  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('model'));
    ports = [await freePort(), await freePort()];
    for (const [i, port] of ports.entries()) replicas[i] = await start(port);
    const started = await startBalancer(directory.path('.'), ports);
    balancer = started.child;
    load = new Load(started.address);
    await sleep(2000);
  });
  afterEach(async () => {
    await load?.stop();
    balancer?.kill('SIGKILL');
    for (const replica of replicas) replica.kill();
  });

  const answeredBy = (replica: Example) => replica.metric('bertune_texts_total');

  it('loses the requests alone that a replica had when it was killed', async () => {
    for (const replica of replicas) expect(await answeredBy(replica)).to.be.greaterThan(0);
    const [first] = replicas as [Example];
    const exit = once(first.child, 'exit');
    const killed = performance.now();
    first.kill();
    await exit;
    const gone = performance.now();
    await sleep(3000);
    replicas[0] = await start(ports[0]!);
    await sleep(3000);
    await load.stop();

    const failed = load.outcomes.filter(({ status }) => status !== 200);
    // The kernel takes connections until the process has gone.
    const inFlight = load.outcomes.filter(({ began, ended }) => began < gone && ended > killed);
    expect(failed.length).to.be.within(1, CLIENTS);
    for (const each of failed)
      expect(inFlight, `${JSON.stringify(each)}, killed ${killed}, gone ${gone}`).to.include(each);
    expect(await answeredBy(replicas[0]!)).to.be.greaterThan(0);
    note('service, HAProxy: requests while one of two replicas was killed and came back', load.outcomes.length);
    note('service, HAProxy: of them failed, all under way when it was killed', failed.length);
  });

  it('loses none where they are restarted one by one', async () => {
    for (const [i, port] of ports.entries()) {
      expect(await replicas[i]!.stop()).to.equal(0);
      replicas[i] = await start(port);
      await sleep(2000);
    }
    await load.stop();
    expect(load.outcomes.filter(({ status }) => status !== 200)).to.deep.equal([]);
    for (const replica of replicas) expect(await answeredBy(replica)).to.be.greaterThan(0);
    note('service, HAProxy: requests while both replicas were restarted, each answered', load.outcomes.length);
  });
});
