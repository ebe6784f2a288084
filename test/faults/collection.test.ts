import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { PredictionService, TextClassifier, Trainer } from '../../lib/index.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { dataset, openSession, startsOf, trainPlan } from '../native/support.js';
import { gc } from './collector.js';
import { note, scaled } from './scale.js';

const STARTS = startsOf(3);
const ORDER = Int32Array.of(0, 3, 5);

describe('garbage collection', () => {
  const directory = useTemporaryDirectory();

  it('in the middle of every kind of work takes nothing that is needed', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const load = () => TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
    const train = tinySplit('train', 24, 1);
    const run = async () => {
      const results: unknown[] = [];
      // Nothing but the promises holds the models.
      const trainer = new Trainer(await load(), { epochs: 2, learningRate: 1e-3, loggingSteps: 1 });
      trainer.on('progress', gc).on('log', gc).on('evaluate', gc).on('epoch', gc).on('start', gc);
      results.push((await trainer.train(train, { validation: train })).trainLoss);
      results.push(await (await load()).predict(train.texts));
      results.push(await new PredictionService(await load(), { onBatch: gc }).predict(train.texts));
      results.push(await (await load()).parameter('classifier.weight'));
      await (await load()).save(directory.path(`out-${Math.random()}`));
      return results;
    };
    const expected = await run();
    let running = true;
    const pressure = (async () => {
      for (let count = 0; ; count++) {
        if (!running) return count;
        gc();
        await sleep(10);
      }
    })();
    for (let round = 0; round < scaled(1, 20); round++) expect(await run()).to.deep.equal(expected);
    running = false;
    note('collections during work', await pressure);
  }).timeout(300_000);

  it('has sessions whose jobs still run, and their promises settle all the same', async () => {
    const rounds = scaled(20, 500);
    const expected = await openSession().then(({ session, handle }) => session.forward(handle, ORDER, STARTS));
    const collected = new Set<number>();
    const order: number[] = [];
    const registry = new FinalizationRegistry((index: number) => {
      collected.add(index);
      order.push(index);
    });
    const begin = async (index: number) => {
      const { session, handle } = await openSession();
      registry.register(session, index);
      const plan = trainPlan(handle, 3);
      const jobs: Promise<unknown>[] = [
        session.forward(handle, ORDER, STARTS).then((logits) => expect(logits).to.deep.equal(expected)),
        session.train(plan).then(({ stopped }) => expect(stopped).to.equal('done')),
        session.predict(dataset(), ORDER, STARTS),
        session.read('classifier.weight', 'value'),
        session.removeDataset(99).catch((error) => expect(error).to.have.property('code', 'NOT_FOUND')),
      ];
      // A third is disposed of, a third ends its jobs, a third is dropped with them under way.
      if (index % 3 === 0) jobs.push(session.dispose());
      return index % 3 === 1 ? Promise.all(jobs) : jobs.length;
    };
    for (let index = 0; index < rounds; index++) {
      await begin(index);
      if (index % 4 === 0) gc();
    }
    for (let round = 0; round < 300 && collected.size < rounds; round++) {
      gc();
      await sleep(10);
    }
    expect(collected.size).to.equal(rounds);
    note('sessions collected, with jobs under way or not', collected.size);
  }).timeout(300_000);

  it('keeps up with thousands of short-lived sessions', async () => {
    const rounds = scaled(60, 3000);
    const made = async (index: number) => {
      const { session, handle } = await openSession({ threads: 1 });
      await session.forward(handle, ORDER, STARTS);
      if (index % 2) await session.dispose();
    };
    const resident = () => {
      gc();
      return process.memoryUsage().rss / 2 ** 20;
    };
    const warmUp = Math.floor(rounds / 4);
    let before = 0;
    for (let index = 0; index < rounds; index++) {
      await made(index);
      // Those that are not disposed of are the collector's.
      if (index % 20 === 0) {
        gc();
        await sleep(1);
      }
      if (index === warmUp) before = resident();
    }
    const grown = resident() - before;
    expect(grown, 'MiB').to.be.below(64);
    note('short-lived sessions', rounds);
    note('MiB of memory grown over three quarters of them', Math.round(grown));
  }).timeout(600_000);
});
