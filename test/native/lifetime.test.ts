import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import type { NativeSession } from '../../lib/native/index.js';
import { nativeConfig } from './shape.js';
import { ADDON, dataset, MODEL, openSession, PROGRAM, sessionConfig, trainPlan } from './support.js';

interface Ending {
  code: number | null;
  signal: string | null;
  output: string;
  errors: string;
}

function input(task: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const { ids, offsets, labels } = dataset();
  const plan = trainPlan(0);
  return {
    addon: ADDON,
    config: nativeConfig(sessionConfig()),
    dataset: { ids: [...ids], offsets: [...offsets], labels: [...(labels ?? [])] },
    plan: { ...plan, order: [...plan.order], learningRates: undefined, classWeights: undefined },
    task,
    ...more,
  };
}

async function runChild(task: string, more: Record<string, unknown> = {}): Promise<Ending> {
  const child = spawn(process.execPath, ['--expose-gc', PROGRAM, JSON.stringify(input(task, more))]);
  const ending: Ending = { code: null, signal: null, output: '', errors: '' };
  child.stdout.on('data', (chunk) => {
    ending.output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    ending.errors += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { ...ending, code, signal };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof BertuneError ? error.code : `not a BertuneError: ${error}`;
  }
}

describe('native lifetimes', () => {
  it('survive a worker that is terminated at any point', async () => {
    for (let round = 0; round < 20; round++) {
      const worker = new Worker(PROGRAM, { workerData: input('work'), execArgv: [] });
      const messages: string[] = [];
      worker.on('message', (message) => messages.push(message));
      // Some rounds end while the first session is being made, the others while it works.
      if (round % 4 === 0) await sleep(round * 3);
      else await Promise.race([once(worker, 'message'), once(worker, 'exit')]).then(() => sleep((round * 7) % 23));
      await worker.terminate();
      expect(messages.filter((message) => message !== 'begun')).to.deep.equal([]);
    }
  });

  it('let process.exit() end the process with its code in the middle of a run', async () => {
    for (const code of [0, 7, 0, 7, 0, 7]) {
      const { errors, ...ending } = await runChild('exit', { code });
      expect(errors).to.equal('');
      expect(ending).to.deep.equal({ code, signal: null, output: '' });
    }
  });

  it('do not keep memory or threads of disposed sessions', async () => {
    // A megabyte and more each, so that keeping them would show.
    const config = nativeConfig(sessionConfig({ model: { ...MODEL, vocabSize: 20000 } }));
    const { output, errors, code } = await runChild('cycle', { count: 50, config });
    expect(errors).to.equal('');
    expect(code).to.equal(0);
    const { grown, threads } = JSON.parse(output);
    expect(grown).to.be.below(24 * 2 ** 20);
    expect(threads).to.be.at.most(0);
  });

  it('let the collector have sessions that were never disposed, also with work under way', async () => {
    const { output, errors, code } = await runChild('drop', { count: 20 });
    expect(errors).to.equal('');
    expect(code).to.equal(0);
    expect(JSON.parse(output).collected).to.equal(20);
  });

  it('dispose during a run: the run ends first, later calls are refused', async () => {
    const { session, handle } = await openSession();
    const run = session.train(trainPlan(handle, 20));
    const waiting = session.read('classifier.weight', 'value');
    const disposal = session.dispose();
    expect(await codeOf(Promise.resolve().then(() => session.train(trainPlan(handle))))).to.equal('DISPOSED');
    expect((await run).stopped).to.equal('done');
    expect(await waiting).to.have.length(48);
    await disposal;
    expect(session.memory().total).to.equal(0);
  });

  it('dispose after abort: the run ends after its step', async () => {
    const { session, handle } = await openSession();
    const run = session.train(trainPlan(handle, 100000));
    await sleep(5);
    session.abort();
    await session.dispose();
    expect((await run).stopped).to.equal('aborted');
  });

  it('dispose twice: both wait for the end', async () => {
    const { session, handle } = await openSession();
    let trained = false;
    const run = session.train(trainPlan(handle, 50)).then(() => {
      trained = true;
    });
    session.dispose();
    await session.dispose();
    expect(trained).to.equal(true);
    await Promise.all([run, session.dispose()]);
  });

  it('refuse every method of a disposed session', async () => {
    const { session, handle } = await openSession();
    await session.dispose();
    const calls: ((session: NativeSession) => unknown)[] = [
      (it) => it.parameters(),
      (it) => it.read('classifier.weight', 'value'),
      (it) => it.write('classifier.weight', 'value', 'F32', new Uint8Array(4)),
      (it) => it.initialize('classifier.weight', { distribution: 'constant', scale: 1, seed: 0 }),
      (it) => it.addDataset(dataset()),
      (it) => it.removeDataset(handle),
      (it) => it.reserve({ tokens: 1, sequences: 1, training: false }),
      (it) => it.train(trainPlan(handle)),
      (it) => it.gradients(trainPlan(handle)),
      (it) => it.forward(handle, Int32Array.of(0), Int32Array.of(0, 1)),
      (it) => it.hiddenStates(handle, Int32Array.of(0)),
      (it) => it.promptEmbeddings(),
    ];
    for (const call of calls) {
      expect(await codeOf(Promise.resolve().then(() => call(session))), String(call)).to.equal('DISPOSED');
    }
    session.abort();
    expect(session.memory().total).to.equal(0);
  });
});

describe('several sessions at once', () => {
  const inWorker = async (): Promise<number[]> => {
    const worker = new Worker(PROGRAM, { workerData: input('train'), execArgv: [] });
    const [[message]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    return JSON.parse(message);
  };
  const alone = async (): Promise<number[]> => {
    const { output, errors } = await runChild('train');
    expect(errors).to.equal('');
    return JSON.parse(output);
  };

  it('compute the same bits in workers as alone', async () => {
    const expected = await alone();
    expect(expected).to.have.length(5 + 48);
    expect(expected.every(Number.isFinite)).to.equal(true);
    for (const found of await Promise.all([1, 2, 3].map(inWorker))) expect(found).to.deep.equal(expected);
  });

  it('compute the same bits in one thread as alone, in both precisions', async () => {
    for (const precision of ['fp32', 'fp64'] as const) {
      const train = async (): Promise<number[]> => {
        const { session, handle } = await openSession({ precision });
        const { losses } = await session.train(trainPlan(handle, 30));
        const weights = await session.read('classifier.weight', 'value');
        await session.dispose();
        return [...losses, ...weights];
      };
      const expected = await train();
      for (const found of await Promise.all([1, 2, 3, 4].map(train))) expect(found).to.deep.equal(expected);
    }
  });
});
