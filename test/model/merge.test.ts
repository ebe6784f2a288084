import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { runCli } from '../cli/run-cli.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';

/** What PEFT saved for a tiny base, and what PEFT computes from it: see test/fixtures/interop. */
const interop = (...parts: string[]) => fixture('interop', ...parts);
const CPU = { device: 'cpu', threads: 2 } as const;
const ADAPTERS = ['lora', 'lora-dense', 'lora-frozen-head'];

function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).to.equal(b.length).and.greaterThan(0);
  let greatest = 0;
  for (let i = 0; i < a.length; i++) greatest = Math.max(greatest, Math.abs(a[i]! - b[i]!));
  return greatest;
}

async function parametersOf(model: TextClassifier): Promise<Map<string, Buffer>> {
  const all = new Map<string, Buffer>();
  for (const { name } of model.parameters()) all.set(name, Buffer.from((await model.parameter(name)).slice().buffer));
  return all;
}

describe('merging a LoRA adapter', () => {
  const directory = useTemporaryDirectory();
  let texts: string[];
  let expected: Record<string, number[][]>;

  before(async () => {
    ({ texts, logits: expected } = JSON.parse(await readFile(interop('expected.json'), 'utf8')));
  });

  /** A tiny model whose adapter trained long enough to differ from its base. */
  async function trained(): Promise<TextClassifier> {
    await writeTinyCheckpoint(directory.path('base'));
    const model = await TextClassifier.load(directory.path('base'), CPU);
    const method = lora({ rank: 4, dropout: 0, targets: ['query', 'value', 'output.dense'] });
    await new Trainer(model, { method, learningRate: 0.02, epochs: 2 }).train(tinySplit('train', 64, 1));
    return model;
  }

  for (const name of ADAPTERS) {
    it(`gives what PEFT computes with the adapter apart: ${name}`, async () => {
      await using model = await TextClassifier.load(interop(name), CPU);
      await model.merge();
      expect(greatestDifference((await model.logits(texts)).logits, expected[name]!.flat())).to.be.lessThan(1e-5);
    });
  }

  it('changes the weights, and predictions by rounding alone', async () => {
    await using model = await trained();
    const before = await model.logits(texts);
    const query = 'bert.encoder.layer.0.attention.self.query.weight';
    const weight = await model.parameter(query);
    const { total } = model.countParameters();

    await model.merge();
    expect(model.merged).to.equal(true);
    expect(greatestDifference((await model.logits(texts)).logits, before.logits)).to.be.lessThan(1e-5);
    expect(greatestDifference(await model.parameter(query), weight)).to.be.greaterThan(1e-3);
    expect(model.parameters().some(({ name }) => name.includes('lora'))).to.equal(false);
    expect(model.countParameters().total).to.be.lessThan(total);
  });

  it('is exact to the last digits in double precision', async () => {
    await using model = await TextClassifier.load(interop('lora'), { ...CPU, precision: 'fp64' } as never);
    const before = await model.logits(texts);
    await model.merge();
    expect(greatestDifference((await model.logits(texts)).logits, before.logits)).to.be.lessThan(1e-13);
  });

  it('is undone bit for bit', async () => {
    await using model = await trained();
    const before = await parametersOf(model);
    await model.merge();
    await model.merge();
    await model.unmerge();
    await model.unmerge();
    expect(model.merged).to.equal(false);
    const after = await parametersOf(model);
    expect([...after.keys()]).to.deep.equal([...before.keys()]);
    for (const [name, bytes] of before) expect(after.get(name)!.equals(bytes), name).to.equal(true);
  });

  it('leaves what is saved as it was', async () => {
    await using model = await trained();
    await model.save(directory.path('before'));
    await model.merge();
    await model.save(directory.path('after'));
    const names = await readdir(directory.path('before'));
    expect(names).to.include('adapter_model.safetensors');
    expect(await readdir(directory.path('after'))).to.deep.equal(names);
    for (const name of names) {
      const [a, b] = [await readFile(directory.path('before', name)), await readFile(directory.path('after', name))];
      expect(a.equals(b), name).to.equal(true);
    }
  });

  it('takes the memory of the base alone afterwards', async () => {
    await using model = await trained();
    await using base = await TextClassifier.load(directory.path('base'), CPU);
    await model.merge();
    await Promise.all([model.predict(texts), base.predict(texts)]);
    expect(model.memory().parameters).to.equal(base.memory().parameters);
  });

  it('keeps the model for training until it is undone', async () => {
    await using model = await trained();
    await model.merge();
    expect(() => new Trainer(model, { method: lora({ rank: 4 }) })).to.throw('unmerge()');
    await model.unmerge();
    const method = lora({ rank: 4, dropout: 0, targets: ['query', 'value', 'output.dense'] });
    await new Trainer(model, { method, epochs: 1 }).train(tinySplit('train', 16, 2));
  });

  it('lets predictions that are under way end with the same numbers', async () => {
    await using model = await trained();
    const before = await model.logits(texts);
    const running = Array.from({ length: 20 }, () => model.logits(texts));
    await model.merge();
    for (const { logits } of await Promise.all(running)) {
      expect(greatestDifference(logits, before.logits)).to.be.lessThan(1e-5);
    }
  });

  it('refuses a model that has no LoRA adapter, or is in training', async () => {
    await writeTinyCheckpoint(directory.path('plain'));
    await using plain = await TextClassifier.load(directory.path('plain'), CPU);
    await expectRefusal(plain.merge(), 'INVALID_OPTION', 'carries none');
    await using withPrefix = await TextClassifier.load(interop('prefix'), CPU);
    await expectRefusal(withPrefix.merge(), 'INVALID_OPTION', 'prefix');
    await using model = await trained();
    const method = lora({ rank: 4, dropout: 0, targets: ['query', 'value', 'output.dense'] });
    const training = new Trainer(model, { method, epochs: 1 }).train(tinySplit('train', 64, 2));
    await expectRefusal(model.merge(), 'INVALID_OPTION', 'being trained');
    await training;
    await model.dispose();
    await expectRefusal(model.merge(), 'DISPOSED');
  });

  it('keeps apart from adapters beside the model', async () => {
    await using model = await TextClassifier.load(interop('lora'), CPU);
    await model.loadAdapter('beside', interop('lora-dense'));
    await expectRefusal(model.merge(), 'INVALID_OPTION', 'beside');
    await model.unloadAdapter('beside');
    await model.merge();
    await expectRefusal(model.loadAdapter('beside', interop('lora-dense')), 'INVALID_OPTION', 'unmerge()');
  });
});

