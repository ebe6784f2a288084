import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { type LoraOptions, lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';

const CPU = { device: 'cpu', threads: 1 } as const;

/** What may be between sums in single and in double precision. */
const LOGITS = 1e-4;
const LOSSES = 1e-5;

interface Expected {
  texts: string[];
  labels: number[];
  training: { lr: number; weight_decay: number };
  runs: Record<string, { trainable: number; logits: number[][]; losses: number[]; logits_after: number[][] }>;
}

/** The variants as options, with targets of BERT; `expressions` are none. */
const OPTIONS: Record<string, LoraOptions> = {
  rslora: { rslora: true, targets: ['query', 'value'] },
  patterns: {
    targets: ['query', 'key', 'value', 'dense'],
    rankPattern: { 'layer.0.attention.self.query': 3, query: 2, 'layer\\.1.*dense': 6 },
    alphaPattern: { 'attention.*': 5 },
  },
  layers: { targets: ['query', 'key', 'value', 'dense'], layers: [1], exclude: ['output.dense', 'key'] },
  'bias-all': { bias: 'all', layers: [0] },
  'bias-lora-only': { bias: 'lora_only', targets: ['query', 'intermediate.dense'] },
  dora: { dora: true, targets: ['query', 'value'] },
  'dora-dense': { dora: true, rslora: true, bias: 'lora_only', targets: ['query', 'key', 'value', 'dense'] },
};

const source = (name: string) => fixture('lora-variants', name);
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

function expectLogits(actual: ArrayLike<number>, expected: readonly (readonly number[])[]): void {
  expect(actual.length).to.equal(expected.flat().length);
  expected.flat().forEach((value, i) => {
    expect(actual[i], `logit ${i}`).to.be.closeTo(value, LOGITS);
  });
}

describe('variants of LoRA', () => {
  const directory = useTemporaryDirectory();
  let expected: Expected;
  let base: string;

  before(async () => {
    expected = await readJson(source('expected.json'));
  });

  beforeEach(async () => {
    base = directory.path('base');
    await cp(fixture('checkpoints', 'plain'), base, { recursive: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      await cp(fixture('interop', 'full', name), join(base, name));
    }
    // The reference trains without dropout.
    const config = await readJson(base, 'config.json');
    const dropout = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };
    await writeFile(join(base, 'config.json'), JSON.stringify({ ...config, ...dropout }));
  });

  const load = (name: string) => TextClassifier.load(source(name), { ...CPU, base });
  const logitsOf = async (model: TextClassifier) => (await model.logits(expected.texts)).logits;

  function split(labelNames: readonly string[]): Split {
    const { texts, labels } = expected;
    return {
      name: 'train',
      task: 'single-label',
      texts,
      labels: Int32Array.from(labels),
      labelNames,
      source: 'memory',
    } as Split;
  }

  const NAMES = ['rslora', 'patterns', 'layers', 'expressions', 'bias-all', 'bias-lora-only', 'dora', 'dora-dense'];

  it('are all of those that there are', () => {
    expect(Object.keys(expected.runs)).to.deep.equal(NAMES);
  });

  for (const name of NAMES) {
    it(`gives the logits and the losses of PEFT: ${name}`, async () => {
      const { trainable, logits, losses, logits_after } = expected.runs[name]!;
      await using model = await load(name);
      expectLogits(await logitsOf(model), logits);
      const { lr, weight_decay } = expected.training;
      const trainer = new Trainer(model, {
        ...{ learningRate: lr, weightDecay: weight_decay, schedule: 'constant', loggingSteps: 1 },
        ...{ batchSize: expected.texts.length, maxSteps: losses.length },
      });
      const logged: number[] = [];
      trainer.on('log', ({ loss }) => logged.push(loss));
      trainer.once('start', (plan) => expect(plan.trainableParameters).to.equal(trainable));
      await trainer.train(split(model.labels));
      expect(logged).to.have.lengthOf(losses.length);
      logged.forEach((loss, step) => {
        expect(loss, `loss of step ${step}`).to.be.closeTo(losses[step]!, LOSSES);
      });
      expectLogits(await logitsOf(model), logits_after);
    });

    it(`is saved as it is, merged and taken out again: ${name}`, async () => {
      await using model = await load(name);
      await model.save(directory.path('saved'));
      await using again = await TextClassifier.load(directory.path('saved'), { ...CPU, base });
      expect(await logitsOf(again)).to.deep.equal(await logitsOf(model));
      await again.merge();
      expectLogits(await logitsOf(again), expected.runs[name]!.logits);
      await again.export(directory.path('merged'));
      await using alone = await TextClassifier.load(directory.path('merged'), CPU);
      expectLogits(await logitsOf(alone), expected.runs[name]!.logits);
      await again.unmerge();
      expect(await logitsOf(again)).to.deep.equal(await logitsOf(model));
    });
  }

  for (const [name, options] of Object.entries(OPTIONS)) {
    it(`trains as many parameters as PEFT where it begins here, and says so in adapter_config.json: ${name}`, async () => {
      await using model = await TextClassifier.load(base, CPU);
      const trainer = new Trainer(model, { method: lora({ rank: 4, alpha: 12, dropout: 0, ...options }), maxSteps: 1 });
      trainer.once('start', (plan) => {
        expect(plan.trainableParameters).to.equal(expected.runs[name]!.trainable);
      });
      await trainer.train(split(model.labels));
      await model.save(directory.path('saved'));
      const peft = await readJson(source(name), 'adapter_config.json');
      const { base_model_name_or_path: _, ...own } = await readJson(directory.path('saved'), 'adapter_config.json');
      for (const [key, value] of Object.entries(own)) {
        const wanted = key === 'layers_to_transform' && typeof peft[key] === 'number' ? [peft[key]] : peft[key];
        if (Array.isArray(value)) expect(value, key).to.have.members(wanted);
        else expect(value, key).to.deep.equal(wanted);
      }
    });
  }

  it('stand beside a model, each with its own ranks and scales; those with biases do not', async () => {
    await using model = await TextClassifier.load(base, CPU);
    const mixed = ['rslora', 'patterns', 'layers', 'expressions', 'dora'];
    for (const name of mixed) await model.loadAdapter(name, source(name));
    for (const [i, text] of expected.texts.entries()) {
      const rows = await Promise.all(mixed.map((adapter) => model.logits([text], { adapter })));
      rows.forEach(({ logits }, j) => {
        expectLogits(logits, [expected.runs[mixed[j]!]!.logits[i]!]);
      });
    }
    await expectRefusal(model.loadAdapter('bias', source('bias-all')), 'INVALID_OPTION', 'biases of its own');
    await using own = await load('bias-lora-only');
    await expectRefusal(own.loadAdapter('other', source('rslora')), 'INVALID_OPTION', 'own adapter has biases');
  });

  it('go on only as they began', async () => {
    await using model = await load('bias-all');
    const go = (options: LoraOptions) =>
      new Trainer(model, { method: lora({ rank: 4, alpha: 12, bias: 'all', layers: [0], ...options }) });
    go({});
    await expectRefusal(() => go({ bias: 'none' }), 'INVALID_OPTION', "bias: 'all' but received none");
    await expectRefusal(() => go({ layers: [0, 1] }), 'INVALID_OPTION', 'targets');
    await expectRefusal(() => go({ rankPattern: { query: 2 } }), 'INVALID_OPTION', 'rank 4 but received 2 on');
    await expectRefusal(() => go({ dora: true }), 'INVALID_OPTION', 'Expected false for dora but received true');
  });

  it('begin where the base is: lengths of rows are those of its weights', async () => {
    await using model = await TextClassifier.load(base, CPU);
    const before = await logitsOf(model);
    const trainer = new Trainer(model, {
      method: lora({ dora: true, trainHead: false }),
      maxSteps: 1,
      learningRate: 1e-30,
    });
    await trainer.train(split(model.labels));
    expectLogits(await logitsOf(model), [Array.from(before)]);
  });

  for (const [what, options, words] of [
    ['a layer that there is not', { layers: [2] }, 'layers from 0 to 1 for layers but received 2'],
    ['an excluded module that there is not', { exclude: ['queri'] }, 'did you mean query?'],
    ['nothing that is left', { targets: ['query'], exclude: ['query'] }, 'leave no module of targets to train'],
    ['a pattern that matches nothing', { rankPattern: { queri: 2 } }, 'rankPattern names "queri"'],
    [
      'a pattern that is no expression',
      { alphaPattern: { '(': 2 } },
      'regular expressions of module names for alphaPattern',
    ],
    ['a rank of 0', { rankPattern: { query: 0 } }, 'a positive integer for rankPattern["query"] but received 0'],
    ['the same layer twice', { layers: [1, 1] }, 'distinct non-negative integers for layers'],
    ['an unknown bias', { bias: 'some' as 'all' }, 'one of none, all, lora_only for bias'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await using model = await TextClassifier.load(base, CPU);
      await expectRefusal(() => new Trainer(model, { method: lora(options) }), 'INVALID_OPTION', words);
    });
  }

  for (const [key, value, words] of [
    ['lora_bias', true, 'lora_bias = true'],
    ['rank_pattern', { query: 0 }, 'positive integers by name for rank_pattern'],
    ['layers_to_transform', ['0'], 'numbers of layers for layers_to_transform'],
    ['exclude_modules', 3, 'for exclude_modules'],
    ['bias', 'some', 'one of none, all, lora_only for bias'],
  ] as const) {
    it(`refuses adapter_config.json with ${key} = ${JSON.stringify(value)}`, async () => {
      const folder = directory.path('adapter');
      await cp(source('rslora'), folder, { recursive: true });
      const config = await readJson(folder, 'adapter_config.json');
      await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, [key]: value }));
      await expectRefusal(TextClassifier.load(folder, { ...CPU, base }), 'CHECKPOINT_INVALID', words);
    });
  }
});
