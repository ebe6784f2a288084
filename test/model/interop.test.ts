import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadDataset } from '../../lib/data/dataset.js';
import { readConfig } from '../../lib/formats/checkpoint/config.js';
import { writeCheckpoint } from '../../lib/formats/checkpoint.js';
import { readSafetensors } from '../../lib/formats/safetensors.js';
import { fromFloat32, toFloat32 } from '../../lib/formats/tensor.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';
import { encoderTensors, headTensors } from '../lib/shapes.js';
import { canonicalName, type Golden, goldenBatch, goldenTensor, goldenValues, readGolden } from './support.js';

/** What an implementation may differ by from the one that computed the expected logits from the same files. */
const TOLERANCE = 1e-5;
const CPU = { device: 'cpu', threads: 1 } as const;
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

const interop = (...parts: string[]) => fixture('interop', ...parts);
const checkpoints = (...parts: string[]) => fixture('checkpoints', ...parts);
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** Expects rows of logits, and at least one. */
function expectLogits(actual: ArrayLike<number>, expected: readonly (readonly number[])[]): void {
  const flat = expected.flat();
  expect(flat.length).to.be.greaterThan(0);
  expect(actual.length).to.equal(flat.length);
  flat.forEach((value, i) => {
    expect(actual[i], `logit ${i}`).to.be.closeTo(value, TOLERANCE);
  });
}

/** Logits of token ids, without a tokenizer. */
async function logitsOfIds(model: TextClassifier, sequences: readonly (readonly number[])[]) {
  const offsets = [0];
  for (const ids of sequences) offsets.push(offsets.at(-1)! + ids.length);
  const encoded = { ids: Int32Array.from(sequences.flat()), offsets: Int32Array.from(offsets), truncated: 0 };
  return (await model.forward(encoded, 1024)).logits;
}

/** The names of all files in two folders, which must hold the same. */
async function sameNames(a: string, b: string): Promise<string[]> {
  const names = (await readdir(a)).sort();
  expect((await readdir(b)).sort()).to.deep.equal(names);
  return names;
}

/** Every tensor of a file in single precision, as bytes. */
async function readTensors(path: string): Promise<Map<string, { shape: number[]; bytes: Buffer }>> {
  const { tensors } = await readSafetensors(path);
  return new Map(
    [...tensors].map(([name, tensor]) => [name, { shape: tensor.shape, bytes: bytesOf(toFloat32(tensor)) }]),
  );
}

const bytesOf = (values: Float32Array) => Buffer.from(values.slice().buffer);

/** A safetensors file: what its header says, and the bytes behind it. */
function parts(file: Buffer) {
  const end = 8 + Number(file.readBigUInt64LE());
  const { __metadata__: metadata, ...tensors } = JSON.parse(file.subarray(8, end).toString()) as Record<string, object>;
  return { metadata, tensors, data: file.subarray(end) };
}

