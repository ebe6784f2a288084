import { expect } from 'chai';
import { PredictionService } from '../../../lib/api/serving/service.js';
import { BertuneError } from '../../../lib/errors.js';
import { TextClassifier } from '../../../lib/model/classifier.js';
import { useTemporaryDirectory } from '../../lib/files.js';
import { ADAPTERS, writeTinyAdapter } from '../../lib/tiny-adapters.js';
import { randomNumbers, tinySplit, writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { note, scaled } from '../scale.js';

const TEXTS = tinySplit('faults', 60, 8).texts;
const NOTHING = { calls: 0, queuedTexts: 0, queuedTokens: 0, runningTexts: 0, expectedWait: 0 };

/** An outcome as a word. */
const wordOf = (outcome: PromiseSettledResult<unknown>): string =>
  outcome.status === 'fulfilled' ? 'done' : (outcome.reason as BertuneError).code;

describe('faults: calls of a PredictionService', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();
  let classifier: TextClassifier;
  let unhandled: unknown[];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);

  beforeEach(async () => {
    unhandled = [];
    process.on('unhandledRejection', onUnhandled);
    await writeTinyCheckpoint(directory.path('model'));
    classifier = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
  });
  afterEach(async () => {
    await classifier.dispose();
    await new Promise(setImmediate);
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).to.deep.equal([]);
  });

  it('end in every way at once, and leave nothing behind', async () => {
    const seed = scaled(1, 3);
    const random = randomNumbers(seed);
    const right = await classifier.predict(TEXTS);
    const forward = classifier.forward.bind(classifier);
    let batches = 0;
    classifier.forward = (...args) => {
      batches += 1;
      return batches % 7 === 0 ? Promise.reject(new BertuneError('OUT_OF_MEMORY', 'no memory')) : forward(...args);
    };
    const tally: Record<string, number> = {};
    await using service = new PredictionService(classifier, { maxBatchTokens: 200, maxQueuedTexts: 100 });
    const count = scaled(2000, 100_000);
    const calls: Promise<void>[] = [];
    const call = async (i: number) => {
      const first = Math.floor(random() * 50);
      const texts: unknown[] = TEXTS.slice(first, first + 1 + Math.floor(random() * 4));
      const kind = i % 5;
      if (kind === 1) texts.push(7);
      const controller = new AbortController();
      if (kind === 2) setTimeout(() => controller.abort(), random() * 5);
      const options = { signal: controller.signal, ...(kind === 3 && { timeout: random() * 5 }) };
      const [outcome] = await Promise.allSettled([service.predict(texts as string[], options)]);
      const word = wordOf(outcome!);
      tally[word] = (tally[word] ?? 0) + 1;
      if (outcome!.status === 'fulfilled') {
        outcome!.value.forEach(({ score, label }, at) => {
          expect(score, `seed ${seed}, call ${i}`).to.be.closeTo(right[first + at]!.score, 1e-5);
          expect(label).to.equal(right[first + at]!.label);
        });
      } else if (kind === 1) expect(word).to.equal('INVALID_OPTION');
      else expect(word).to.be.oneOf(['QUEUE_FULL', 'OUT_OF_MEMORY', kind === 2 ? 'ABORTED' : 'TIMED_OUT']);
    };
    for (let i = 0; i < count; i++) {
      calls.push(call(i));
      if (random() < 0.02) await new Promise((resolve) => setTimeout(resolve, random() * 4));
    }
    await Promise.all(calls);
    expect(service.stats()).to.deep.include(NOTHING);
    for (const word of ['done', 'INVALID_OPTION', 'ABORTED', 'TIMED_OUT', 'QUEUE_FULL', 'OUT_OF_MEMORY']) {
      expect(tally[word], word).to.be.greaterThan(0);
    }
    expect(Object.values(tally).reduce((a, b) => a + b)).to.equal(count);
    classifier.forward = forward;
    expect(await service.predict(TEXTS)).to.have.length(TEXTS.length);
    note('service: calls that were stopped, timed out, refused, failed or answered', count);
  });

  it('free their places when they are stopped or time out, waiting or being tokenized', async () => {
    await using service = new PredictionService(classifier, { maxQueuedTexts: 1000, maxBatchTokens: 64 });
    for (let round = 0; round < scaled(3, 100); round++) {
      const controller = new AbortController();
      const stopped = [service.predict(Array(500).fill('good'), { signal: controller.signal })];
      const late = service.predict(Array(500).fill('good '.repeat(30)), { timeout: round % 3 });
      const settled = Promise.allSettled([...stopped, late]);
      expect(() => service.expectRoom()).to.throw(BertuneError, 'room for 1 of 1000');
      if (round % 2 === 0) await new Promise(setImmediate);
      controller.abort();
      const words = (await settled).map(wordOf);
      expect(words).to.deep.equal(['ABORTED', 'TIMED_OUT']);
      expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0, queuedTokens: 0 });
      service.expectRoom(1000);
    }
  });

  it('are all settled when the service is disposed of under load, and the classifier after it', async () => {
    for (let round = 0; round < scaled(6, 100); round++) {
      const one = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
      const service = new PredictionService(one, { maxBatchTokens: 64 });
      const calls = TEXTS.map((text) => service.predict([text, text]));
      for (let turn = 0; turn < round % 4; turn++) await new Promise(setImmediate);
      const queued = round % 2 === 0 ? 'finish' : 'drop';
      const ending = [service.dispose({ queued })];
      // Every third time the classifier goes first, which it should not.
      if (round % 3 === 2) ending.push(one.dispose());
      const words = (await Promise.allSettled(calls)).map(wordOf);
      await Promise.all(ending);
      await one.dispose();
      for (const word of words) expect(word).to.be.oneOf(['done', 'DISPOSED']);
      if (queued === 'finish' && round % 3 !== 2) expect(new Set(words)).to.deep.equal(new Set(['done']));
      expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0, runningTexts: 0 });
      expect(() => service.expectRoom()).to.throw(BertuneError, 'disposed');
    }
  });

  it('are served by their adapters while adapters come and go', async () => {
    await writeTinyAdapter(directory.path('lora'), directory.path('model'), classifier.config, ADAPTERS.dense);
    await classifier.loadAdapter('stays', directory.path('lora'));
    const right = await classifier.predict(TEXTS, { adapter: 'stays' });
    await using service = new PredictionService(classifier, { maxBatchTokens: 200 });
    let [running, answered, gone] = [true, 0, 0];
    const caller = async (adapter: string) => {
      for (let i = 0; running; i = (i + 1) % TEXTS.length) {
        const [outcome] = await Promise.allSettled([service.predict(TEXTS[i]!, { adapter })]);
        if (outcome!.status === 'fulfilled') {
          expect(outcome!.value[0]!.score).to.be.closeTo(right[i]!.score, 1e-5);
          answered += 1;
        } else {
          expect(wordOf(outcome!)).to.equal('NOT_FOUND');
          expect(adapter).to.equal('comes');
          gone += 1;
          await new Promise(setImmediate);
        }
      }
    };
    const callers = ['stays', 'comes', 'comes', 'stays'].map(caller);
    const changes = scaled(10, 300);
    for (let i = 0; i < changes; i++) {
      await classifier.loadAdapter('comes', directory.path('lora'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      await classifier.unloadAdapter('comes');
    }
    running = false;
    await Promise.all(callers);
    expect(answered).to.be.greaterThan(0);
    expect(gone).to.be.greaterThan(0);
    note('service: adapters loaded and unloaded under load', changes);
  });
});