describe('exporting a plain checkpoint', () => {
  const directory = useTemporaryDirectory();
  const out = () => directory.path('out');
  let texts: string[];

  before(async () => {
    ({ texts } = JSON.parse(await readFile(interop('expected.json'), 'utf8')));
  });

  for (const name of [...ADAPTERS, 'full', 'linear']) {
    it(`holds the model without an adapter or a base: ${name}`, async () => {
      await using model = await TextClassifier.load(interop(name), CPU);
      const { logits } = await model.logits(texts);
      await model.export(out());
      expect(model.merged).to.equal(false);
      expect(await readdir(out()))
        .to.include('model.safetensors')
        .and.not.include('adapter_config.json');
      await using alone = await TextClassifier.load(out(), CPU);
      expect(alone.method).to.equal(null);
      expect(alone.notes).to.deep.equal([]);
      expect(alone.labels).to.deep.equal(model.labels);
      expect(greatestDifference((await alone.logits(texts)).logits, logits)).to.be.lessThan(1e-5);
    });
  }

  it('is the same whether the adapter is merged or not', async () => {
    await using model = await TextClassifier.load(interop('lora'), CPU);
    await model.export(directory.path('apart'));
    await model.merge();
    await model.export(directory.path('merged'));
    const read = (name: string) => readFile(join(directory.path(name), 'model.safetensors'));
    expect((await read('apart')).equals(await read('merged'))).to.equal(true);
  });

  it('replaces an adapter that was there only when asked', async () => {
    await using model = await TextClassifier.load(interop('lora'), CPU);
    await model.save(out());
    await expectRefusal(model.export(out()), 'OUTPUT_REFUSED');
    await model.export(out(), { overwrite: true });
    expect(await readdir(out())).to.not.include('adapter_config.json');
  });

  it('refuses a prefix', async () => {
    await using model = await TextClassifier.load(interop('prefix'), CPU);
    await expectRefusal(model.export(out()), 'INVALID_OPTION', 'prefix');
    expect(await readdir(directory.path('.'))).to.not.include('out');
  });

  it('is a command', async () => {
    const { status, stdout, stderr } = await runCli(['export', '--model', interop('lora'), '--output', out()]);
    expect({ status, stdout }, stderr).to.deep.equal({ status: 0, stdout: '' });
    await using model = await TextClassifier.load(interop('lora'), CPU);
    await using alone = await TextClassifier.load(out(), CPU);
    const [a, b] = [await model.logits(texts), await alone.logits(texts)];
    expect(greatestDifference(a.logits, b.logits)).to.be.lessThan(1e-5);
    const again = await runCli(['export', '--model', interop('lora'), '--output', out()]);
    expect(again.status).to.equal(1);
    expect(again.stderr).to.include('OUTPUT_REFUSED');
  });
});
