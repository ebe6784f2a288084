import { expect } from 'chai';
import { PredictionService } from '../../lib/api/serving/service.js';
import { type ClassPrediction, TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 2 } as const;
const entropy = (scores: readonly number[]) => -scores.reduce((sum, p) => sum + p * Math.log(p), 0);

describe('what predictions have on request', () => {
  const directory = useTemporaryDirectory();
  const { texts } = tinySplit('test', 7, 4);
  beforeEach(() => writeTinyCheckpoint(directory.path('base'), { labels: ['2', '10', 'maybe'] }));

  it('is the likeliest labels, the gap between them, and the entropy', async () => {
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    await using service = new PredictionService(model);
    const ask = [(options = {}) => model.predict(texts, options), (options = {}) => service.predict(texts, options)];
    for (const predict of ask) {
      const plain = await predict();
      expect(plain[0]).to.have.all.keys('label', 'score', 'scores');
      const asked = await predict({ topK: 2, uncertainty: true });
      asked.forEach(({ top, margin, entropy: own, ...rest }, i) => {
        expect(rest).to.deep.equal(plain[i]);
        const sorted = Object.entries(rest.scores).sort(([, a], [, b]) => b - a);
        expect(top).to.deep.equal(sorted.slice(0, 2).map(([label, score]) => ({ label, score })));
        expect(margin).to.be.closeTo(sorted[0]![1] - sorted[1]![1], 1e-12);
        expect(own).to.be.closeTo(entropy(Object.values(rest.scores)), 1e-12);
      });
    }
    expect((await model.predict('a', { topK: 99 }))[0].top).to.have.length(3);
    await expectRefusal(model.predict('a', { topK: 0 }), 'INVALID_OPTION', 'topK');
    await expectRefusal(model.predict('a', { uncertainty: 'yes' as never }), 'INVALID_OPTION', 'uncertainty');
    await expectRefusal(model.logits('a', { topK: 1 } as never), 'INVALID_OPTION', 'topK');
  });

  it('is by label where there are several, and by threshold', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { ...CPU, task: 'multi-label' });
    const [prediction] = await model.predict('some other day', { uncertainty: true, threshold: 0.3, topK: 1 });
    // Keys that are numbers come first in an object, whatever the order of the labels.
    const scores = ['2', '10', 'maybe'].map((label) => prediction.scores[label]!);
    expect(prediction.margin).to.equal(Math.min(...scores.map((score) => Math.abs(score - 0.3))));
    const sum = scores.reduce((total, p) => total + entropy([p, 1 - p]), 0);
    expect(prediction.entropy).to.be.closeTo(sum, 1e-12);
    expect(prediction.top![0]!.score).to.equal(Math.max(...scores));
    model.keepDecision({ thresholds: { '2': 0.9, '10': 0.5, maybe: 0.1 }, temperature: null });
    const [tuned] = await model.predict('some other day', { uncertainty: true });
    const distances = [0.9, 0.5, 0.1].map((threshold, c) => Math.abs(scores[c]! - threshold));
    expect(tuned.margin).to.equal(Math.min(...distances));
  });

  it('is refused of values, before anything is computed', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { ...CPU, task: 'regression', head: 'new' });
    await using service = new PredictionService(model);
    await expectRefusal(model.predict('a', { topK: 1 }), 'INVALID_OPTION', 'topK has no effect', 'regression');
    await expectRefusal(service.predict('a', { uncertainty: true }), 'INVALID_OPTION', 'uncertainty has no effect');
  });
});

