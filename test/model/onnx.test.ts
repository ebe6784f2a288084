import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Tokenizer as PlainTokenizer } from '@huggingface/tokenizers';
import { expect } from 'chai';
import * as ort from 'onnxruntime-web';
import { Trainer } from '../../lib/api/trainer.js';
import { architectureOf } from '../../lib/architectures/index.js';
import type { Split } from '../../lib/data/dataset.js';
import { writeFilesAtomic } from '../../lib/files/output.js';
import { modelRows } from '../../lib/formats/checkpoint.js';
import { onnxFiles } from '../../lib/formats/onnx/folder.js';
import { quantised, transposed } from '../../lib/formats/onnx/weights.js';
import { bitfit, full, linear, lora, type Method, prefix } from '../../lib/methods/index.js';
import { softmax } from '../../lib/metrics/single-label.js';
import { type OnnxOptions, TextClassifier } from '../../lib/model/classifier.js';
import { TASK_KINDS, type TaskKind } from '../../lib/tasks/index.js';
import { runCli } from '../cli/run-cli.js';
import { LONG } from '../faults/scale.js';
import { copyWith, expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';
import { randomNumbers } from '../lib/tiny-model.js';

/** What logits in fp32 may differ by from Bertune's. */
const TOLERANCE = 1e-5;
/** What bytes may change a logit by, of these models of random weights: about twice what is seen. */
const INT8_TOLERANCE = 0.1;

const FAMILIES = ['bert-multi', 'roberta', 'xlm-roberta', 'camembert', 'distilbert', 'electra'];
const METHODS: readonly Method[] = [
  full(),
  linear(),
  prefix({ virtualTokens: 3 }),
  lora({ rank: 2, targets: ['all-linear'] }),
  bitfit(),
  lora({ rank: 2, targets: ['all-linear'], dora: true }),
];
const LABELS = ['one', 'two', 'three'];
const base = (family: string) => fixture('families', 'bases', family);
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** Logits of texts by ONNX Runtime in WebAssembly, as it runs in browsers: shorter texts of a batch are padded. */
async function onnxLogits(
  model: TextClassifier<TaskKind>,
  file: string,
  texts: readonly string[],
  { pairs, ...options }: ort.InferenceSession.SessionOptions & { pairs?: readonly string[] } = {},
): Promise<number[]> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await readFile(file), { logSeverityLevel: 3, ...options });
  const { ids, offsets, typeIds } = await model.tokenizer.encodeTexts(texts, model.maxLength, pairs && { pairs });
  const [B, T] = [texts.length, Math.max(...texts.map((_, i) => offsets[i + 1]! - offsets[i]!))];
  const inputs: Record<string, BigInt64Array> = {
    input_ids: new BigInt64Array(B * T).fill(BigInt(Math.max(0, model.tokenizer.padTokenId))),
    attention_mask: new BigInt64Array(B * T),
    token_type_ids: new BigInt64Array(B * T),
  };
  for (let text = 0; text < B; text++) {
    for (let token = 0; token < offsets[text + 1]! - offsets[text]!; token++) {
      inputs.input_ids![text * T + token] = BigInt(ids[offsets[text]! + token]!);
      inputs.attention_mask![text * T + token] = 1n;
      inputs.token_type_ids![text * T + token] = BigInt(typeIds?.[offsets[text]! + token] ?? 0);
    }
  }
  const feeds = session.inputNames.map((name) => [name, new ort.Tensor('int64', inputs[name]!, [B, T])] as const);
  const { logits } = await session.run(Object.fromEntries(feeds));
  expect(logits!.dims).to.deep.equal([B, model.labels.length]);
  const values = [...(logits!.data as Float32Array)];
  await session.release();
  return values;
}

/** Largest difference from Bertune's logits, of one text and of a batch of texts of different lengths. */
async function difference(model: TextClassifier<TaskKind>, file: string, batches: readonly (readonly string[])[]) {
  let most = 0;
  for (const texts of batches) {
    const { logits } = await model.logits(texts);
    const found = await onnxLogits(model, file, texts);
    found.forEach((value, i) => {
      most = Math.max(most, Math.abs(value - logits[i]!));
    });
  }
  return most;
}

/** Texts of random words, and of random lengths up to `most` of them. */
function randomTexts(count: number, most: number, random: () => number): string[] {
  const words = ['good', 'bad', 'the', 'film', 'was', 'never', 'dull', 'we', 'left', 'early', '!', 'été'];
  const pick = () => words[Math.floor(random() * words.length)]!;
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(random() * most) }, pick).join(' '));
}

