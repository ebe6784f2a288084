import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { PredictionService } from '../../lib/api/serving/service.js';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { Run } from '../../lib/experiments/run.js';
import { full, lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Values } from '../../lib/model/session.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

/* Words of the tiny model's texts are tokens, and nothing is put around them: a window is some of the words. */

const CPU = { device: 'cpu', threads: 2 } as const;
const WINDOWS = { maxLength: 4, stride: 1 } as const;
const TEXTS = ['the day was here and we went home', 'always good', 'never bad awful sad we went home with a friend'];

/** The windows of a text, as texts. */
function windowsOf(text: string): string[] {
  const words = text.split(' ');
  const starts = words.map((_, i) => 3 * i).filter((start) => start === 0 || start + 1 < words.length);
  return starts.map((start) => words.slice(start, start + 4).join(' '));
}

const split = (given: Partial<Split>): Split => ({ ...tinySplit('train', 24, 1), ...given }) as Split;

/** Logits of texts, pooled here. */
async function pooled(model: TextClassifier, pool: (values: number[]) => number): Promise<number[]> {
  const rows: number[] = [];
  for (const text of TEXTS) {
    const { logits, classes } = await model.logits(windowsOf(text));
    for (let label = 0; label < classes; label++) {
      rows.push(pool([...logits].filter((_, i) => i % classes === label)));
    }
  }
  return rows;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function expectNear(found: ArrayLike<number>, expected: readonly number[]): void {
  expect(found).to.have.length(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).to.be.closeTo(value, 1e-5);
}

describe('long texts', () => {
  const directory = useTemporaryDirectory();
  let load: () => Promise<TextClassifier>;

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('base'));
    load = () => TextClassifier.load(directory.path('base'), CPU);
  });

  it('have the mean or the highest of their windows’ logits, in predictions, streams and a service', async () => {
    await using model = await load();
    expect(windowsOf(TEXTS[0]!)).to.have.length(3);
    expectNear((await model.logits(TEXTS, WINDOWS)).logits, await pooled(model, mean));
    const most = { ...WINDOWS, windowPooling: 'max' } as const;
    expectNear((await model.logits(TEXTS, most)).logits, await pooled(model, (values) => Math.max(...values)));

    const expected = await model.predict(TEXTS, most);
    const streamed = [];
    for await (const prediction of model.predictStream(TEXTS, { ...most, batchSize: 2 })) streamed.push(prediction);
    await using service = new PredictionService(model, { maxBatchTokens: 6 });
    const served = await Promise.all(TEXTS.map((text) => service.predict(text, most)));
    for (const [i, { label, score }] of expected.entries()) {
      for (const other of [streamed[i]!, served[i]![0]]) {
        expect(other.label).to.equal(label);
        expect(other.score).to.be.closeTo(score, 1e-5);
      }
    }
    const headTail = await model.logits(TEXTS, { maxLength: 4, truncation: 'head-tail' });
    expectNear(headTail.logits, [
      ...(await model.logits(['the we went home', TEXTS[1]!, 'never with a friend'])).logits,
    ]);
  });

  it('are trained on window by window, and measured as texts', async () => {
    const labels = Int32Array.of(1, 2, 0);
    const train = split({ texts: TEXTS, labels });
    const windows = TEXTS.map(windowsOf);
    const asTexts = split({
      texts: windows.flat(),
      labels: Int32Array.from(windows.flatMap((own, text) => own.map(() => labels[text]!))),
    });
    const trained = async (on: Split, options: TrainerOptions) => {
      await using model = await load();
      const trainer = new Trainer(model, {
        ...{ epochs: 3, batchSize: 2, learningRate: 0.01, classWeights: 'balanced', ...options },
      });
      const { evaluation } = await trainer.train(on, { validation: train });
      const weights: Values[] = [];
      for (const { name } of model.parameters()) weights.push(await model.parameter(name));
      return { weights, evaluation: evaluation!, longTexts: model.longTexts, logits: await model.logits(TEXTS) };
    };
    const own = await trained(train, WINDOWS);
    const other = await trained(asTexts, {});
    expect(own.weights).to.deep.equal(other.weights);
    expect(own.evaluation.examples).to.equal(3);
    expect(own.longTexts).to.deep.equal({ length: 4, truncation: null, stride: 1, pooling: 'mean' });
    expect(own.logits.logits).not.to.deep.equal(other.logits.logits);
    // Balanced sampling counts windows as well.
    const drawn = await trained(train, { ...WINDOWS, sampling: 'balanced' });
    expect(drawn.weights).to.deep.equal((await trained(asTexts, { sampling: 'balanced' })).weights);
  });

  for (const method of [full(), lora({ rank: 2 })]) {
    it(`are treated as in training once the model was saved, unless something else is asked for: ${method.kind}`, async () => {
      await using model = await load();
      const options = { method, maxSteps: 2, ...WINDOWS, windowPooling: 'max' } as const;
      await new Trainer(model, options).train(split({ texts: TEXTS, labels: Int32Array.of(1, 2, 0) }));
      const saved = directory.path(`saved-${method.kind}`);
      await model.save(saved);
      await using again = await TextClassifier.load(saved, CPU);
      expect(again.longTexts).to.deep.equal({ length: 4, truncation: null, stride: 1, pooling: 'max' });
      const { logits } = await again.logits(TEXTS);
      expect(logits).to.deep.equal((await model.logits(TEXTS)).logits);
      expectNear(logits, await pooled(again, (values) => Math.max(...values)));
      expectNear((await again.logits(TEXTS, { windowPooling: 'mean' })).logits, await pooled(again, mean));
      const cut = await again.logits(TEXTS, { truncation: 'tail' });
      expectNear(cut.logits, [...(await again.logits(['and we went home', TEXTS[1]!, 'home with a friend'])).logits]);
      if (method.kind === 'full') return;
      await using base = await load();
      await base.loadAdapter('own', saved);
      const mixed = await base.predict([...TEXTS, TEXTS[0]!], { adapter: ['own', 'own', 'own', null] });
      const expected = [...(await again.predict(TEXTS)), ...(await base.predict(TEXTS[0]!))];
      for (const [i, { label, score }] of expected.entries()) {
        expect(mixed[i]!.label).to.equal(label);
        expect(mixed[i]!.score).to.be.closeTo(score, 1e-5);
      }
      await using service = new PredictionService(base);
      const [one] = await service.predict(TEXTS[0]!, { adapter: 'own' });
      expect(one.score).to.be.closeTo(expected[0]!.score, 1e-5);
    });
  }

  it('have windows that share less where those of training do not fit, and none in pairs', async () => {
    await using model = await load();
    const options = { maxSteps: 1, maxLength: 8, stride: 4, windowPooling: 'max' } as const;
    await new Trainer(model, options).train(split({}));
    const half = { maxLength: 4, stride: 2, windowPooling: 'max' } as const;
    const { logits } = await model.logits(TEXTS, { maxLength: 4 });
    expect(logits).to.deep.equal((await model.logits(TEXTS, half)).logits);
    await using service = new PredictionService(model);
    const [served] = await service.predict(TEXTS[0]!, { maxLength: 4 });
    expect(served.score).to.be.closeTo((await model.predict(TEXTS[0]!, half))[0].score, 1e-5);

    const pair = [[TEXTS[0]!, TEXTS[2]!]] as const;
    const cut = await model.logits(pair, { textKind: 'any', maxLength: 8, truncation: 'head' });
    expect((await model.logits(pair, { textKind: 'any' })).logits).to.deep.equal(cut.logits);
    expect(await service.predict(pair, { textKind: 'any' })).to.have.length(1);
    const pairs = split({ pairs: tinySplit('pairs', 24, 2).texts });
    await new Trainer(model, { maxSteps: 1 }).train(pairs);
    expect(model.longTexts).to.equal(null);
  });

  it('are counted by the length of training in the summary of a run that goes on', async () => {
    const model = directory.path('windows');
    await copyWith(directory.path('base'), model, 'config.json', (config) => {
      config.bertune = { long_texts: { length: 4, truncation: null, stride: 1, pooling: 'mean' } };
    });
    const train = directory.path('train.csv');
    await writeFile(train, `text,label\n${TEXTS[0]},yes\n${TEXTS[1]},no\n`);
    const named = { name: 'full', title: 'full', model, data: { train }, dataset: {}, method: full() };
    await using run = await Run.open({ ...named, options: {}, where: CPU });
    expect((await run.summary()).splits.train?.tokens).to.include({ maxLength: 4, cut: 0.5 });
  });

  it('are refused in ways that contradict each other, or do not fit the model', async () => {
    await using model = await load();
    const refusals: [TrainerOptions, string][] = [
      [{ truncation: 'head', stride: 1 }, 'leave one of them out'],
      [{ windowPooling: 'max' }, 'stride'],
      [{ maxLength: 8, stride: 5 }, 'an integer from 0 to 4'],
    ];
    for (const [options, message] of refusals) {
      await expectRefusal(() => new Trainer(model, options), 'INVALID_OPTION', message);
      await expectRefusal(() => model.predict('a', options as object), 'INVALID_OPTION', message);
    }
    await expectRefusal(() => model.predict([['a', 'b']], { stride: 1 }), 'INVALID_OPTION', 'pairs');
    await copyWith(directory.path('base'), directory.path('odd'), 'config.json', (config) => {
      config.bertune = { long_texts: { length: 4, truncation: 'head', stride: 1, pooling: 'mean' } };
    });
    await expectRefusal(() => TextClassifier.load(directory.path('odd'), CPU), 'CHECKPOINT_INVALID', 'long_texts');
    expect(JSON.parse(await readFile(directory.path('base', 'config.json'), 'utf8'))).not.to.have.property('bertune');
  });
});
