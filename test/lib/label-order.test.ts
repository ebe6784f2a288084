import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset, type Split } from '../../lib/data/dataset.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { full, linear, lora, type Method, prefix } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { TASK_KINDS, taskOf } from '../../lib/tasks/index.js';
import { runCli } from '../cli/run-cli.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { writeTinyAdapter } from './tiny-adapters.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
const OTHER = ['yes', 'no', 'maybe'];

const METHODS: Record<string, Method> = {
  full: full(),
  linear: linear({ dropout: 0 }),
  lora: lora({ rank: 2, dropout: 0 }),
  prefix: prefix({ virtualTokens: 3, projection: false }),
};

/** The same examples with their classes in another order. */
function inOrder(split: Split, labelNames: readonly string[]): Split {
  return { ...split, labelNames, labels: split.labels.map((label) => labelNames.indexOf(split.labelNames[label]!)) };
}

const namesOf = ({ labels, labelNames }: Split) => [...labels].map((label) => labelNames[label]!);

describe('the order of labels', function () {
  this.timeout(240_000);
  const directory = useTemporaryDirectory();
  const train = tinySplit('train', 48, 3);
  const test = tinySplit('test', 40, 5);
  const texts = test.texts.slice(0, 12);

  const write = async (name: string, content: string | Uint8Array) => {
    const path = directory.path(name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    return path;
  };

  beforeEach(() => writeTinyCheckpoint(directory.path('base'), { classifier: false }));

  const parametersOf = async (model: TextClassifier) => {
    const values: Record<string, Float32Array | Float64Array> = {};
    for (const { name } of model.parameters()) values[name] = await model.parameter(name);
    return values;
  };

  const trained = async (method: Method, data: Split, validation: Split) => {
    const model = await TextClassifier.load(directory.path('base'), { ...CPU, labels: LABELS });
    const trainer = new Trainer(model, {
      method,
      epochs: 8,
      learningRate: 5e-3,
      batchSize: 8,
      classWeights: 'balanced',
    });
    const { logHistory } = await trainer.train(data, { validation });
    const losses = logHistory.map((row) => ('eval_loss' in row ? [row.eval_loss, row.eval_accuracy] : null));
    return { model, trainer, losses };
  };

  const expectSamePredictions = async (model: TextClassifier, expected: Awaited<ReturnType<typeof model.predict>>) => {
    const found = await model.predict(texts);
    for (const [i, { label, scores }] of expected.entries()) {
      expect(found[i]!.label, texts[i]).to.equal(label);
      for (const name of LABELS) expect(found[i]!.scores[name], name).to.be.closeTo(scores[name]!, 1e-6);
    }
  };

  /** By position, the accuracy would be another. */
  const expectOrderToMatter = async (trainer: Trainer, accuracy: number) => {
    const byPosition = { ...inOrder(test, OTHER), labelNames: LABELS };
    expect((await trainer.evaluate(byPosition)).accuracy).to.not.equal(accuracy);
  };

  /** Data in every format, with their classes in the order that the format gives them. */
  const writeAll = async (): Promise<Record<string, Parameters<typeof loadDataset>[0]>> => {
    const labels = namesOf(test);
    const numbers = labels.map((label) => OTHER.indexOf(label));
    const lines = (values: readonly unknown[]) => test.texts.map((text, i) => `${text},${values[i]}`).join('\n');
    const features = { label: { names: OTHER, _type: 'ClassLabel' } };
    const parquet = parquetWriteBuffer({
      columnData: [
        { name: 'text', data: [...test.texts], type: 'STRING' },
        { name: 'label', data: numbers.map(BigInt), type: 'INT64' },
      ],
      kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
    });
    const card = `---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names: [${OTHER}]\n---\n`;
    const files: Record<string, string | Uint8Array> = {
      'names.csv': `text,label\n${lines(labels)}\n`,
      'shouted.csv': `text,label\n${lines(labels.map((label) => label.toUpperCase()))}\n`,
      'names.jsonl': test.texts.map((text, i) => JSON.stringify({ text, label: labels[i] })).join('\n'),
      'numbers.parquet': new Uint8Array(parquet),
      'card/README.md': card,
      'card/train.csv': 'text,label\na,0\n',
      'card/test.csv': `text,label\n${lines(numbers)}\n`,
    };
    for (const [name, content] of Object.entries(files)) await write(name, content);
    const named = ['names.csv', 'shouted.csv', 'names.jsonl', 'numbers.parquet'].map((name) => [
      name,
      { test: directory.path(name) },
    ]);
    return { ...Object.fromEntries(named), card: directory.path('card') };
  };

  for (const [name, method] of Object.entries(METHODS)) {
    it(`of the data changes nothing of what is trained, measured and predicted: ${name}`, async () => {
      const one = await trained(method, train, test);
      const two = await trained(method, inOrder(train, OTHER), inOrder(test, ['maybe', 'yes', 'no']));
      await using model = one.model;
      await using _ = two.model;
      expect(two.losses).to.deep.equal(one.losses);
      expect(await parametersOf(two.model)).to.deep.equal(await parametersOf(model));
      const expected = await one.trainer.evaluate(test);
      await expectOrderToMatter(one.trainer, expected.accuracy);
      const { metrics, loss } = await one.trainer.evaluate(inOrder(test, OTHER));
      expect({ metrics, loss }).to.deep.equal({ metrics: expected.metrics, loss: expected.loss });

      const predictions = await model.predict(texts);
      await model.save(directory.path('saved'));
      const sources = await writeAll();
      for (const labels of [undefined, OTHER]) {
        const options = { ...CPU, ...(labels && { labels }) };
        await using again = await TextClassifier.load(directory.path('saved'), options);
        expect(again.labels).to.deep.equal(labels ?? LABELS);
        await expectSamePredictions(again, predictions);
        for (const [format, source] of Object.entries(sources)) {
          const data = await loadDataset(source, { splits: ['test'] });
          const result = await new Trainer(again, { method }).evaluate(data.test!);
          expect(result.accuracy, format).to.equal(expected.accuracy);
          const counts = (metrics: typeof result.metrics, from: readonly string[]) =>
            LABELS.map((row) => LABELS.map((c) => metrics.confusion[from.indexOf(row)]![from.indexOf(c)]));
          expect(counts(result.metrics, again.labels), format).to.deep.equal(counts(expected.metrics, LABELS));
          expect(result.notes.length, format).to.equal(format === 'shouted.csv' ? 1 : 0);
        }
      }
    });
  }

  const SHAPES: Record<string, string[]> = {
    full: [],
    linear: ['--probe-dropout', '0'],
    lora: ['--rank', '2', '--lora-dropout', '0'],
    prefix: ['--virtual-tokens', '3', '--no-projection'],
  };
  for (const [name, method] of Object.entries(METHODS)) {
    it(`is no matter on the command line: ${name}`, async () => {
      const { model, trainer } = await trained(method, train, test);
      const { accuracy } = await trainer.evaluate(test);
      await expectOrderToMatter(trainer, accuracy);
      const predictions = await model.predict(texts);
      await model.save(directory.path('saved'));
      await model.dispose();
      const where = ['--model', directory.path('saved'), '--device', 'cpu', '--precision', 'fp32', '--threads', '1'];
      const sources = Object.entries(await writeAll());
      for (const [format, source] of name === 'full' ? sources : sources.slice(-1)) {
        const data = typeof source === 'string' ? ['--data', source] : ['--test-file', directory.path(format)];
        const run = await runCli(['evaluate', ...where, ...data, '--json']);
        expect(run.status, run.stderr).to.equal(0);
        expect(JSON.parse(run.stdout).accuracy, format).to.equal(accuracy);
        if (format === 'shouted.csv') expect(run.stderr).to.contain('"YES" is "yes"');
      }
      // Training goes on from the model as it is: with a learning rate of 0 nothing changes.
      const output = directory.path('out');
      const args = ['--test-file', directory.path('numbers.parquet'), '--learning-rate', '0', '--max-steps', '1'];
      const file = ['--train-file', directory.path('numbers.parquet'), '--method', name];
      const run = await runCli(['train', ...where, ...file, ...SHAPES[name]!, ...args, '--output', output, '--json']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.contain("in the model's order: no, maybe, yes").and.not.contain('classifier is new');
      expect(JSON.parse(run.stdout).test.accuracy).to.equal(accuracy);
      await using after = await TextClassifier.load(output, CPU);
      await expectSamePredictions(after, predictions);
    });
  }

  it('is no matter in a comparison', async () => {
    const { model, trainer } = await trained(METHODS.full!, train, test);
    const { accuracy } = await trainer.evaluate(test);
    await model.save(directory.path('saved'));
    await model.dispose();
    await writeAll();
    const file = directory.path('numbers.parquet');
    const data = ['--train-file', file, '--test-file', file, '--methods', 'linear', '--epochs', '0.2'];
    const where = ['--device', 'cpu', '--precision', 'fp32', '--threads', '1', '--output', directory.path('out')];
    const run = await runCli(['compare', '--model', directory.path('saved'), ...data, ...where, '--json']);
    expect(run.status, run.stderr).to.equal(0);
    expect(JSON.parse(run.stdout).runs[0].test.accuracy).to.equal(accuracy);
  });

  it('is that of the model in a run that is resumed', async () => {
    const options = { method: full(), epochs: 2, learningRate: 1e-3, batchSize: 8, seed: 3 } as const;
    const whole = await TextClassifier.load(directory.path('base'), { ...CPU, labels: LABELS });
    await new Trainer(whole, options).train(train);
    const saving = {
      ...options,
      outputDirectory: directory.path('run'),
      saveStrategy: 'epoch',
      saveTotalLimit: 2,
    } as const;
    await using first = await TextClassifier.load(directory.path('base'), { ...CPU, labels: LABELS });
    await new Trainer(first, saving).train(train);
    await using second = await TextClassifier.load(directory.path('base'), { ...CPU, labels: LABELS });
    const resume = directory.path('run', 'checkpoint-6');
    await new Trainer(second, options).train(inOrder(train, OTHER), { resume });
    expect(await parametersOf(second)).to.deep.equal(await parametersOf(whole));
    await using third = await TextClassifier.load(directory.path('base'), { ...CPU, labels: OTHER });
    await expectRefusal(new Trainer(third, options).train(train, { resume }), 'INVALID_OPTION', 'labels');
    await whole.dispose();
  });

  describe('and names that do not match', () => {
    const load = (options: Parameters<typeof TextClassifier.load>[1] = {}) =>
      TextClassifier.load(directory.path('base'), { ...CPU, ...options });

    it('are refused, with what the model has and what it lacks', async () => {
      await using model = await load({ labels: ['no', 'maybe', 'sure'] });
      const trainer = new Trainer(model, { maxSteps: 1 });
      const message = /no class for the labels yes of the test split \(memory\); its classes are no, maybe, sure/;
      await expectRefusal(trainer.evaluate(test), 'INVALID_DATA', message);
      await expectRefusal(trainer.train(test), 'INVALID_DATA', /labels yes of the test split/);
      const part = { ...test, labels: test.labels.map((label) => label % 2) };
      expect((await trainer.evaluate(part)).examples).to.equal(40);
      await expectRefusal(trainer.train(part, { validation: test }), 'INVALID_DATA', /labels yes of the test split/);
      const { labelNames: _, ...nameless } = test;
      await expectRefusal(trainer.evaluate(nameless as Split), 'INVALID_OPTION', 'split.labelNames');
    });

    it('are matched where both only number the classes', async () => {
      await using model = await load({ labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'] });
      const trainer = new Trainer(model, { maxSteps: 1 });
      const expected = await trainer.evaluate({ ...test, labelNames: [...model.labels] });
      const { metrics, notes } = await trainer.evaluate({ ...test, labelNames: ['0', '1', '2'] });
      expect(metrics).to.deep.equal(expected.metrics);
      expect(notes.join()).to.contain('"2" is "LABEL_2"');
      await expectRefusal(trainer.evaluate(test), 'INVALID_DATA', /classes have no names: load it with labels,/);
    });

    it('are refused where only the data number them, on the command line as well', async () => {
      await writeTinyCheckpoint(directory.path('model'));
      const numbers = test.texts.map((text, i) => `${text},${test.labels[i]}`).join('\n');
      const file = await write('numbers.csv', `text,label\n${numbers}\n`);
      const args = ['evaluate', '--model', directory.path('model'), '--test-file', file, '--device', 'cpu', '--json'];
      const refused = await runCli(args);
      expect(refused.status).to.equal(1);
      expect(refused.stderr)
        .to.contain('[INVALID_DATA]')
        .and.contain(`the test split (${file}); its classes are no, maybe, yes`)
        .and.contain('--labels');
      const named = await runCli([...args, '--labels', 'no,maybe,yes']);
      expect(named.status, named.stderr).to.equal(0);
      expect(named.stderr).to.contain('0 is "no"');
      await using model = await TextClassifier.load(directory.path('model'), CPU);
      const { accuracy } = await new Trainer(model).evaluate(test);
      expect(JSON.parse(named.stdout).accuracy).to.equal(accuracy);
    });

    it('of a trained classifier are never renamed: it is refused, or a new one takes its place', async () => {
      await writeTinyCheckpoint(directory.path('model'));
      const loading = (options: object) => TextClassifier.load(directory.path('model'), { ...CPU, ...options });
      await expectRefusal(
        loading({ labels: ['a', 'b', 'c'] }),
        'INVALID_OPTION',
        'which are no, maybe, yes',
        'Name the same classes',
      );
      await expectRefusal(loading({ labels: ['a', 'b'] }), 'INVALID_OPTION', 'which are no, maybe, yes');
      await expectRefusal(loading({ head: 'old' }), 'INVALID_OPTION', 'one of keep, fit, name, new for head');
      await using fresh = await loading({ labels: ['a', 'b', 'c'], head: 'fit' });
      expect(fresh.notes.join())
        .to.contain('labels no, maybe, yes. The labels are now a, b, c')
        .and.contain('classifier is new');
      expect(fresh.labels).to.deep.equal(['a', 'b', 'c']);
      await using kept = await loading({ labels: ['yes', 'No'], head: 'fit' });
      await using plain = await loading({});
      expect(kept.labels).to.deep.equal(LABELS);
      expect(kept.notes).to.deep.equal([]);
      expect(await kept.parameter('classifier.weight')).to.deep.equal(await plain.parameter('classifier.weight'));
      await using reset = await loading({ head: 'new' });
      expect(reset.labels).to.deep.equal(LABELS);
      expect(reset.notes.join()).to.contain('classifier is new');
    });
  });

  describe('of rows that have none', () => {
    const load = (options: object) => TextClassifier.load(directory.path('model'), { ...CPU, ...options });
    const GENERIC = ['LABEL_0', 'LABEL_1', 'LABEL_2'];

    beforeEach(() => writeTinyCheckpoint(directory.path('model'), { labels: GENERIC }));

    it('is that of the names they are given, unless one of these is the number of a row', async () => {
      await using plain = await load({});
      const weight = await plain.parameter('classifier.weight');
      await using named = await load({ labels: LABELS });
      expect(named.labels).to.deep.equal(LABELS);
      expect(await named.parameter('classifier.weight')).to.deep.equal(weight);
      for (const labels of [
        ['LABEL_1', 'LABEL_0', 'x'],
        ['LABEL_0', 'x', 'y'],
        ['label_2', 'x', 'y'],
        ['1', '0', 'x'],
        ['1', '2', '3'],
        ['a', 'b'],
      ]) {
        await expectRefusal(
          load({ labels }),
          'INVALID_OPTION',
          'which are LABEL_0, LABEL_1, LABEL_2',
          'Name every row',
        );
      }
    });

    it("keeps the classifier with head 'name', and on the command line where labels are named", async () => {
      await using plain = await load({});
      const weight = await plain.parameter('classifier.weight');
      for (const [labels, found, kept] of [
        [LABELS, LABELS, true],
        [['1', '0'], GENERIC, true],
        [['a', 'b'], ['a', 'b'], false],
        [['1', '0', 'x'], ['1', '0', 'x'], false],
      ] as const) {
        await using model = await load({ labels, head: 'name' });
        expect(model.labels).to.deep.equal(found);
        expect(model.notes.some((note) => note.includes('classifier is new'))).to.equal(!kept);
        if (kept) expect(await model.parameter('classifier.weight')).to.deep.equal(weight);
      }
      await writeTinyCheckpoint(directory.path('other'));
      await using other = await TextClassifier.load(directory.path('other'), { ...CPU, labels: OTHER, head: 'name' });
      expect(other.labels).to.deep.equal(LABELS);

      const file = await write(
        'data.csv',
        `text,label\n${test.texts.map((text, i) => `${text},${test.labels[i]}`).join('\n')}\n`,
      );
      const args = ['--model', directory.path('model'), '--train-file', file, '--test-file', file, '--device', 'cpu'];
      const run = await runCli([
        ...[
          'train',
          ...args,
          '--labels',
          'no,maybe,yes',
          '--method',
          'full',
          '--learning-rate',
          '0',
          '--max-steps',
          '1',
        ],
        ...['--output', directory.path('out'), '--json'],
      ]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.contain('"no" is LABEL_0').and.not.contain('classifier is new');
      await using model = await load({ labels: LABELS });
      const { accuracy } = await new Trainer(model).evaluate(test);
      expect(JSON.parse(run.stdout).test.accuracy).to.equal(accuracy);
    });

    it('is not guessed from data whose labels nobody has put in order', async () => {
      const file = await write('data.csv', 'text,label\na,no\nb,maybe\nc,yes\n');
      const args = ['--model', directory.path('model'), '--train-file', file, '--device', 'cpu', '--max-steps', '1'];
      const run = await runCli(['train', ...args, '--output', directory.path('out'), '--json']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr)
        .to.contain('labels LABEL_0, LABEL_1, LABEL_2. The labels are now maybe, no, yes, so it gets a new classifier.')
        .and.not.contain('classifier is new');
    });
  });

  describe('of an adapter', () => {
    const adapter = { rank: 2, alpha: 4, targets: ['query'], labels: ['no', 'maybe', 'yes'], seed: 4 };
    const path = () => directory.path('adapter');
    const baseOf = (options: object = {}) => TextClassifier.load(directory.path('named'), { ...CPU, ...options });

    beforeEach(async () => {
      const config = await writeTinyCheckpoint(directory.path('named'), { labels: ['maybe', 'yes', 'no'] });
      await writeTinyAdapter(path(), directory.path('named'), config, adapter);
    });

    /** As PEFT writes it: without names; and without a classifier of its own where it is to be the base's. */
    const strip = async ({ head = true } = {}) => {
      const file = join(path(), 'adapter_model.safetensors');
      const { tensors, metadata } = await readSafetensors(file);
      const kept = [...tensors].filter(([name]) => head || !name.includes('classifier'));
      await writeSafetensors(file, new Map(kept), head ? {} : metadata);
    };

    /** Scores of the adapter as the model itself, and beside a model, must be `expected` by name. */
    const expectScores = async (options: { labels?: string[] }, expected: Record<string, number>[]) => {
      await using alone = await TextClassifier.load(path(), { ...CPU, ...options });
      await using beside = await baseOf();
      const info = await beside.loadAdapter('a', path(), options);
      expect(info.labels).to.deep.equal(alone.labels);
      for (const found of [await alone.predict(texts), await beside.predict(texts, { adapter: 'a' })]) {
        for (const [i, scores] of expected.entries())
          for (const [name, score] of Object.entries(scores))
            expect(found[i]!.scores[name], name).to.be.closeTo(score, 1e-5);
      }
      return { notes: [alone.notes, info.notes] };
    };

    const scoresOf = async () => {
      await using model = await TextClassifier.load(path(), CPU);
      return (await model.predict(texts)).map(({ scores }) => scores);
    };

    it("is its own, not the base's, and its rows go with the names that are asked for", async () => {
      const scores = await scoresOf();
      expect(Object.keys(scores[0]!)).to.deep.equal(adapter.labels);
      await expectScores({}, scores);
      await expectScores({ labels: ['yes', 'no', 'maybe'] }, scores);
      await expectScores(
        { labels: ['YES', 'no', 'maybe'] },
        scores.map(({ no, maybe, yes }) => ({ no: no!, maybe: maybe!, YES: yes! })),
      );
      await using beside = await baseOf();
      const labels = ['a', 'b', 'c'];
      await expectRefusal(beside.loadAdapter('a', path(), { labels }), 'INVALID_OPTION', 'which are no, maybe, yes');
      await expectRefusal(
        TextClassifier.load(path(), { ...CPU, labels }),
        'INVALID_OPTION',
        'which are no, maybe, yes',
      );
      await using other = await TextClassifier.load(path(), { ...CPU, labels, head: 'fit' });
      expect(other.notes.join()).to.contain('labels no, maybe, yes').and.contain('classifier is new');
      expect(other.method?.kind).to.equal('lora');
    });

    it('is kept for its labels in any order, and makes way for a new one where the data have others', async () => {
      const before = await scoresOf();
      const rows = (labels: string[]) => texts.map((text, i) => `${text},${labels[i % labels.length]}`);
      for (const [labels, kept] of [
        [['yes', 'no', 'maybe'], true],
        [['cold', 'hot'], false],
      ] as const) {
        const file = await write('data.csv', `text,label\n${rows([...labels]).join('\n')}\n`);
        const run = await runCli([
          ...['train', '--model', path(), '--train-file', file, '--no-holdout', '--device', 'cpu', '--json'],
          ...['--learning-rate', '1e-12', '--max-steps', '1', '--output', directory.path(`out-${labels.length}`)],
        ]);
        expect(run.status, run.stderr).to.equal(0);
        const note = 'labels no, maybe, yes. The labels are now cold, hot, so it gets a new classifier.';
        expect(run.stderr.includes(note), run.stderr).to.equal(!kept);
        await using saved = await TextClassifier.load(directory.path(`out-${labels.length}`), CPU);
        expect(saved.method?.kind).to.equal('lora');
        expect([...saved.labels].sort()).to.deep.equal([...(kept ? adapter.labels : labels)].sort());
        for (const [i, { scores }] of (kept ? await saved.predict(texts) : []).entries())
          for (const name of adapter.labels) expect(scores[name]).to.be.closeTo(before[i]![name]!, 1e-4);
      }
    });

    it("is the base's in its file where the adapter names none, whatever order the base was loaded in", async () => {
      const own = await scoresOf();
      await strip();
      const byBase = own.map(({ no, maybe, yes }) => ({ maybe: no!, yes: maybe!, no: yes! }));
      const { notes } = await expectScores({}, byBase);
      for (const each of notes) expect(each.join()).to.contain("called as the base's, in its order: maybe, yes, no");
      await expectScores({ labels: ['no', 'maybe', 'yes'] }, byBase);
      await using turned = await baseOf({ labels: ['no', 'maybe', 'yes'] });
      expect((await turned.loadAdapter('a', path())).labels).to.deep.equal(['maybe', 'yes', 'no']);
      for (const labels of [
        ['x', 'y', 'z'],
        ['no', 'maybe', 'sure'],
      ]) {
        const other = TextClassifier.load(path(), { ...CPU, labels });
        await expectRefusal(other, 'INVALID_OPTION', 'which are maybe, yes, no');
        await expectRefusal(turned.loadAdapter('b', path(), { labels }), 'INVALID_OPTION', 'which are maybe, yes, no');
      }
    });

    it("is that of the base's file also where the base's own classifier is new", async () => {
      await strip();
      await using alone = await TextClassifier.load(path(), CPU);
      const expected = await alone.predict(texts);
      await writeTinyCheckpoint(directory.path('headless'), { labels: ['maybe', 'yes', 'no'], classifier: false });
      for (const [base, options] of [
        ['headless', { labels: LABELS }],
        ['named', { labels: LABELS, head: 'new' }],
        ['named', { labels: ['a', 'b'], head: 'fit' }],
      ] as const) {
        await using model = await TextClassifier.load(directory.path(base), { ...CPU, ...options });
        const { labels } = await model.loadAdapter('a', path());
        expect(labels).to.deep.equal(['maybe', 'yes', 'no']);
        const turned = await model.loadAdapter('b', path(), { labels: LABELS });
        expect(turned.labels).to.deep.equal(LABELS);
        for (const adapter of ['a', 'b']) {
          for (const [i, { scores }] of (await model.predict(texts, { adapter })).entries())
            for (const name of LABELS) expect(scores[name]).to.be.closeTo(expected[i]!.scores[name]!, 1e-5);
        }
      }
    });

    it("is that of the base's file where it is saved, and of the model where its run goes on", async () => {
      for (const [name, method] of [
        ['lora', lora({ rank: 2 })],
        ['prefix', prefix({ virtualTokens: 3, projection: false })],
      ] as const) {
        const options = { method, epochs: 2, learningRate: 1e-3, batchSize: 8, seed: 3 };
        await using whole = await baseOf({ labels: LABELS });
        const saving = { outputDirectory: directory.path(name), saveStrategy: 'epoch', saveTotalLimit: 2 } as const;
        await new Trainer(whole, { ...options, ...saving }).train(train);
        const predictions = await whole.predict(texts);
        await whole.save(directory.path('saved'), { overwrite: true });
        await using again = await TextClassifier.load(directory.path('saved'), CPU);
        expect(again.labels, name).to.deep.equal(['maybe', 'yes', 'no']);
        await expectSamePredictions(again, predictions);

        await using resumed = await baseOf({ labels: LABELS });
        await new Trainer(resumed, options).train(train, { resume: directory.path(name, 'checkpoint-6') });
        expect(await parametersOf(resumed), name).to.deep.equal(await parametersOf(whole));
      }
    });

    it('is for the task of its base where it does not say', async () => {
      const file = directory.path('named', 'config.json');
      const json = JSON.parse(await readFile(file, 'utf8'));
      for (const { kind, problemType } of TASK_KINDS.map(taskOf)) {
        await writeFile(file, JSON.stringify({ ...json, problem_type: problemType }));
        await using model = await baseOf({ head: 'new' });
        expect(await model.loadAdapter('a', path())).to.include({ task: kind });
      }
      await writeFile(file, JSON.stringify({ ...json, problem_type: 'ranking' }));
      await using model = await baseOf({ head: 'new' });
      await expectRefusal(model.loadAdapter('a', path()), 'CHECKPOINT_INVALID', 'which is none of');
    });

    it("is the base's where the classifier is the base's, whatever names the adapter has", async () => {
      await strip({ head: false });
      const scores = await scoresOf();
      await expectScores({}, scores);
      await expectScores({ labels: ['no', 'yes', 'maybe'] }, scores);
      await using turned = await baseOf({ labels: ['no', 'maybe', 'yes'] });
      await turned.loadAdapter('a', path());
      const found = await turned.predict(texts, { adapter: 'a' });
      for (const [i, { scores: each }] of found.entries())
        for (const name of LABELS) expect(each[name]).to.be.closeTo(scores[i]![name]!, 1e-5);
    });

    it('may be several in one call, where scores go by name and logits need one order', async () => {
      await using model = await baseOf();
      const expected = await model.predict(texts);
      await model.loadAdapter('a', path());
      await model.loadAdapter('b', path(), { labels: ['yes', 'no', 'maybe'] });
      const [a, b, own] = await model.predict([texts[0]!, texts[0]!, texts[0]!], { adapter: ['a', 'b', null] });
      for (const name of LABELS) expect(b!.scores[name]).to.be.closeTo(a!.scores[name]!, 1e-6);
      for (const name of LABELS) expect(own!.scores[name]).to.be.closeTo(expected[0]!.scores[name]!, 1e-6);
      const mixed = model.logits(texts.slice(0, 2), { adapter: ['a', 'b'] });
      await expectRefusal(mixed, 'INVALID_OPTION', /no, maybe, yes and those of texts\[1\] yes, no, maybe/);
    });
  });

  describe('in config.json', () => {
    const change = async (values: Record<string, unknown>) => {
      await writeTinyCheckpoint(directory.path('model'));
      const file = directory.path('model', 'config.json');
      const json = { ...JSON.parse(await readFile(file, 'utf8')), label2id: undefined, ...values };
      await writeFile(file, JSON.stringify(json));
      return TextClassifier.load(directory.path('model'), CPU);
    };

    it('is that of the numbers, and a row that none names has a name of its own', async () => {
      await using plain = await change({});
      await using fromOne = await change({ id2label: { 1: 'a', 2: 'b', 3: 'c' } });
      expect(fromOne.labels).to.deep.equal(['LABEL_0', 'a', 'b']);
      expect(fromOne.notes.join()).to.contain('"c" (3)').and.contain('the rows 0 to 2, which are LABEL_0, a, b');
      expect((await fromOne.logits(texts)).logits).to.deep.equal((await plain.logits(texts)).logits);
      await using gap = await change({ id2label: { 0: 'a', 2: 'b', 5: 'c' } });
      expect(gap.labels).to.deep.equal(['a', 'LABEL_1', 'b']);
      await expectRefusal(
        change({ id2label: { 1: 'LABEL_0', 2: 'x', 3: 'c' } }),
        'CHECKPOINT_INVALID',
        'distinct names',
      );
    });

    it('is that of id2label where label2id is another', async () => {
      await using model = await change({ label2id: { no: 2, maybe: 1, yes: 0 } });
      expect(model.labels).to.deep.equal(LABELS);
      expect(model.notes.join()).to.contain('disagree on no, yes; id2label is used');
      await using generic = await change({ label2id: { LABEL_0: 0, LABEL_1: 1, LABEL_2: 2 } });
      expect(generic.notes).to.deep.equal([]);
    });

    it('is that of label2id where there is no id2label', async () => {
      await using model = await change({ id2label: undefined, label2id: { no: 2, maybe: 1, yes: 0 } });
      expect(model.labels).to.deep.equal(['yes', 'maybe', 'no']);
      expect(model.notes.join()).to.contain('those of label2id: yes, maybe, no');
      for (const label2id of [
        { a: 1, b: 2, c: 3 },
        { a: 0, b: 0, c: 1 },
        { a: 0.5, b: 0, c: 1 },
      ]) {
        await using none = await change({ id2label: undefined, label2id });
        expect(none.labels).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2']);
      }
    });

    it('goes with the problem_type that is there, which has to be known unless the classifier is new', async () => {
      for (const { kind, problemType } of TASK_KINDS.map(taskOf)) {
        await using model = await change({ problem_type: problemType });
        expect(model.task).to.equal(kind);
        expect(model.labels).to.deep.equal(LABELS);
      }
      const problem_type = 'ranking';
      await expectRefusal(change({ problem_type }), 'CHECKPOINT_INVALID', '"ranking", which is none of "single_label_');
      const path = directory.path('model');
      await expectRefusal(TextClassifier.load(path, { ...CPU, labels: OTHER }), 'CHECKPOINT_INVALID', problem_type);
      await expectRefusal(TextClassifier.load(path, { ...CPU, labels: OTHER, head: 'fit' }), 'CHECKPOINT_INVALID');
      await using fresh = await TextClassifier.load(path, { ...CPU, labels: ['a', 'b'], head: 'new' });
      expect(fresh).to.include({ task: 'single-label' });
      expect(fresh.labels).to.deep.equal(['a', 'b']);
    });
  });

  describe('of one', () => {
    it('gives the sigmoid of its logit, and cannot be trained or evaluated', async () => {
      await writeTinyCheckpoint(directory.path('model'), { labels: ['LABEL_0'] });
      await using model = await TextClassifier.load(directory.path('model'), CPU);
      const { logits } = await model.logits(texts);
      for (const [i, { label, score, scores }] of (await model.predict(texts)).entries()) {
        expect(label).to.equal('LABEL_0');
        expect(score).to.be.closeTo(1 / (1 + Math.exp(-logits[i]!)), 1e-12);
        expect(scores).to.deep.equal({ LABEL_0: score });
      }
      await expectRefusal(() => new Trainer(model), 'INVALID_OPTION', 'A model of one class (LABEL_0)');
      await model.save(directory.path('saved'));
      const { problem_type } = JSON.parse(await readFile(directory.path('saved', 'config.json'), 'utf8'));
      expect(problem_type).to.equal(null);
      await using again = await TextClassifier.load(directory.path('saved'), CPU);
      expect((await again.logits(texts)).logits).to.deep.equal(logits);
    });

    it('gives a score as well where its file calls it a classifier', async () => {
      await writeTinyCheckpoint(directory.path('model'), { labels: ['LABEL_0'] });
      const file = directory.path('model', 'config.json');
      const json = { ...JSON.parse(await readFile(file, 'utf8')), problem_type: 'single_label_classification' };
      await writeFile(file, JSON.stringify(json));
      await using model = await TextClassifier.load(directory.path('model'), CPU);
      const { logits } = await model.logits('a day');
      expect((await model.predict('a day'))[0].score).to.be.closeTo(1 / (1 + Math.exp(-logits[0]!)), 1e-12);
    });
  });
});
