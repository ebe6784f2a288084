import { expect } from 'chai';
import type { ServiceOptions } from '../../lib/api/serving/options.js';
import { PredictionService } from '../../lib/api/serving/service.js';
import type { BatchFigures } from '../../lib/api/serving/statistics.js';
import { BertuneError } from '../../lib/errors.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';

const TEXTS = tinySplit('service', 40, 3).texts;

describe('PredictionService', () => {
  const directory = useTemporaryDirectory();
  let classifier: TextClassifier;

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('model'));
    classifier = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
  });
  afterEach(() => classifier.dispose());

  /** A service and the figures of its batches. */
  function serve(options: ServiceOptions = {}): { service: PredictionService; batches: BatchFigures[] } {
    const batches: BatchFigures[] = [];
    return { service: new PredictionService(classifier, { onBatch: (row) => batches.push(row), ...options }), batches };
  }

  /** Holds every batch until `release`; `started` resolves when the first one has come. */
  function holdBatches(): { started: Promise<void>; release(): void } {
    const forward = classifier.forward.bind(classifier);
    let [begin, release] = [() => {}, () => {}];
    const started = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    classifier.forward = async (...args) => {
      begin();
      await released;
      return forward(...args);
    };
    return { started, release };
  }

  async function expectSame(service: PredictionService, texts: readonly string[]): Promise<void> {
    const [ours, alone] = [await service.predict(texts), await classifier.predict(texts)];
    expect(ours.map(({ label }) => label)).to.deep.equal(alone.map(({ label }) => label));
    ours.forEach(({ scores }, i) => {
      for (const [label, score] of Object.entries(scores)) expect(score).to.be.closeTo(alone[i]!.scores[label]!, 1e-6);
    });
  }

  it('predicts what the classifier predicts, whatever the batches', async () => {
    for (const maxBatchTokens of [1, 50, 1024]) await expectSame(serve({ maxBatchTokens }).service, TEXTS);
    await expectSame(serve().service, []);
  });

  it('predicts what the classifier predicts for a text that holds a padding token, beside others', async () => {
    await using model = await TextClassifier.load(fixture('families', 'bases', 'roberta'), {
      device: 'cpu',
      threads: 1,
    });
    await using service = new PredictionService(model);
    const texts = ['good <pad> day', 'a good day', 'a <pad><pad> day was good'];
    const expected = await model.predict(texts);
    const served = await Promise.all(texts.map((text) => service.predict(text)));
    expect(service.stats().batches).to.equal(1);
    for (const [i, [{ scores }]] of served.entries()) {
      for (const [label, score] of Object.entries(scores)) {
        expect(score).to.be.closeTo(expected[i]!.scores[label]!, 1e-6);
      }
    }
  });

  it('computes calls of one turn of the event loop together, and gives each its own', async () => {
    const { service, batches } = serve();
    const alone = await classifier.predict(TEXTS);
    const together = await Promise.all(TEXTS.map((text) => service.predict(text)));
    together.forEach(([prediction], i) => {
      expect(prediction!.score).to.be.closeTo(alone[i]!.score, 1e-6);
    });
    expect(batches[0]!.calls).to.be.greaterThan(1);
    expect(batches.length).to.be.lessThan(5);
  });

  it('keeps batches inside the budget, but for a text that is longer by itself', async () => {
    const { service, batches } = serve({ maxBatchTokens: 30 });
    await service.predict([...TEXTS, 'good '.repeat(64)]);
    const over = batches.filter(({ tokens }) => tokens > 30);
    expect(over.map(({ texts }) => texts)).to.deep.equal([1]);
    expect(batches.reduce((sum, { texts }) => sum + texts, 0)).to.equal(TEXTS.length + 1);
  });

  it('lets small calls pass a large one', async () => {
    const { service, batches } = serve({ maxBatchTokens: 256 });
    const large = service.predict(Array.from({ length: 10_000 }, (_, i) => TEXTS[i % TEXTS.length]!));
    let ended = false;
    void large.then(() => {
      ended = true;
    });
    while (batches.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    const before = batches.length;
    await Promise.all(TEXTS.slice(0, 5).map((text) => service.predict(text)));
    expect(ended).to.equal(false);
    expect(batches.length - before).to.be.lessThan(10);
    expect(await large).to.have.length(10_000);
    expect(batches.length).to.be.greaterThan(100);
  });

  it('waits for more texts as long as it may', async () => {
    const { service, batches } = serve({ maxWait: 60 });
    const start = performance.now();
    const first = service.predict(TEXTS[0]!);
    await new Promise((resolve) => setTimeout(resolve, 15));
    await Promise.all([first, service.predict(TEXTS[1]!)]);
    expect(batches.map(({ calls }) => calls)).to.deep.equal([2]);
    expect(performance.now() - start).to.be.greaterThan(50);
    // A full batch waits for nothing.
    const full = serve({ maxWait: 30_000, maxBatchTokens: 10 });
    await full.service.predict(['good '.repeat(20)]);
    // Nor does the last one before the end.
    const last = serve({ maxWait: 30_000 }).service;
    const prediction = last.predict(TEXTS[0]!);
    await last.dispose();
    expect(await prediction).to.have.length(1);
  });

  it('refuses what does not fit into the queue, and says when to come back', async () => {
    const { service } = serve({ maxQueuedTexts: 5 });
    const held = service.predict(TEXTS.slice(0, 4));
    const refusal = await expectRefusal(
      service.predict(TEXTS.slice(0, 2)),
      'QUEUE_FULL',
      'room for 2 of 5 texts',
      '4 wait',
    );
    expect(refusal.retryAfter).to.be.greaterThan(0);
    expect(await service.predict(TEXTS[0]!)).to.have.length(1);
    await held;
    expect(await service.predict(TEXTS.slice(0, 5))).to.have.length(5);
    await expectRefusal(service.predict(TEXTS.slice(0, 6)), 'INVALID_OPTION', 'at most 5 texts for texts');
  });

  it('has room for texts, in however many windows they are read', async () => {
    const queued = new Set<number>();
    const onBatch = () => queued.add(service.stats().queuedTexts);
    const { service } = serve({ maxQueuedTexts: 3, maxBatchTokens: 8, onBatch });
    const held = holdBatches();
    // The first batch has the short text and one window of ten.
    const long = service.predict(['good', 'good '.repeat(30)], { maxLength: 4, stride: 1 });
    await Promise.race([held.started, long]);
    expect(service.stats().queuedTexts).to.equal(1);
    const last = service.predict(['bad', 'bad']);
    await expectRefusal(service.predict('bad'), 'QUEUE_FULL', 'room for 1 of 3 texts', '3 wait');
    held.release();
    expect([...(await long), ...(await last)]).to.have.length(4);
    expect([...queued]).to.deep.equal([2, 1, 0]);
  });

  it('stops for a signal or a time-out at once, and frees the place in the queue', async () => {
    const { service } = serve({ maxBatchTokens: 64, maxQueuedTexts: 20_000 });
    const large = Array.from({ length: 10_000 }, (_, i) => TEXTS[i % TEXTS.length]!);
    const controller = new AbortController();
    const reason = new Error('the client went away');
    const stopped = service.predict(large, { signal: controller.signal });
    const late = service.predict(TEXTS.slice(0, 8), { timeout: 0 });
    const other = service.predict(TEXTS.slice(0, 3));
    setTimeout(() => controller.abort(reason), 30);
    await expectRefusal(late, 'TIMED_OUT', 'within 0 ms');
    const refusal = await expectRefusal(stopped, 'ABORTED');
    expect(refusal.cause).to.equal(reason);
    expect(service.stats().queuedTexts).to.be.lessThan(10);
    expect(await other).to.have.length(3);
    await expectRefusal(service.predict('x', { signal: AbortSignal.abort() }), 'ABORTED');
    expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0 });
  });

  it('goes on with a running batch for the others when one of its calls ends', async () => {
    const { service } = serve();
    const held = holdBatches();
    const controller = new AbortController();
    const stopped = service.predict(TEXTS, { signal: controller.signal });
    const other = service.predict(TEXTS.slice(0, 2));
    await held.started;
    expect(service.stats().runningTexts).to.equal(TEXTS.length + 2);
    controller.abort();
    await expectRefusal(stopped, 'ABORTED');
    held.release();
    expect(await other).to.have.length(2);
  });

  it('rejects only the calls of a batch that fails', async () => {
    const { service, batches } = serve({ maxBatchTokens: 1 });
    const forward = classifier.forward.bind(classifier);
    let count = 0;
    classifier.forward = (...args) => {
      count += 1;
      return count === 2 ? Promise.reject(new BertuneError('OUT_OF_MEMORY', 'no memory')) : forward(...args);
    };
    const calls = [TEXTS.slice(0, 3), TEXTS.slice(1, 4), TEXTS.slice(2, 5)].map((texts) => service.predict(texts));
    await expectRefusal(calls[1]!, 'OUT_OF_MEMORY');
    expect(await calls[0]).to.have.length(3);
    expect(await calls[2]).to.have.length(3);
    // One text a batch, in turns; what is left of the call that failed is not computed.
    expect(batches.map(({ failed }) => failed)).to.deep.equal([false, true, false, false, false, false, false]);
    expect(service.stats()).to.deep.include({ failedBatches: 1, batches: 7, calls: 0, queuedTexts: 0 });
  });

  it('cuts texts as asked', async () => {
    const { service } = serve();
    const long = 'good '.repeat(50);
    const [cut] = await service.predict(long, { maxLength: 5 });
    const [short] = await classifier.predict('good '.repeat(5));
    expect(cut!.score).to.be.closeTo(short!.score, 1e-9);
  });

  it('counts what it did', async () => {
    const { service, batches } = serve({ maxBatchTokens: 40 });
    await service.predict(TEXTS);
    const sum = (key: 'texts' | 'tokens' | 'waitSeconds' | 'computeSeconds') =>
      batches.reduce((total, row) => total + row[key], 0);
    const stats = service.stats();
    expect(stats).to.deep.include({ texts: TEXTS.length, tokens: sum('tokens'), batches: batches.length });
    expect(stats.computeSeconds).to.be.closeTo(sum('computeSeconds'), 1e-9).and.greaterThan(0);
    expect(stats.waitSeconds).to.be.closeTo(sum('waitSeconds'), 1e-9).and.greaterThan(0);
  });

  it('finishes what it has before it is disposed of, and takes nothing new', async () => {
    const { service } = serve({ maxBatchTokens: 16 });
    const calls = TEXTS.map((text) => service.predict(text));
    const disposals = [service.dispose(), service.dispose()];
    await expectRefusal(service.predict('x'), 'DISPOSED', 'service');
    await Promise.all(disposals);
    expect(service.stats().calls).to.equal(0);
    for (const call of calls) expect(await call).to.have.length(1);
    await service.dispose();
  });

  it('drops what waits when told to, also while it drains', async () => {
    const { service } = serve({ maxBatchTokens: 16 });
    const held = holdBatches();
    const calls = Promise.allSettled(TEXTS.map((text) => service.predict(text)));
    await held.started;
    const draining = service.dispose();
    const dropped = service.dispose({ queued: 'drop' });
    held.release();
    await Promise.all([draining, dropped]);
    const outcomes = await calls;
    const codes = outcomes.map((row) => (row.status === 'rejected' ? row.reason.code : 'done'));
    expect(codes).to.include('done');
    expect(codes).to.include('DISPOSED');
    expect(new Set(codes).size).to.equal(2);
  });

  it('rejects calls when the classifier goes away under it', async () => {
    const { service } = serve();
    await classifier.dispose();
    await expectRefusal(service.predict('x'), 'DISPOSED');
    await service.dispose();
  });

  it('checks options', async () => {
    const create = (options: object) => () => new PredictionService(classifier, options);
    await expectRefusal(create({ maxBatchTokens: 0 }), 'INVALID_OPTION', 'maxBatchTokens');
    await expectRefusal(create({ maxWait: -1 }), 'INVALID_OPTION', 'maxWait');
    await expectRefusal(create({ maxQueuedTexts: 1.5 }), 'INVALID_OPTION', 'maxQueuedTexts');
    await expectRefusal(create({ maxQueueTime: -1 }), 'INVALID_OPTION', 'maxQueueTime');
    await expectRefusal(create({ onBatch: 1 }), 'INVALID_OPTION', 'onBatch');
    await expectRefusal(create({ maxTokens: 1 }), 'INVALID_OPTION', 'maxTokens');
    const { service } = serve();
    await expectRefusal(service.predict(1 as never), 'INVALID_OPTION', 'texts');
    await expectRefusal(service.predict('x', { timeout: -1 }), 'INVALID_OPTION', 'timeout');
    await expectRefusal(service.predict('x', { maxLength: 9999 }), 'INVALID_OPTION', 'maxLength');
    await expectRefusal(service.predict('x', { signal: {} as never }), 'INVALID_OPTION', 'signal');
    await expectRefusal(() => service.expectRoom(0), 'INVALID_OPTION', 'texts');
    await expectRefusal(service.dispose({ queued: 'wait' as never }), 'INVALID_OPTION', 'queued');
  });
});
