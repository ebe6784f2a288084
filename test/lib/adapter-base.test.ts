import { cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'chai';
import type { ModelConfig } from '../../lib/architectures/index.js';
import { embeddedModel } from '../../lib/hub/embedded.js';
import { lora, prefix, TextClassifier, Trainer, type TrainerOptions } from '../../lib/index.js';
import { readAdapter, writeAdapter } from '../../lib/methods/adapter/files.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { writeTinyAdapter } from './tiny-adapters.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 1 } as const;
const TEXTS = ['the day was good and happy', 'never sad'];

describe('the base of an adapter', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  const { path } = directory;
  let config: ModelConfig;
  const before = process.cwd();
  beforeEach(async () => {
    config = await writeTinyCheckpoint(path('project/base'));
  });
  afterEach(() => process.chdir(before));

  /** Trains an adapter on a model and saves it; returns what it predicts. */
  async function train(from: string, to: string, method: TrainerOptions['method'] = lora({ rank: 2 })) {
    await using model = await TextClassifier.load(from, CPU);
    await new Trainer(model, { method, maxSteps: 2, learningRate: 1e-2 }).train(tinySplit('train', 24, 3));
    await model.save(to);
    return await model.predict(TEXTS);
  }

  async function predict(from: string, options: { base?: string } = {}) {
    await using model = await TextClassifier.load(from, { ...CPU, ...options });
    return await model.predict(TEXTS);
  }

  const recorded = async (adapter: string) => {
    const json = JSON.parse(await readFile(join(adapter, 'adapter_config.json'), 'utf8'));
    return json.base_model_name_or_path as unknown;
  };

  describe('that is a folder', () => {
    for (const [name, method] of [
      ['LoRA', lora({ rank: 2 })],
      ['a prefix', prefix({ virtualTokens: 2, projection: false })],
    ] as const) {
      it(`is named by its path from the adapter, whose move with it changes nothing (${name})`, async () => {
        const predicted = await train(path('project/base'), path('project/runs/first'), method);
        expect(await recorded(path('project/runs/first'))).to.equal('../../base');
        await mkdir(path('other/machine'), { recursive: true });
        await rename(path('project'), path('other/machine/here'));
        expect(await predict(path('other/machine/here/runs/first'))).to.deep.equal(predicted);
        process.chdir(path('other/machine/here/runs/first'));
        expect(await predict('.')).to.deep.equal(predicted);
      });
    }

    it('is named so whatever way it was given, and however the working directory changes', async () => {
      process.chdir(path('project'));
      const model = await TextClassifier.load('base', CPU);
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 24, 3));
      process.chdir(path());
      await model.save('out');
      await model.dispose();
      expect(await recorded(path('out'))).to.equal('../project/base');
      // An adapter and its base in one directory.
      await train(path('project/base'), path('alone'));
      await cp(path('project/base'), path('alone'), { recursive: true });
      await using both = await TextClassifier.load(path('alone'), { ...CPU, base: path('alone') });
      await both.save(path('alone'), { overwrite: true });
      expect(await recorded(path('alone'))).to.equal('./');
      await predict(path('alone'));
    });

    it('is where the links of directories lead', async () => {
      await mkdir(path('store/deep/down'), { recursive: true });
      await symlink(path('store/deep/down'), path('project/out'));
      await symlink(path('project/base'), path('latest'));
      const predicted = await train(path('latest'), path('project/out'));
      expect(await recorded(path('store/deep/down'))).to.equal('../../../project/base');
      expect(await predict(path('project/out'))).to.deep.equal(predicted);
      // What the link of the time led to is what the adapter was trained on.
      await rm(path('latest'));
      expect(await predict(path('store/deep/down'))).to.deep.equal(predicted);
    });

    it('is found from behind a link to an adapter, where it lies beside the link', async () => {
      const predicted = await train(path('project/base'), path('project/out'));
      await rename(path('project/out'), path('stored'));
      await symlink(path('stored'), path('project/linked'));
      expect(await predict(path('project/linked'))).to.deep.equal(predicted);
    });

    it('is named from where a checkpoint of a run ends up', async () => {
      await using model = await TextClassifier.load(path('project/base'), CPU);
      const saving = { outputDirectory: path('project/run'), saveStrategy: 'steps', saveSteps: 1 } as const;
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 2, ...saving }).train(tinySplit('train', 24, 3));
      await model.save(path('project/run'), { overwrite: true });
      expect(await recorded(path('project/run'))).to.equal('../base');
      expect(await recorded(path('project/run/checkpoint-1'))).to.equal('../../base');
      await rename(path('project'), path('moved'));
      await predict(path('moved/run/checkpoint-2'));
    });

    it('is beside the adapter where its weights are its own, and goes with it', async () => {
      await writeTinyCheckpoint(path('bare'), { pooler: false });
      const predicted = await train(path('bare'), path('out'));
      expect(await recorded(path('out'))).to.equal('./base');
      await rename(path('out'), path('elsewhere'));
      expect(await predict(path('elsewhere'))).to.deep.equal(predicted);
      await train(path('elsewhere'), path('more'));
      expect(await recorded(path('more'))).to.equal('../elsewhere/base');
    });

    it('is named for whoever moves the adapter alone, and never looked for in the working directory', async () => {
      const predicted = await train(path('project/base'), path('project/out'));
      await mkdir(path('far/away'), { recursive: true });
      await rename(path('project/out'), path('far/away/out'));
      // Another model is where the path would lead from here.
      await writeTinyCheckpoint(path('far/base'));
      process.chdir(path('far/away'));
      const error = await expectRefusal(
        TextClassifier.load('out', CPU),
        'NOT_FOUND',
        `there is no folder ${join(process.cwd(), 'base')}`,
        'say where it is with base: a folder',
      );
      expect(error.message).to.not.include('hub:');
      expect(await predict('out', { base: path('project/base') })).to.deep.equal(predicted);
    });
  });

  it('is bert-mini where it came with the package, however it was given', async () => {
    for (const [name, from] of Object.entries({
      named: 'bert-mini',
      pathed: relative(process.cwd(), embeddedModel()!),
    })) {
      await using model = await TextClassifier.load(from, { ...CPU, labels: LABELS });
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 8, 3));
      await model.save(path(name));
      expect(await recorded(path(name))).to.equal('bert-mini');
      const predicted = await model.predict(TEXTS);
      // A folder of that name is another model.
      process.chdir(path());
      await rename(path('project/base'), path('bert-mini'));
      expect(await predict(path(name))).to.deep.equal(predicted);
      await rename(path('bert-mini'), path('project/base'));
      process.chdir(before);
    }
  });

  describe('of an adapter that others saved, or 0.1.0', () => {
    const adapter = { rank: 2, alpha: 4, targets: ['query'], labels: LABELS, seed: 1 };
    const write = (base: string, at = 'out') => writeTinyAdapter(path(at), base, config, adapter);

    it('is looked for from the adapter, then from the working directory', async () => {
      await mkdir(path('models'));
      await rename(path('project/base'), path('models/base'));
      for (const named of [path('models/base'), '../models/base', 'models/base', './models/base']) {
        await write(named);
        process.chdir(path());
        await using model = await TextClassifier.load('out', CPU);
        expect(model.notes.join(), named).to.not.include('taken');
      }
      process.chdir(before);
      await expectRefusal(
        TextClassifier.load(path('out'), CPU),
        'NOT_FOUND',
        `there is no folder ${path('out/models/base')}`,
        `there is no folder ${join(before, 'models/base')}`,
      );
    });

    it('is the built-in model where it was named by the path of another installation', async () => {
      await using model = await TextClassifier.load('bert-mini', { ...CPU, labels: LABELS });
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 8, 3));
      await model.save(path('new'));
      const named = '/app/node_modules/bertune/assets/models/bert-mini';
      const { baseKind: _, ...old } = await readAdapter(path('new'));
      await writeAdapter(path('out'), { ...old, baseModel: named });
      await using again = await TextClassifier.load(path('out'), CPU);
      expect(await again.predict(TEXTS)).to.deep.equal(await model.predict(TEXTS));
      expect(again.notes.join()).to.include(`${named}, is not here; it is taken for the built-in bert-mini`);
    });

    it('is refused with what is in its place', async () => {
      await write('../other');
      await write(path('out'), 'other');
      await expectRefusal(
        TextClassifier.load(path('out'), CPU),
        'NOT_FOUND',
        `${path('other')} is an adapter, no checkpoint`,
      );
      await mkdir(path('empty'));
      await write('../empty');
      await expectRefusal(TextClassifier.load(path('out'), CPU), 'NOT_FOUND', `${path('empty')} holds no config.json`);
      await copyWith(path('out'), path('out'), 'adapter_config.json', (json) => {
        json.base_model_name_or_path = null;
      });
      await expectRefusal(TextClassifier.load(path('out'), CPU), 'NOT_FOUND', 'which names none', 'with base');
    });
  });
});