describe('files that Bertune saved', () => {
  const directory = useTemporaryDirectory();
  let expected: {
    texts: string[];
    ids: Record<string, number[][]>;
    logits: Record<string, number[][]>;
  };

  before(async () => {
    expected = await readJson(interop('expected.json'));
  });

  for (const name of [
    ...['full', 'linear', 'lora', 'lora-dense', 'lora-frozen-head', 'lora-variant', 'lora-bias', 'lora-bias-lora-only'],
    ...['prefix', 'prefix-noproj', 'prefix-frozen-head'],
  ]) {
    describe(name, () => {
      it('gives the logits that transformers and PEFT compute from it', async () => {
        await using model = await TextClassifier.load(interop(name), CPU);
        expectLogits((await model.logits(expected.texts)).logits, expected.logits[name]!);
      });

      it('has the tokenizer that AutoTokenizer takes it for', async () => {
        const tokenizer = await Tokenizer.load(interop(name));
        expect(expected.texts.map((text) => tokenizer.encode(text, 24))).to.deep.equal(expected.ids[name]);
      });

      it('is saved again byte for byte', async () => {
        // Beside its base, as it was before.
        await cp(interop(), directory.path('models'), { recursive: true });
        const again = directory.path('models', 'again');
        await using model = await TextClassifier.load(directory.path('models', name), CPU);
        await model.save(again, { card: false });
        for (const file of await sameNames(interop(name), again)) {
          const [before, after] = [await readFile(interop(name, file)), await readFile(join(again, file))];
          if (name.startsWith('prefix') && file === 'adapter_config.json') {
            // An adapter holds no projection network, so it goes on without one.
            const settings = { ...JSON.parse(before.toString()), prefix_projection: false };
            expect(JSON.parse(after.toString())).to.deep.equal(settings);
          } else if (file === 'adapter_model.safetensors') {
            // Only its metadata grew: they say by now of what kind the base is, and for which task.
            expect(parts(after).data.equals(parts(before).data), file).to.equal(true);
            expect(parts(after).tensors).to.deep.equal(parts(before).tensors);
            expect(parts(after).metadata).to.deep.equal({
              ...parts(before).metadata,
              'bertune.base': 'folder',
              'bertune.task': 'single-label',
            });
          } else {
            expect(after.equals(before), file).to.equal(true);
          }
        }
      });
    });
  }

  it('are all of those that there are expectations for', async () => {
    const folders = (await readdir(interop(), { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(Object.keys(expected.logits).sort()).to.deep.equal(folders.map((entry) => entry.name).sort());
    expect(Object.keys(expected.logits)).to.have.lengthOf(11);
  });
});

describe('files that transformers and PEFT saved', () => {
  const directory = useTemporaryDirectory();

  /** A copy of a stored checkpoint with a tokenizer, which those do not have. */
  async function withTokenizer(source: string): Promise<string> {
    const target = directory.path('base');
    await cp(source, target, { recursive: true, dereference: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      await cp(interop('full', name), join(target, name));
    }
    return target;
  }

  /** Saves an adapter that PEFT saved: the same tensors, and from then on the same bytes. */
  async function expectSavedAlike(model: TextClassifier, source: string, base: string): Promise<void> {
    const [once, twice] = [directory.path('once'), directory.path('twice')];
    await model.save(once);
    const [before, after] = [
      await readTensors(join(source, ADAPTER_WEIGHTS)),
      await readTensors(join(once, ADAPTER_WEIGHTS)),
    ];
    expect([...after.keys()].sort()).to.deep.equal([...before.keys()].sort());
    for (const [name, { shape, bytes }] of before) {
      expect(after.get(name)!.shape, name).to.deep.equal(shape);
      expect(after.get(name)!.bytes.equals(bytes), name).to.equal(true);
    }
    await using again = await TextClassifier.load(once, { ...CPU, base });
    await again.save(twice);
    for (const file of await sameNames(once, twice)) {
      expect((await readFile(join(twice, file))).equals(await readFile(join(once, file))), file).to.equal(true);
    }
  }

  describe('checkpoints', () => {
    for (const name of ['plain', 'sharded', 'f16', 'bf16', 'old-names']) {
      it(`gives the logits that transformers computes: ${name}`, async () => {
        const { inputs, logits } = await readJson(checkpoints('expected.json'));
        await using model = await TextClassifier.load(await withTokenizer(checkpoints(name)), CPU);
        expectLogits(await logitsOfIds(model, inputs), logits[name]);
      });
    }

    for (const name of ['no-classifier', 'no-prefix', 'pretraining']) {
      it(`gives a new classifier the pooled outputs that transformers computes: ${name}`, async () => {
        const { inputs, pooled } = await readJson(checkpoints('expected.json'));
        await using model = await TextClassifier.load(await withTokenizer(checkpoints(name)), CPU);
        const [weight, bias] = [await model.parameter('classifier.weight'), await model.parameter('classifier.bias')];
        expect(weight.some((value) => value !== 0)).to.equal(true);
        const logits = (pooled[name] as number[][]).map((row) =>
          Array.from(bias, (b, label) => row.reduce((sum, value, i) => sum + value * weight[label * 32 + i]!, b)),
        );
        expectLogits(await logitsOfIds(model, inputs), logits);
      });
    }
  });

  describe('adapters of a tiny model', () => {
    for (const name of ['lora', 'lora-dense', 'lora-dense-layers', 'prefix', 'prefix-noproj']) {
      it(`gives the logits that PEFT computes, and is saved alike: ${name}`, async () => {
        const { inputs, adapter_logits: logits } = await readJson(checkpoints('expected.json'));
        const source = checkpoints(`adapter-${name}`);
        const base = await withTokenizer(checkpoints('plain'));
        await using model = await TextClassifier.load(source, { ...CPU, base });
        expectLogits(await logitsOfIds(model, inputs), logits[`adapter-${name}`]);
        await expectSavedAlike(model, source, base);
      });
    }
  });

  describe('adapters of the golden models', () => {
    /** The frozen weights of a golden as a checkpoint. */
    async function writeBase(golden: Golden): Promise<string> {
      const target = directory.path('base');
      await mkdir(target);
      const dropout = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };
      const json = { ...golden.config, ...dropout, model_type: 'bert', hidden_act: 'gelu', pad_token_id: 0 };
      await writeFile(join(target, 'config.json'), JSON.stringify(json));
      const config = await readConfig(target);
      const initial = goldenValues(golden, 'init');
      const shapes = [...encoderTensors(config), ...headTensors(config, 'classifier', 6)];
      const tensors = new Map(shapes.map(([name, shape]) => [name, fromFloat32(initial.get(name)!, shape)] as const));
      const labels = Array.from({ length: 6 }, (_, i) => `LABEL_${i}`);
      await writeCheckpoint(target, { config, labels, tensors, head: 'classifier', tokenizerFrom: interop('full') });
      return target;
    }

    for (const name of ['small-lora', 'small-prefix', 'small-prefix_noproj', 'head64-lora', 'head64-prefix']) {
      it(`gives the logits after training, and is saved alike: ${name}`, async () => {
        const golden = await readGolden(name);
        const base = await writeBase(golden);
        const source = fixture('goldens', `peft-${name}`);
        await using model = await TextClassifier.load(source, { ...CPU, base });
        const { ids, offsets, labels } = goldenBatch(golden, 2);
        const sequences = Array.from(labels, (_, i) => [...ids.subarray(offsets[i], offsets[i + 1])]);
        expectLogits(await logitsOfIds(model, sequences), [[...goldenTensor(golden, 'eval_logits')]]);
        await expectSavedAlike(model, source, base);
      });
    }

    it('hold what training left in the goldens', async () => {
      const golden = await readGolden('small-lora');
      const final = goldenValues(golden, 'final');
      for (const [name, { bytes }] of await readTensors(fixture('goldens', 'peft-small-lora', ADAPTER_WEIGHTS))) {
        expect(bytes.equals(bytesOf(final.get(canonicalName(name))!)), name).to.equal(true);
      }
    });
  });

  describe('adapters of the parity runs', () => {
    for (const method of ['lora', 'prefix'] as const) {
      it(`gives the logits after training, and is saved alike: ${method}`, async () => {
        const expected = (await readJson(fixture('parity', 'expected.json'))).runs[method].logits_after_first8;
        const base = fixture('parity', 'checkpoint');
        const source = fixture('parity', `${method}-final`);
        await using model = await TextClassifier.load(source, { ...CPU, base });
        const { test } = await loadDataset({ test: fixture('parity', 'test.csv') }, { labels: model.labels });
        expectLogits((await model.logits(test!.texts.slice(0, 8))).logits, expected);
        await expectSavedAlike(model, source, base);
      });
    }
  });
});

describe('the tokenizer of what is saved', () => {
  const directory = useTemporaryDirectory();

  const save = async (change: { tokenizer?: object; config?: object | null; model?: object }) => {
    const [source, target] = [directory.path('source'), directory.path('target')];
    await cp(interop('full'), source, { recursive: true });
    const tokenizer = { ...(await readJson(source, 'tokenizer.json')), ...change.tokenizer };
    await writeFile(join(source, 'tokenizer.json'), JSON.stringify(tokenizer));
    const model = { ...(await readJson(source, 'config.json')), ...change.model };
    await writeFile(join(source, 'config.json'), JSON.stringify(model));
    if (change.config) await writeFile(join(source, 'tokenizer_config.json'), JSON.stringify(change.config));
    await using classifier = await TextClassifier.load(source, CPU);
    await classifier.save(target);
    const texts = ['Good day', 'a bad thing [SEP]'];
    const [before, after] = [await Tokenizer.load(source), await Tokenizer.load(target)];
    for (const text of texts) expect(after.encode(text, 24)).to.deep.equal(before.encode(text, 24));
    return { source, target };
  };

  it('names its class where only config.json says what it is', async () => {
    const pad_token = { __type: 'AddedToken', content: '[PAD]', special: true };
    const config = { model_max_length: 24, pad_token, other: [1] };
    const { source, target } = await save({ config });
    expect(await readJson(target, 'tokenizer_config.json')).to.deep.equal({
      ...config,
      tokenizer_class: 'BertTokenizer',
    });
    expect(await readJson(target, 'tokenizer.json')).to.deep.equal(await readJson(source, 'tokenizer.json'));
  });

  it('names the class that config.json names, as older versions know it', async () => {
    const { target } = await save({ config: { other: 1 }, model: { tokenizer_class: 'TokenizersBackend' } });
    expect(await readJson(target, 'tokenizer_config.json')).to.deep.equal({
      other: 1,
      tokenizer_class: 'PreTrainedTokenizerFast',
    });
  });

  it('may be the vocab.txt of an older checkpoint', async () => {
    const [source, target] = [directory.path('source'), directory.path('target')];
    await cp(interop('full'), source, { recursive: true });
    const { model: wordPieces } = await readJson(source, 'tokenizer.json');
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) await rm(join(source, name));
    await writeFile(join(source, 'vocab.txt'), `${Object.keys(wordPieces.vocab).join('\n')}\n`);
    await using model = await TextClassifier.load(source, CPU);
    await model.save(target);
    await using again = await TextClassifier.load(target, CPU);
    expect((await again.logits('Good day')).logits).to.deep.equal((await model.logits('Good day')).logits);
    const json = ['tokenizer.json', 'tokenizer_config.json'];
    expect((await readdir(target)).sort()).to.deep.equal([
      'README.md',
      'config.json',
      'model.safetensors',
      ...json,
      'vocab.txt',
    ]);
    expect(await readJson(target, json[1]!)).to.deep.equal({ tokenizer_class: 'BertTokenizer' });
  });

  it('may lack a token that only its class knows, which texts then must not hold', async () => {
    const [source, target] = [directory.path('source'), directory.path('target')];
    await cp(interop('full'), source, { recursive: true });
    const { model: wordPieces } = await readJson(source, 'tokenizer.json');
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) await rm(join(source, name));
    const pieces = Object.keys(wordPieces.vocab).map((piece) => (piece === '[MASK]' ? 'unused' : piece));
    await writeFile(join(source, 'vocab.txt'), pieces.join('\n'));
    await using model = await TextClassifier.load(source, CPU);
    await model.save(target);
    for (const path of [source, target]) {
      await using classifier = await TextClassifier.load(path, CPU);
      await classifier.predict(['Good day']);
      await expectRefusal(classifier.predict(['Good [MASK]']), 'INVALID_DATA', 'a text has 64');
    }
  });

  it('is copied byte for byte where its configuration names the class', async () => {
    const post_processor = { type: 'BertProcessing', cls: ['[CLS]', 2], sep: ['[SEP]', 3] };
    const { source, target } = await save({
      tokenizer: { post_processor },
      config: { tokenizer_class: 'BertTokenizer', do_lower_case: false },
    });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      expect((await readFile(join(target, name))).equals(await readFile(join(source, name))), name).to.equal(true);
    }
  });
});