describe('labels that TypeScript knows', () => {
  const directory = useTemporaryDirectory();

  it('are those of the predictions', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const labels = ['no', 'maybe', 'yes'] as const;
    await using model = await TextClassifier.load(directory.path('base'), { ...CPU, labels });
    const [{ label, scores }] = await model.predict('a');
    const known: (typeof labels)[number] = label;
    // @ts-expect-error: no such label
    const unknown: 'perhaps' | 'no' = label;
    // @ts-expect-error: no such score
    expect(scores.perhaps).to.equal(undefined);
    expect([known, unknown]).to.deep.equal([label, label]);
    for await (const each of model.predictStream(['a'])) expect(scores[each.label]).to.be.a('number');
    // Those of an adapter, of a classifier that may have others, and of data are any strings.
    const [other] = await model.predict('a', { adapter: null as string | null });
    const any: string = other.label;
    await using fitted = await TextClassifier.load(directory.path('base'), { ...CPU, labels, head: 'fit' });
    const [{ label: own }] = await fitted.predict('a');
    const words: readonly string[] = labels;
    await using loaded = await TextClassifier.load(directory.path('base'), { ...CPU, labels: words });
    expect([any, own, (await loaded.predict('a'))[0].label === 'perhaps']).to.deep.equal([label, label, false]);
    const asked: 'perhaps' | string = own;
    expect(labels).to.include(asked);
  });
});

describe('a stream of predictions', () => {
  const directory = useTemporaryDirectory();
  const { texts } = tinySplit('test', 25, 4);
  beforeEach(() => writeTinyCheckpoint(directory.path('base')));

  it('gives what predict gives, and reads no further than it has to', async () => {
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    const expected = await model.predict(texts);
    let read = 0;
    let closed = false;
    async function* source() {
      try {
        for (const text of texts) {
          read += 1;
          yield text;
        }
      } finally {
        closed = true;
      }
    }
    const progress: number[] = [];
    const found: ClassPrediction[] = [];
    const options = { batchSize: 4, onProgress: (at: { texts: number }) => progress.push(at.texts) };
    for await (const prediction of model.predictStream(source(), options)) {
      // Memory holds one batch: nothing is read while its predictions are waiting.
      expect(read).to.equal(Math.min(25, 4 * (Math.floor(found.length / 4) + 1)));
      found.push(prediction);
    }
    expect(progress).to.deep.equal([4, 8, 12, 16, 20, 24, 25]);
    found.forEach(({ label, scores }, i) => {
      expect(label).to.equal(expected[i]!.label);
      for (const [name, score] of Object.entries(scores)) expect(score).to.be.closeTo(expected[i]!.scores[name]!, 1e-6);
    });
    closed = false;
    read = 0;
    for await (const _ of model.predictStream(source(), { batchSize: 4 })) break;
    expect([read, closed]).to.deep.equal([4, true]);
    // Any iterable will do, also of pairs among single texts, and none at all.
    const mixed = ['a', ['b', 'c'], 'd'] as const;
    const answers = [];
    for await (const { label } of model.predictStream(mixed)) answers.push(label);
    expect(answers).to.have.length(3);
    for await (const _ of model.predictStream([])) expect.fail();
  });

  it('says which text of the stream is wrong, and stops when it is told to', async () => {
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    const drain = async (stream: AsyncIterable<unknown>) => {
      for await (const _ of stream);
    };
    const odd = ['a', 'b', 'c', 7 as unknown as string];
    await expectRefusal(drain(model.predictStream(odd, { batchSize: 2 })), 'INVALID_OPTION', 'texts[3]');
    await expectRefusal(drain(model.predictStream('a text' as never)), 'INVALID_OPTION', 'iterable');
    await expectRefusal(drain(model.predictStream(['a'], { batchSize: 0 })), 'INVALID_OPTION', 'batchSize');
    await expectRefusal(drain(model.predictStream(['a'], { batchsize: 1 } as never)), 'INVALID_OPTION', 'batchSize');
    const controller = new AbortController();
    const stop = { batchSize: 1, signal: controller.signal, onProgress: () => controller.abort() };
    await expectRefusal(drain(model.predictStream(texts, stop)), 'ABORTED');
    await model.session.write('classifier.bias', new Float32Array([Number.NaN, 0, 0]));
    await expectRefusal(drain(model.predictStream(['a'])), 'NON_FINITE_LOGITS', 'texts[0]');
  });
});
