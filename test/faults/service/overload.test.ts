import { expect } from 'chai';
import { PredictionService } from '../../../lib/api/serving/service.js';
import { BertuneError } from '../../../lib/errors.js';
import { TextClassifier } from '../../../lib/model/classifier.js';
import { useTemporaryDirectory } from '../../lib/files.js';
import { randomNumbers, tinySplit, writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { LONG, note, scaled } from '../scale.js';

const TEXTS = tinySplit('overload', 200, 5).texts;

/** A batch takes so long on the device of these tests, whatever else the machine does: milliseconds, and a token's. */
const [BATCH_MS, TOKEN_MS] = [4, 0.1];

interface Load {
  accepted: number[];
  refused: number;
  wrong: number;
  mostQueued: number;
  /** Calls a second that came. */
  offered: number;
}

const p99 = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(0.99 * values.length)]!;

describe('faults: more calls than a PredictionService can answer', function () {
  this.timeout(LONG ? 600_000 : 60_000);
  const directory = useTemporaryDirectory();
  let classifier: TextClassifier;
  let right: { label: string; score: number }[];

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('model'));
    classifier = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
    right = await classifier.predict(TEXTS);
    // The answers are the model's; the time is that of a device that does nothing else.
    const forward = classifier.forward.bind(classifier);
    classifier.forward = async (encoded, ...rest) => {
      const takes = new Promise((resolve) => setTimeout(resolve, BATCH_MS + TOKEN_MS * encoded.ids.length));
      const [logits] = await Promise.all([forward(encoded, ...rest), takes]);
      return logits;
    };
  });
  afterEach(() => classifier.dispose());

  /** Calls at random times, at so many a second, whether they are answered or not. */
  async function load(service: PredictionService, rate: number, count: number, seed: number): Promise<Load> {
    const random = randomNumbers(seed);
    const result: Load = { accepted: [], refused: 0, wrong: 0, mostQueued: 0, offered: 0 };
    const began = performance.now();
    let due = began;
    const calls: Promise<void>[] = [];
    const call = async (index: number, at: number) => {
      try {
        const [prediction] = await service.predict(TEXTS[index]!);
        result.accepted.push(performance.now() - at);
        const { label, score } = right[index]!;
        if (prediction!.label !== label || Math.abs(prediction!.score - score) > 1e-5) result.wrong += 1;
      } catch (error) {
        if (!(error instanceof BertuneError) || error.code !== 'QUEUE_FULL' || !(error.retryAfter! >= 1)) throw error;
        result.refused += 1;
      }
    };
    for (let sent = 0; sent < count; ) {
      for (const now = performance.now(); sent < count && due <= now; sent++) {
        // From now on: how late this loop itself is does not say how fast the service is.
        calls.push(call(sent % TEXTS.length, performance.now()));
        result.mostQueued = Math.max(result.mostQueued, service.stats().queuedTexts);
        due -= (Math.log(1 - random()) * 1000) / rate;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    result.offered = count / ((performance.now() - began) / 1000);
    await Promise.all(calls);
    return result;
  }

  /** Texts a second, of so many callers that every batch is full; nothing is refused. */
  async function measureCapacity(maxBatchTokens: number): Promise<number> {
    await using service = new PredictionService(classifier, { maxBatchTokens });
    const [count, began] = [scaled(500, 3000), performance.now()];
    let next = 0;
    const caller = async () => {
      while (next < count) await service.predict(TEXTS[next++ % TEXTS.length]!);
    };
    await Promise.all(Array.from({ length: 32 }, caller));
    return count / ((performance.now() - began) / 1000);
  }

  it('answers what it accepts as soon as ever, and refuses the rest: twice the capacity, bounded in time and number', async () => {
    const [maxBatchTokens, maxQueueTime, maxQueuedTexts] = [64, 0, 64];
    const [rounds, calls] = [scaled(1, 5), scaled(2000, 20_000)];
    const ratios: number[] = [];
    const sums = { calls: 0, refused: 0, answered: 0, mostQueued: 0 };
    for (let round = 0; round < rounds; round++) {
      await using service = new PredictionService(classifier, { maxBatchTokens, maxQueueTime, maxQueuedTexts });
      const capacity = await measureCapacity(maxBatchTokens);
      const half = await load(service, capacity / 2, calls / 4, 2 * round + 1);
      const twice = await load(service, capacity * 2, calls, 2 * round + 2);
      for (const { wrong, mostQueued } of [half, twice]) {
        expect(wrong, 'wrong answers').to.equal(0);
        expect(mostQueued, 'texts that wait').to.be.at.most(maxQueuedTexts);
      }
      expect(twice.accepted.length + twice.refused).to.equal(calls);
      expect(twice.refused, 'refused').to.be.greaterThan(0);
      expect(twice.accepted.length, 'accepted').to.be.greaterThan(calls / 50);
      expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0, queuedTokens: 0 });
      const [unloaded, loaded] = [p99(half.accepted), p99(twice.accepted)];
      ratios.push(loaded / unloaded);
      sums.calls += calls;
      sums.refused += twice.refused;
      sums.answered += twice.accepted.length;
      sums.mostQueued = Math.max(sums.mostQueued, twice.mostQueued);
      note(
        `service, in one process: round ${round + 1}, capacity ${capacity.toFixed(0)}/s, offered ${twice.offered.toFixed(0)}/s`,
        `p99 ${unloaded.toFixed(1)} ms at half of it, ${loaded.toFixed(1)} ms at twice`,
      );
    }
    note('service, in one process: calls at twice the capacity', sums.calls);
    note('service, in one process: of them answered rightly / refused', `${sums.answered} / ${sums.refused}`);
    note('service, in one process: most texts that waited, of 64', sums.mostQueued);
    const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)]!;
    note('service, in one process: p99 at twice the capacity, of that at half; the median', median.toFixed(2));
    if (LONG) expect(median).to.be.at.most(2);
  });

  it('takes a burst of 10,000 calls in one tick as far as there is room, and settles every one', async () => {
    await using service = new PredictionService(classifier, { maxQueuedTexts: 1000, maxBatchTokens: 4096 });
    for (let round = 0; round < scaled(1, 10); round++) {
      const calls = Array.from({ length: 10_000 }, (_, i) => service.predict(TEXTS[i % TEXTS.length]!));
      expect(service.stats().queuedTexts).to.equal(1000);
      const outcomes = await Promise.allSettled(calls);
      outcomes.forEach((outcome, i) => {
        if (outcome.status === 'fulfilled') {
          expect(outcome.value[0]!.score).to.be.closeTo(right[i % TEXTS.length]!.score, 1e-5);
        } else expect(outcome.reason).to.have.property('code', 'QUEUE_FULL');
      });
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.length(1000);
      expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0, queuedTokens: 0, expectedWait: 0 });
    }
    note('service: calls in bursts of 10,000 in one tick', scaled(1, 10) * 10_000);
  });

  it('refuses for time where the number would allow it, says how long to wait, and then takes a call', async () => {
    await using service = new PredictionService(classifier, { maxQueueTime: 30, maxBatchTokens: 128 });
    await service.predict(TEXTS.slice(0, 50));
    const calls = TEXTS.map((text) => service.predict(text));
    expect(() => service.expectRoom())
      .to.throw(BertuneError, 'wait at most 30 ms')
      .with.property('code', 'QUEUE_FULL');
    const refused = (await Promise.allSettled(calls)).flatMap((row) => (row.status === 'rejected' ? [row.reason] : []));
    // About 30 ms of a device that does a text in one or two.
    expect(TEXTS.length - refused.length).to.be.within(5, 80);
    for (const error of refused) {
      expect(error.code).to.equal('QUEUE_FULL');
      expect(error.retryAfter).to.be.within(1, 10_000);
    }
    service.expectRoom();
    expect(await service.predict(TEXTS[0]!)).to.have.length(1);
  });

  it('lets a small call in behind a large one, which it passes', async () => {
    await using service = new PredictionService(classifier, { maxQueueTime: 100, maxBatchTokens: 128 });
    await service.predict(TEXTS);
    const large = service.predict(Array.from({ length: 2000 }, (_, i) => TEXTS[i % TEXTS.length]!));
    while (service.stats().queuedTokens < 1000) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(await service.predict(TEXTS[0]!)).to.have.length(1);
    expect(service.stats().queuedTexts).to.be.greaterThan(100);
    // A second large one would have to wait for the first.
    await service.predict(TEXTS.concat(TEXTS)).then(
      () => expect.fail('Expected a refusal'),
      (error) => expect(error.code).to.equal('QUEUE_FULL'),
    );
    expect(await large).to.have.length(2000);
  });

  /** Calls in one tick: the milliseconds of those that were answered, and the codes of the others. */
  async function inOneTick(
    service: PredictionService,
    count: number,
    text: string | string[],
    timeout?: number,
  ): Promise<{ answered: number[]; refused: string[] }> {
    const result = { answered: [] as number[], refused: [] as string[] };
    const call = async () => {
      const began = performance.now();
      await service.predict(text, timeout === undefined ? {} : { timeout }).then(
        () => result.answered.push(performance.now() - began),
        (error) => result.refused.push(error.code),
      );
    };
    await Promise.all(Array.from({ length: count }, call));
    return result;
  }

  for (const [what, text] of [
    ['of the longest texts, after short ones', 'good '.repeat(100)],
    ['of texts with more tokens than any before had for as many characters', '字'.repeat(100)],
  ] as const) {
    it(`promises no more than it can do to 300 calls in one tick ${what}`, async () => {
      await using service = new PredictionService(classifier, { maxQueueTime: 100, maxBatchTokens: 128 });
      await inOneTick(service, 100, 'a good day');
      const { answered, refused } = await inOneTick(service, 300, text);
      // Two of them make a batch of 17 ms; all 300 take 2.5 s.
      expect(answered.length).to.be.within(3, 60);
      expect(Math.max(...answered)).to.be.below(1000);
      expect(new Set(refused)).to.deep.equal(new Set(['QUEUE_FULL']));
      expect(service.stats()).to.deep.include({ calls: 0, queuedTexts: 0, queuedTokens: 0, expectedWait: 0 });
      note('service: slowest of 300 calls of the longest texts in one tick, of 100 ms promised', Math.max(...answered));
    });
  }

  it('refuses a call at once that could not be answered in its time even if it were alone', async () => {
    await using service = new PredictionService(classifier, { maxBatchTokens: 128 });
    const long = Array(60).fill('good '.repeat(100));
    expect(await service.predict(long)).to.have.length(60);
    const { texts } = service.stats();
    const began = performance.now();
    await service.predict(long, { timeout: 250 }).then(
      () => expect.fail('Expected a refusal'),
      (error) =>
        expect(error)
          .to.include({ code: 'TIMED_OUT' })
          .and.property('message')
          .match(/these texts alone take/),
    );
    expect(performance.now() - began).to.be.below(200);
    expect(service.stats().texts).to.equal(texts);
    expect(await service.predict(long, { timeout: 20_000 })).to.have.length(60);
  });

  it('answers a large call in its time, whatever comes after it', async () => {
    await using service = new PredictionService(classifier, { maxBatchTokens: 128 });
    const long = Array(60).fill('good '.repeat(100));
    await service.predict(long);
    const large = service.predict(long, { timeout: 6000 });
    let [refused, answered] = [0, 0];
    const floods: Promise<void>[] = [];
    const flood = setInterval(() => {
      const calls = inOneTick(service, 40, 'a good day and a happy one');
      floods.push(
        calls.then((result) => {
          refused += result.refused.length;
          answered += result.answered.length;
        }),
      );
    }, 10);
    const [outcome] = await Promise.allSettled([large]);
    clearInterval(flood);
    await Promise.all(floods);
    expect(outcome).to.have.property('status', 'fulfilled');
    expect(answered).to.be.greaterThan(100);
    expect(refused).to.be.greaterThan(0);
  });
});