/** A classifier whose every parameter that trains is away from where it starts. */
async function trained(directory: string, task: TaskKind, method: Method, random: () => number) {
  const model = await TextClassifier.load(directory, { device: 'cpu', threads: 1, labels: LABELS, head: 'new', task });
  const texts = randomTexts(8, 6, random);
  const values = {
    'single-label': Int32Array.from(texts, (_, i) => i % 3),
    'multi-label': Float32Array.from({ length: 24 }, () => Math.round(random())),
    regression: Float32Array.from({ length: 24 }, random),
  }[task];
  const split = { name: 'train', task, texts, labels: values, labelNames: LABELS, source: 'memory' } as Split;
  await new Trainer(model, { method, maxSteps: 2, batchSize: 4, learningRate: 0.02, warmupSteps: 0 }).train(split);
  return model;
}

describe('export for ONNX Runtime', function () {
  this.timeout(600_000);
  const directory = useTemporaryDirectory();
  const out = (...parts: string[]) => directory.path('onnx', ...parts);
  const graph = (name = 'model.onnx') => out('onnx', name);

  for (const [f, family] of FAMILIES.entries()) {
    for (const [t, task] of TASK_KINDS.entries()) {
      // Otherwise all methods of the first family, and one of each other and task.
      for (const method of METHODS.filter((_, m) => LONG || f === 0 || m === (f + t) % METHODS.length)) {
        it(`gives the logits of ${family}, ${task}, ${'dora' in method && method.dora ? 'DoRA' : method.kind}`, async () => {
          const random = randomNumbers(FAMILIES.indexOf(family) * 100 + METHODS.indexOf(method) + 1);
          await using model = await trained(base(family), task, method, random);
          await model.exportOnnx(out());
          const batches = [randomTexts(1, 3, random), randomTexts(2 + Math.floor(random() * 5), 12, random)];
          expect(await difference(model, graph(), batches)).to.be.below(TOLERANCE);
          if (task !== 'single-label') return;
          expect(await difference(model, graph('model_quantized.onnx'), batches)).to.be.below(INT8_TOLERANCE);
        });
      }
    }
  }

  for (const method of [full(), linear(), lora({ rank: 2 })]) {
    it(`has the temperature in its logits: ${method.kind}`, async () => {
      await using model = await trained(base('roberta'), 'single-label', method, randomNumbers(3));
      model.keepDecision({ thresholds: null, temperature: 1.7 });
      await model.exportOnnx(out());
      const texts = ['a good film', 'dull', 'we left early !'];
      const logits = await onnxLogits(model, graph(), texts);
      const predictions = await model.predict(texts);
      const scores = softmax(logits, LABELS.length);
      predictions.forEach(({ scores: own }, i) => {
        for (const [c, label] of LABELS.entries()) expect(own![label]).to.be.closeTo(scores[3 * i + c]!, TOLERANCE);
      });
      // It would be applied twice by who reads it.
      expect((await readJson(out('config.json'))).bertune ?? {}).not.to.have.property('temperature');
    });
  }

  describe('of a graph', () => {
    it('knows every activation', async () => {
      for (const activation of ['gelu_new', 'relu', 'silu']) {
        const source = await copyWith(base('bert-multi'), directory.path(activation), 'config.json', (config) => {
          config.hidden_act = activation;
        });
        await using model = await TextClassifier.load(source, { device: 'cpu' });
        await model.exportOnnx(out(), { overwrite: true });
        expect(await difference(model, graph(), [['a good film', 'dull']]), activation).to.be.below(TOLERANCE);
      }
    });

    it('counts positions as RoBERTa does, where a text holds the padding token', async () => {
      await using model = await TextClassifier.load(base('roberta'), { device: 'cpu' });
      await model.exportOnnx(out());
      const texts = ['good <pad> film', 'the film was <pad> never <pad> dull'];
      const { ids } = await model.tokenizer.encodeTexts(texts, 64);
      expect([...ids]).to.include(model.tokenizer.padTokenId);
      expect(await difference(model, graph(), [texts])).to.be.below(TOLERANCE);
    });

    it('tells the two texts of a pair apart', async () => {
      for (const family of ['bert-multi', 'electra', 'roberta']) {
        await using model = await TextClassifier.load(base(family), { device: 'cpu' });
        await model.exportOnnx(out(), { overwrite: true });
        const [texts, pairs] = [
          ['a good film', 'dull'],
          ['we left', 'never early !'],
        ] as const;
        const { logits } = await model.logits(
          texts.map((text, i) => [text, pairs[i]!] as const),
          { textKind: 'any' },
        );
        const found = await onnxLogits(model, graph(), texts, { pairs });
        found.forEach((value, i) => {
          expect(value, family).to.be.closeTo(logits[i]!, TOLERANCE);
        });
      }
    });

    it('takes the longest text, behind a prefix as well', async () => {
      for (const method of [full(), prefix({ virtualTokens: 5 })]) {
        await using model = await trained(base('roberta'), 'single-label', method, randomNumbers(5));
        await model.exportOnnx(out(), { overwrite: true });
        expect((await readJson(out('tokenizer_config.json'))).model_max_length).to.equal(model.maxLength);
        expect(await difference(model, graph(), [['good film '.repeat(400)]])).to.be.below(TOLERANCE);
      }
    });

    it('is the same whether the adapter is merged or not', async () => {
      await using model = await trained(base('bert-multi'), 'single-label', lora({ rank: 2 }), randomNumbers(6));
      await model.exportOnnx(out());
      const before = await readFile(graph());
      await model.merge();
      await model.exportOnnx(out(), { overwrite: true });
      expect(before.equals(await readFile(graph()))).to.equal(true);
    });

    it('leaves its tensors to a second file where it is too large for one', async () => {
      await using model = await TextClassifier.load(base('bert-multi'), { device: 'cpu' });
      const { config, labels } = model;
      const rows = [...modelRows(config, 'classifier', labels.length).values()];
      const values = new Map<string, Float32Array>();
      for (const { name } of rows) values.set(name, (await model.parameter(name)) as Float32Array);
      const shared = { config, labels, head: 'classifier', rows, values, prefix: null, weights: ['fp32'] } as const;
      const { files } = await onnxFiles({ ...shared, tokenizerFrom: base('bert-multi'), maxLength: 64 }, 100_000);
      await mkdir(out());
      await writeFilesAtomic(out(), files);
      expect((await readFile(graph())).length).to.be.below(100_000);
      const settings = (await readJson(out('config.json')))['transformers.js_config'];
      expect(settings).to.deep.equal({ dtype: 'fp32', use_external_data_format: { 'model.onnx': 1 } });
      const texts = ['a good film', 'dull'];
      const { logits } = await model.logits(texts);
      const externalData = [{ path: 'model.onnx_data', data: await readFile(graph('model.onnx_data')) }];
      const found = await onnxLogits(model, graph(), texts, { externalData });
      found.forEach((value, i) => {
        expect(value).to.be.closeTo(logits[i]!, TOLERANCE);
      });
    });
  });

  describe('of weights', () => {
    it('rounds each row to the nearest byte of its scale, and keeps zeros', async () => {
      const values = Float32Array.of(0.5, -1, 0.26, 0, 0, 0, 1e-3, 2e-3, -3e-3);
      const { bytes, scales } = await quantised({ values, rows: 3, columns: 3 }, 127, 'rows');
      expect([...bytes]).to.deep.equal([64, -127, 33, 0, 0, 0, 42, 85, -127]);
      values.forEach((value, i) => {
        const scale = scales[Math.floor(i / 3)]!;
        expect(Math.abs(bytes[i]! * scale - value)).to.be.at.most(scale / 2 + 1e-9);
      });
      const columns = await quantised({ values, rows: 3, columns: 3 }, 64, 'columns');
      expect([...columns.bytes]).to.deep.equal([32, 0, 21, -64, 0, 43, 17, 0, -64]);
    });

    it('transposes', async () => {
      const values = Float32Array.of(1, 2, 3, 4, 5, 6);
      expect([...(await transposed({ values, rows: 2, columns: 3 }))]).to.deep.equal([1, 4, 2, 5, 3, 6]);
    });
  });

  describe('of a folder', () => {
    it('holds what transformers.js loads: the tokenizer gives the same ids, labels are named', async () => {
      for (const family of FAMILIES) {
        await using model = await TextClassifier.load(base(family), { device: 'cpu' });
        await model.exportOnnx(out(family));
        expect((await readdir(out(family))).sort()).to.deep.equal(
          ['config.json', 'onnx', 'special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json'].sort(),
        );
        const settings = await readJson(out(family, 'tokenizer_config.json'));
        const plain = new PlainTokenizer(await readJson(out(family, 'tokenizer.json')), settings);
        expect(plain.token_to_id(settings.pad_token)).to.equal(model.tokenizer.padTokenId);
        const text = 'We left early: a (good) film, été!';
        expect(plain.encode(text).ids, family).to.deep.equal(model.tokenizer.encode(text, 64));
        const config = await readJson(out(family, 'config.json'));
        expect(Object.values(config.id2label)).to.deep.equal(model.labels);
        expect(architectureOf({ modelType: config.model_type })).to.equal(architectureOf(model.config));
      }
    });

    it('has the weights that are asked for, and none of an earlier export', async () => {
      await using model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      const exported = async (options: OnnxOptions) => {
        await model.exportOnnx(out(), { overwrite: true, ...options });
        const names = (await readdir(out('onnx'))).sort();
        return { names, dtype: (await readJson(out('config.json')))['transformers.js_config']?.dtype };
      };
      const both = ['model.onnx', 'model_quantized.onnx'];
      expect(await exported({})).to.deep.equal({ names: both, dtype: undefined });
      expect(await exported({ weights: 'int8' })).to.deep.equal({ names: [both[1]], dtype: 'q8' });
      expect(await exported({ weights: 'fp32' })).to.deep.equal({ names: [both[0]], dtype: 'fp32' });
    });

    it('is refused where a model is, or anything else', async () => {
      await using model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      await model.save(directory.path('checkpoint'));
      const there = directory.path('checkpoint');
      await expectRefusal(model.exportOnnx(there, { overwrite: true }), 'OUTPUT_REFUSED', 'model.safetensors');
      await mkdir(out());
      await writeFile(out('notes.txt'), 'mine');
      await expectRefusal(model.exportOnnx(out()), 'OUTPUT_REFUSED', 'not empty');
      expect(await readdir(out())).to.deep.equal(['notes.txt']);
    });

    it('follows no link in the place of its graphs, and leaves nothing behind', async () => {
      await using model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      await mkdir(directory.path('elsewhere'));
      await mkdir(out());
      await symlink(directory.path('elsewhere'), out('onnx'));
      await expectRefusal(model.exportOnnx(out(), { overwrite: true }), 'OUTPUT_REFUSED', out('onnx'));
      expect(await readdir(directory.path('elsewhere'))).to.deep.equal([]);
      expect(await readdir(out())).to.deep.equal(['onnx']);
    });

    it('is the new one as a whole where it replaces another', async () => {
      await using model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      await model.exportOnnx(out());
      await using other = await TextClassifier.load(base('electra'), { device: 'cpu' });
      await other.exportOnnx(out(), { overwrite: true });
      await other.exportOnnx(directory.path('alone'));
      for (const name of [...(await readdir(out())).filter((each) => each !== 'onnx'), 'onnx/model.onnx']) {
        const alone = await readFile(directory.path('alone', name));
        expect(alone.equals(await readFile(out(name))), name).to.equal(true);
      }
    });

    it('refuses weights that there are none of, and a model that is gone', async () => {
      const model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      const options = { weights: 'int4' } as unknown as OnnxOptions;
      await expectRefusal(model.exportOnnx(out(), options), 'INVALID_OPTION', 'weights', 'int4');
      await model.dispose();
      await expectRefusal(model.exportOnnx(out()), 'DISPOSED');
    });

    it('is not taken for a checkpoint', async () => {
      await using model = await TextClassifier.load(base('distilbert'), { device: 'cpu' });
      await model.exportOnnx(out());
      await expectRefusal(TextClassifier.load(out()), 'CHECKPOINT_INVALID', /onnx|model\.safetensors/);
    });

    it('is written from the shell', async () => {
      const source = base('distilbert');
      const args = ['export', '--model', source, '--output', out(), '--format', 'onnx', '--weights', 'int8'];
      const { status, stdout, stderr } = await runCli(args);
      expect({ status, stdout }, stderr).to.deep.equal({ status: 0, stdout: '' });
      expect(stderr).to.include(`wrote ${out()}`);
      expect(await readdir(out('onnx'))).to.deep.equal([basename(graph('model_quantized.onnx'))]);
      const alone = await runCli(['export', '--model', source, '--output', out('else'), '--weights', 'int8']);
      expect(alone.status).to.equal(2);
      expect(alone.stderr).to.include('--format onnx');
    });
  });
});
