import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { ModelConfig } from '../../lib/architectures/index.js';
import { readConfig } from '../../lib/formats/checkpoint/config.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { fromFloat32, type Tensor } from '../../lib/formats/tensor.js';
import {
  type Adapter,
  fitAdapter,
  isAdapter,
  type LoraAdapter,
  type PrefixAdapter,
  readAdapter,
  writeAdapter,
} from '../../lib/methods/adapter/files.js';
import { comparable, copyWith, expectRefusal, fixture, useTemporaryDirectory } from './files.js';
import { linearModules, loraTensors, targetModules } from './shapes.js';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const miniModel = fileURLToPath(new URL('../../assets/models/bert-mini', import.meta.url));
const checkpoints = (...parts: string[]) => fixture('checkpoints', ...parts);

/** Every adapter that PEFT saved, with the dimensions of its base. */
const STORED: { path: string; kind: 'lora' | 'prefix'; layers: number; hiddenSize: number }[] = [
  ...['lora', 'prefix'].flatMap((kind) =>
    ['init', 'final'].map((when) => ({ path: fixture('parity', `${kind}-${when}`), kind, layers: 4, hiddenSize: 256 })),
  ),
  ...['lora', 'prefix', 'prefix_noproj'].map((name) => ({
    path: fixture('goldens', `peft-small-${name}`),
    kind: name.replace('_noproj', ''),
    layers: 2,
    hiddenSize: 64,
  })),
  ...['lora', 'prefix'].map((kind) => ({
    path: fixture('goldens', `peft-head64-${kind}`),
    kind,
    layers: 1,
    hiddenSize: 128,
  })),
  ...['lora', 'lora-dense', 'lora-dense-layers', 'prefix', 'prefix-noproj'].map((name) => ({
    path: checkpoints(`adapter-${name}`),
    kind: name.replace(/-.*/, ''),
    layers: 2,
    hiddenSize: 32,
  })),
] as { path: string; kind: 'lora' | 'prefix'; layers: number; hiddenSize: number }[];

async function readLora(path: string): Promise<LoraAdapter> {
  const adapter = await readAdapter(path);
  if (adapter.kind !== 'lora') throw new Error(`expected a LoRA at ${path}`);
  return adapter;
}

async function readPrefix(path: string): Promise<PrefixAdapter> {
  const adapter = await readAdapter(path);
  if (adapter.kind !== 'prefix') throw new Error(`expected a prefix at ${path}`);
  return adapter;
}

/** An adapter as plain values that chai can compare. */
function plainValues(adapter: Adapter): object {
  const tensors = comparable(adapter.tensors);
  if (adapter.kind === 'lora') return { ...adapter, tensors };
  return { ...adapter, tensors, promptEmbeddings: comparable(new Map([['p', adapter.promptEmbeddings]])) };
}

describe('adapter', () => {
  const directory = useTemporaryDirectory();
  let base: ModelConfig;

  before(async () => {
    base = await readConfig(checkpoints('plain'));
  });

  const withConfig = (source: string, change: Record<string, unknown>) =>
    copyWith(source, directory.path('copy'), CONFIG, (value) => {
      for (const [key, entry] of Object.entries(change)) {
        if (entry === undefined) delete value[key];
        else value[key] = entry;
      }
    });

  async function withTensors(source: string, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
    const target = directory.path('copy');
    await cp(source, target, { recursive: true });
    const { tensors } = await readSafetensors(join(target, WEIGHTS));
    change(tensors);
    await writeSafetensors(join(target, WEIGHTS), tensors);
    return target;
  }

  describe('reading what PEFT saved', () => {
    for (const { path, kind, layers, hiddenSize } of STORED) {
      it(`takes ${path.split('/').slice(-2).join('/')}`, async () => {
        expect(await isAdapter(path)).to.equal(true);
        const adapter = await readAdapter(path);
        expect(adapter.kind).to.equal(kind);
        expect(adapter.labels).to.equal(null);
        expect(adapter.tensors.get('classifier.weight')!.shape[1]).to.equal(hiddenSize);
        const { raw, ...config } = base;
        fitAdapter(adapter, {
          ...config,
          raw,
          layers,
          hiddenSize,
          heads: adapter.kind === 'prefix' ? adapter.heads : 1,
          feedForwardSize: 2 * hiddenSize,
        });
      });
    }

    it('gives a LoRA canonical names', async () => {
      const adapter = await readLora(fixture('parity', 'lora-final'));
      expect(adapter).to.include({ rank: 8, alpha: 32, dropout: 0, baseModel: '/tmp/par/mini/checkpoint' });
      expect(adapter.targetModules).to.deep.equal(['query', 'value']);
      const config = { ...(await readConfig(fixture('parity', 'checkpoint'))) };
      const expected = loraTensors(config, targetModules(['query', 'value'], 4), 8);
      const shapes = new Map([...adapter.tensors].map(([name, { shape }]) => [name, shape]));
      for (const [name, shape] of expected) expect(shapes.get(name), name).to.deep.equal(shape);
      expect([...shapes.keys()].filter((name) => !expected.has(name))).to.deep.equal([
        'classifier.bias',
        'classifier.weight',
      ]);
    });

    it('gives a prefix its dimensions', async () => {
      const adapter = await readPrefix(checkpoints('adapter-prefix'));
      expect(adapter).to.include({ virtualTokens: 3, projection: true, layers: 2, heads: 1, hiddenSize: 32 });
      expect(adapter.promptEmbeddings.shape).to.deep.equal([3, 2 * 2 * 32]);
      expect([...adapter.tensors.keys()].sort()).to.deep.equal(['classifier.bias', 'classifier.weight']);
      expect((await readPrefix(checkpoints('adapter-prefix-noproj'))).projection).to.equal(false);
    });

    it('takes the pooler where the targets match it', async () => {
      const dense = await readLora(checkpoints('adapter-lora-dense'));
      expect(dense.tensors.has('bert.pooler.dense.lora_A.weight')).to.equal(true);
      expect(dense.tensors.size).to.equal(2 * 13 + 2);
      const layers = await readLora(checkpoints('adapter-lora-dense-layers'));
      expect(layers.tensors.has('bert.pooler.dense.lora_A.weight')).to.equal(false);
      expect(layers.tensors.size).to.equal(2 * 12 + 2);
    });

    it('takes an adapter without a head', async () => {
      for (const name of ['adapter-lora', 'adapter-prefix']) {
        const target = await withTensors(checkpoints(name), (tensors) => {
          for (const key of [...tensors.keys()]) if (key.includes('classifier')) tensors.delete(key);
        });
        const adapter = await readAdapter(target);
        expect([...adapter.tensors.keys()].join()).not.to.include('classifier');
        fitAdapter(adapter, base);
      }
    });

    it('takes an adapter of a model without the prefix of names, and names as they are in memory', async () => {
      const expected = comparable((await readAdapter(checkpoints('adapter-lora'))).tensors);
      const rename = (from: RegExp | string, to: string) =>
        withTensors(checkpoints('adapter-lora'), (tensors) => {
          for (const [name, tensor] of [...tensors]) {
            tensors.delete(name);
            tensors.set(name.replace(from, to), tensor);
          }
        });
      for (const target of [
        await rename('.bert.', '.'),
        await rename(/\.weight$/, '.default.weight'),
        await rename('classifier.', 'classifier.modules_to_save.default.'),
      ]) {
        expect(comparable((await readAdapter(target)).tensors)).to.deep.equal(expected);
      }
    });

    it('takes what PEFT adds of a head of two layers where biases are saved', async () => {
      const source = fixture('families', 'lora', 'roberta');
      const expected = comparable((await readAdapter(source)).tensors);
      const target = await withTensors(source, (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          const [before, after] = name.split('classifier.');
          if (after === undefined || !name.endsWith('.bias')) continue;
          tensors.set(`${before}classifier.modules_to_save.default.${after}`, tensor);
          tensors.set(`${before}classifier.original_module.${after}`, { ...tensor, shape: [...tensor.shape] });
        }
      });
      expect(comparable((await readAdapter(target)).tensors)).to.deep.equal(expected);
    });
  });

  describe('target_modules as one string', () => {
    const read = async (source: string, target: string) =>
      (await readLora(await withConfig(checkpoints(source), { target_modules: target }))).targetModules;

    it('may be a regular expression over full names', async () => {
      const names = await read('adapter-lora', '.*attention\\.self\\.(query|value)');
      expect(names).to.have.members(linearModules(2).filter((name) => /query|value/.test(name)));
    });

    it('may be all-linear', async () => {
      expect(await read('adapter-lora-dense', 'all-linear')).to.have.members(linearModules(2));
    });

    it('may be a name', async () => {
      const target = await withTensors(checkpoints('adapter-lora'), (tensors) => {
        for (const name of [...tensors.keys()]) if (name.includes('.value.')) tensors.delete(name);
      });
      expect((await readLora(await withConfig(target, { target_modules: 'query' }))).targetModules).to.have.length(2);
    });

    it('must match every module that is there, from end to end', async () => {
      for (const pattern of ['.*query', 'query|value', 'attention.self', '.*query|.*key']) {
        await expectRefusal(read('adapter-lora', pattern), 'CHECKPOINT_INVALID', 'lora_');
      }
    });

    it('must be one that JavaScript reads as Python does', async () => {
      for (const pattern of ['\\A.*\\Z', '(', '(?i).*QUERY']) {
        await expectRefusal(read('adapter-lora', pattern), 'CHECKPOINT_INVALID', 'target_modules');
      }
    });

    it('may not take forever', async () => {
      const start = Date.now();
      await expectRefusal(
        read('adapter-lora', '(([a-z0-9._]+)+)+!'),
        'CHECKPOINT_INVALID',
        'target_modules',
        'timed out',
      );
      expect(Date.now() - start).to.be.below(10_000);
    });
  });

  describe('settings', () => {
    const refusedForLora: Record<string, unknown> = {
      use_qalora: true,
      use_bdlora: { match: ['a'] },
      lora_bias: true,
      fan_in_fan_out: true,
      layer_replication: [[0, 1]],
      target_parameters: ['x'],
      trainable_token_indices: [1],
      modules_to_save: ['classifier', 'pooler'],
      init_lora_weights: 'pissa',
      loftq_config: { loftq_bits: 4 },
      alora_invocation_tokens: [1],
      arrow_config: { top_k: 3 },
      task_type: 'CAUSAL_LM',
      something_new: 1,
      something_counted: 0,
    };
    for (const [key, value] of Object.entries(refusedForLora)) {
      it(`refuses ${key} = ${JSON.stringify(value)}`, async () => {
        const target = await withConfig(checkpoints('adapter-lora'), { [key]: value });
        await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', `${key} = ${JSON.stringify(value)}`, CONFIG);
      });
    }

    it('reads use_dora with its magnitudes, and refuses one without the other', async () => {
      const plain = await withConfig(checkpoints('adapter-lora'), { use_dora: true });
      await expectRefusal(readAdapter(plain), 'CHECKPOINT_INVALID', 'lora_magnitude_vector', WEIGHTS);
      const dora = fixture('lora-variants', 'dora');
      expect(await readAdapter(dora)).to.include({ kind: 'lora', dora: true });
      const off = await withConfig(dora, { use_dora: false });
      await expectRefusal(readAdapter(off), 'CHECKPOINT_INVALID', 'lora_magnitude_vector', WEIGHTS);
    });

    it('passes over unknown ones that are off, and those without influence', async () => {
      const expected = plainValues(await readAdapter(checkpoints('adapter-lora')));
      const target = await withConfig(checkpoints('adapter-lora'), {
        new_null: null,
        new_false: false,
        new_list: [],
        new_object: {},
        new_text: '',
        peft_version: '9.9',
        init_lora_weights: 'gaussian',
        inference_mode: false,
        auto_mapping: { base_model_class: 'BertForSequenceClassification' },
        qalora_group_size: 32,
        runtime_config: { ephemeral_gpu_offload: false },
        task_type: null,
        modules_to_save: null,
      });
      expect(plainValues(await readAdapter(target))).to.deep.equal(expected);
    });

    it('takes files of older versions, which have fewer', async () => {
      const target = await withConfig(checkpoints('adapter-lora'), { lora_dropout: undefined });
      const path = join(target, CONFIG);
      const all = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
      const old = ['base_model_name_or_path', 'peft_type', 'r', 'lora_alpha', 'target_modules', 'task_type', 'bias'];
      await writeFile(path, JSON.stringify(Object.fromEntries(old.map((key) => [key, all[key]]))));
      expect(await readLora(target)).to.include({ rank: 4, alpha: 16, dropout: 0 });
    });

    it('refuses values that make no sense', async () => {
      const lora: [string, unknown][] = [
        ['r', 0],
        ['r', '8'],
        ['r', undefined],
        ['lora_alpha', 'x'],
        ['lora_alpha', undefined],
        ['lora_dropout', 1],
        ['lora_dropout', -0.1],
        ['target_modules', null],
        ['target_modules', []],
        ['target_modules', [1]],
        ['base_model_name_or_path', 5],
        ['peft_type', 'IA3'],
        ['peft_type', undefined],
      ];
      for (const [key, value] of lora) {
        const target = await withConfig(checkpoints('adapter-lora'), { [key]: value });
        await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', `for ${key} in`, CONFIG);
      }
      const prefix: [string, unknown][] = [
        ['num_virtual_tokens', 0],
        ['num_layers', 1.5],
        ['num_attention_heads', null],
        ['token_dim', undefined],
        ['prefix_projection', 'yes'],
      ];
      for (const [key, value] of prefix) {
        const target = await withConfig(checkpoints('adapter-prefix'), { [key]: value });
        await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', `for ${key} in`, CONFIG);
      }
      const two = await withConfig(checkpoints('adapter-prefix'), { num_transformer_submodules: 2 });
      await expectRefusal(readAdapter(two), 'CHECKPOINT_INVALID', 'num_transformer_submodules = 2');
    });
  });

  describe('is refused', () => {
    const query = 'base_model.model.bert.encoder.layer.1.attention.self.query';

    it('where it is missing or a pickle', async () => {
      await expectRefusal(readAdapter(directory.path('none')), 'NOT_FOUND', CONFIG);
      expect(await isAdapter(directory.path('none'))).to.equal(false);
      expect(await isAdapter(checkpoints('plain'))).to.equal(false);
      await cp(checkpoints('adapter-lora'), directory.path('copy'), { recursive: true });
      await rename(directory.path('copy', WEIGHTS), directory.path('copy', 'adapter_model.bin'));
      await expectRefusal(readAdapter(directory.path('copy')), 'CHECKPOINT_INVALID', 'adapter_model.bin', 'Convert it');
      await rm(directory.path('copy', 'adapter_model.bin'));
      await expectRefusal(readAdapter(directory.path('copy')), 'NOT_FOUND', WEIGHTS);
    });

    it('for a factor without the other, or of another rank', async () => {
      const half = await withTensors(checkpoints('adapter-lora'), (tensors) =>
        tensors.delete(`${query}.lora_B.weight`),
      );
      await expectRefusal(
        readAdapter(half),
        'CHECKPOINT_INVALID',
        'Expected tensor bert.encoder.layer.1.attention.self.query.lora_B.weight',
      );
      const rank = await withConfig(checkpoints('adapter-lora'), { r: 3 });
      await expectRefusal(readAdapter(rank), 'SHAPE_MISMATCH', 'Expected the shape', '3', 'found', '4');
    });

    it('for a head that is incomplete or of another shape', async () => {
      for (const [name, prefix] of [
        ['adapter-lora', 'base_model.model.'],
        ['adapter-prefix', 'base_model.'],
      ]) {
        const half = await withTensors(checkpoints(name!), (tensors) => tensors.delete(`${prefix}classifier.bias`));
        await expectRefusal(
          readAdapter(half),
          'CHECKPOINT_INVALID',
          'Expected classifier.bias beside classifier.weight',
        );
        const other = await withTensors(checkpoints(name!), (tensors) => {
          tensors.set(`${prefix}classifier.bias`, fromFloat32(new Float32Array(4), [4]));
        });
        await expectRefusal(
          readAdapter(other),
          'SHAPE_MISMATCH',
          'Expected the shape [3] for tensor classifier.bias',
          '[4]',
        );
      }
    });

    it('for tensors that it does not know', async () => {
      const one = fromFloat32(new Float32Array(1), [1]);
      const names = [
        `${query}.lora_magnitude_vector`,
        `${query}.lora_B.bias`,
        'base_model.model.score.weight',
        'other',
      ];
      for (const name of names) {
        const target = await withTensors(checkpoints('adapter-lora'), (tensors) => tensors.set(name, one));
        await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', name);
      }
      const target = await withTensors(checkpoints('adapter-prefix'), (tensors) => tensors.set('other', one));
      await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', 'other');
      const outside = await withConfig(checkpoints('adapter-lora'), { target_modules: ['query'] });
      await expectRefusal(readAdapter(outside), 'CHECKPOINT_INVALID', 'target_modules (query)', 'value.lora_');
    });

    it('where nothing was adapted', async () => {
      const target = await withTensors(checkpoints('adapter-lora'), (tensors) => {
        for (const name of [...tensors.keys()]) if (name.includes('lora')) tensors.delete(name);
      });
      await expectRefusal(readAdapter(target), 'CHECKPOINT_INVALID', 'lora_A and lora_B');
      const empty = await withTensors(checkpoints('adapter-prefix'), (tensors) => tensors.delete('prompt_embeddings'));
      await expectRefusal(readAdapter(empty), 'CHECKPOINT_INVALID', 'prompt_embeddings');
    });

    it('for a prefix whose numbers do not fit its settings', async () => {
      for (const change of [{ num_virtual_tokens: 4 }, { num_layers: 3 }, { token_dim: 16 }]) {
        const target = await withConfig(checkpoints('adapter-prefix'), change);
        await expectRefusal(readAdapter(target), 'SHAPE_MISMATCH', 'prompt_embeddings', 'found [3, 128]');
      }
    });
  });

  describe('on a base model', () => {
    it('is refused where the dimensions differ', async () => {
      const lora = await readAdapter(checkpoints('adapter-lora-dense'));
      fitAdapter(lora, base);
      const check = (adapter: Adapter, change: Partial<ModelConfig>) => () =>
        fitAdapter(adapter, { ...base, ...change });
      await expectRefusal(
        check(lora, { hiddenSize: 64 }),
        'SHAPE_MISMATCH',
        'Expected the shape [2, 64] for tensor bert.encoder.layer.0.attention.self.query.lora_A.weight',
        'found [2, 32]',
      );
      await expectRefusal(check(lora, { feedForwardSize: 65 }), 'SHAPE_MISMATCH', 'intermediate.dense.lora_B.weight');
      await expectRefusal(check(lora, { layers: 1 }), 'CHECKPOINT_INVALID', 'bert.encoder.layer.1.');
      await expectRefusal(
        check(lora, { layers: 3 }),
        'CHECKPOINT_INVALID',
        'bert.encoder.layer.2.attention.self.query.lora_A',
      );

      const prefix = await readAdapter(checkpoints('adapter-prefix'));
      fitAdapter(prefix, base);
      await expectRefusal(check(prefix, { layers: 3 }), 'SHAPE_MISMATCH', '3 layers', 'for 2');
      await expectRefusal(check(prefix, { heads: 2 }), 'SHAPE_MISMATCH', '2 heads', 'for 1');
      await expectRefusal(check(prefix, { hiddenSize: 64 }), 'SHAPE_MISMATCH', '64 hiddenSize', 'for 32');
      await expectRefusal(check(prefix, { maxTokens: 4 }), 'SHAPE_MISMATCH', 'at most 2 virtual tokens');
    });

    it('is refused where its head is not the whole head of the architecture', async () => {
      const prefix = await readPrefix(checkpoints('adapter-prefix'));
      fitAdapter(prefix, base);
      for (const [modelType, lost] of [
        ['distilbert', 'pre_classifier.weight'],
        ['roberta', 'classifier.out_proj.weight'],
      ] as const) {
        const check = () => fitAdapter(prefix, { ...base, modelType });
        await expectRefusal(check, 'CHECKPOINT_INVALID', `Expected ${lost} beside classifier.`);
      }
      const lora = await readLora(fixture('families', 'lora', 'distilbert'));
      const config = await readConfig(fixture('families', 'bases', 'distilbert'));
      fitAdapter(lora, config);
      for (const part of ['weight', 'bias']) lora.tensors.delete(`pre_classifier.${part}`);
      const check = () => fitAdapter(lora, config);
      await expectRefusal(check, 'CHECKPOINT_INVALID', 'Expected pre_classifier.weight beside classifier.');
      prefix.tensors.set('pre_classifier.weight', prefix.tensors.get('classifier.weight')!);
      await expectRefusal(() => fitAdapter(prefix, base), 'CHECKPOINT_INVALID', 'found pre_classifier.weight');
    });
  });

  describe('writing', () => {
    for (const { path } of STORED) {
      it(`gives back ${path.split('/').slice(-2).join('/')} byte for byte`, async () => {
        const adapter = await readAdapter(path);
        await writeAdapter(directory.path('out'), adapter);
        expect(plainValues(await readAdapter(directory.path('out')))).to.deep.equal(plainValues(adapter));
        const written = await readFile(directory.path('out', WEIGHTS));
        expect(written.equals(await readFile(join(path, WEIGHTS)))).to.equal(true);
        expect((await readdir(directory.path('out'))).sort()).to.deep.equal([CONFIG, WEIGHTS]);
      });
    }

    it('gives a LoRA the settings that every PEFT version takes, with the values PEFT gives them', async () => {
      for (const name of ['adapter-lora', 'adapter-lora-dense']) {
        await writeAdapter(directory.path('out'), await readAdapter(checkpoints(name)));
        const text = await readFile(directory.path('out', CONFIG), 'utf8');
        const written = JSON.parse(text) as Record<string, unknown>;
        const theirs = JSON.parse(await readFile(checkpoints(name, CONFIG), 'utf8')) as Record<string, unknown>;
        const keys = [
          'auto_mapping',
          'base_model_name_or_path',
          'bias',
          'fan_in_fan_out',
          'inference_mode',
          'init_lora_weights',
          'layers_pattern',
          'layers_to_transform',
          'lora_alpha',
          'lora_dropout',
          'modules_to_save',
          'peft_type',
          'r',
          'revision',
          'target_modules',
          'task_type',
        ];
        expect(Object.keys(written)).to.deep.equal(keys);
        for (const key of keys) expect(written[key], key).to.deep.equal(theirs[key]);
        expect(text).to.match(/"lora_dropout": \d+\.\d+,/);
        expect(text).to.match(/"lora_alpha": \d+,/);
      }
    });

    it('gives a prefix the settings that every PEFT version takes, with the values PEFT gives them', async () => {
      await writeAdapter(directory.path('out'), await readAdapter(checkpoints('adapter-prefix')));
      const written = JSON.parse(await readFile(directory.path('out', CONFIG), 'utf8')) as Record<string, unknown>;
      const theirs = JSON.parse(await readFile(checkpoints('adapter-prefix', CONFIG), 'utf8')) as Record<
        string,
        unknown
      >;
      const keys = [
        'auto_mapping',
        'base_model_name_or_path',
        'encoder_hidden_size',
        'inference_mode',
        'num_attention_heads',
        'num_layers',
        'num_transformer_submodules',
        'num_virtual_tokens',
        'peft_type',
        'prefix_projection',
        'revision',
        'task_type',
        'token_dim',
      ];
      expect(Object.keys(written)).to.deep.equal(keys);
      for (const key of keys) expect(written[key], key).to.deep.equal(theirs[key]);
    });

    it('keeps the names of the classes where PEFT passes over them', async () => {
      const labels = ['nö', '"maybe"', '__proto__'];
      for (const name of ['adapter-lora', 'adapter-prefix']) {
        await writeAdapter(directory.path(name), { ...(await readAdapter(checkpoints(name))), labels });
        expect((await readAdapter(directory.path(name))).labels).to.deep.equal(labels);
        const { metadata } = await readSafetensors(directory.path(name, WEIGHTS));
        expect(metadata.format).to.equal('pt');
      }
      const path = directory.path('adapter-lora', WEIGHTS);
      const { tensors } = await readSafetensors(path);
      for (const text of ['["a","b"]', '["a","a","b"]', '[1,2,3]', 'no']) {
        await writeSafetensors(path, tensors, { format: 'pt', 'bertune.labels': text });
        await expectRefusal(
          readAdapter(directory.path('adapter-lora')),
          'CHECKPOINT_INVALID',
          '3 distinct names',
          text,
        );
      }
    });

    it('copies the tokenizer where asked to', async () => {
      const adapter = await readAdapter(checkpoints('adapter-lora'));
      await writeAdapter(directory.path('out'), adapter, { tokenizerFrom: miniModel });
      const names = [CONFIG, WEIGHTS, 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt'];
      expect((await readdir(directory.path('out'))).sort()).to.deep.equal(names);
    });

    it('says all-linear in names that older versions understand in the same way', async () => {
      const adapter = await readLora(checkpoints('adapter-lora-dense'));
      await writeAdapter(directory.path('out'), { ...adapter, targetModules: ['all-linear'] });
      const found = await readLora(directory.path('out'));
      expect(found.targetModules).to.deep.equal(['dense', 'key', 'query', 'value']);
      fitAdapter(found, base);
    });

    it('always has a head, without which PEFT does not load it', async () => {
      for (const name of ['adapter-lora', 'adapter-prefix']) {
        const adapter = await readAdapter(checkpoints(name));
        adapter.tensors.delete('classifier.weight');
        await expectRefusal(writeAdapter(directory.path('out'), adapter), 'CHECKPOINT_INVALID', 'classifier.weight');
        adapter.tensors.delete('classifier.bias');
        await expectRefusal(writeAdapter(directory.path('out'), adapter), 'INVALID_OPTION', 'bias of the classifier');
      }
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('refuses what contradicts itself, and leaves nothing behind', async () => {
      const lora = await readLora(checkpoints('adapter-lora'));
      const prefix = await readPrefix(checkpoints('adapter-prefix'));
      const write = (adapter: object) => writeAdapter(directory.path('out'), adapter as Adapter);
      await expectRefusal(write({ ...lora, rank: 0 }), 'INVALID_OPTION', 'a positive integer for rank but received 0');
      await expectRefusal(write({ ...lora, rank: 5 }), 'SHAPE_MISMATCH', 'lora_A.weight');
      await expectRefusal(write({ ...lora, alpha: Number.NaN }), 'INVALID_OPTION', 'alpha');
      await expectRefusal(write({ ...lora, dropout: 1 }), 'INVALID_OPTION', 'dropout');
      await expectRefusal(write({ ...lora, targetModules: [] }), 'INVALID_OPTION', 'targetModules');
      await expectRefusal(write({ ...lora, targetModules: ['key'] }), 'CHECKPOINT_INVALID', 'target_modules (key)');
      await expectRefusal(write({ ...lora, tensors: new Map() }), 'CHECKPOINT_INVALID', 'lora_A');
      await expectRefusal(write({ ...lora, labels: ['a', 'a', 'b'] }), 'INVALID_OPTION', 'labels');
      await expectRefusal(write({ ...lora, labels: ['a', 'b'] }), 'INVALID_OPTION', 'Expected 3 names', 'labels');
      await expectRefusal(write({ ...lora, kind: 'ia3' }), 'INVALID_OPTION', 'kind');
      await expectRefusal(write({ ...prefix, virtualTokens: 4 }), 'SHAPE_MISMATCH', 'prompt_embeddings');
      await expectRefusal(write({ ...prefix, layers: 0 }), 'INVALID_OPTION', 'layers');
      await expectRefusal(
        writeAdapter(directory.path('out'), lora, { tokenizerFrom: directory.path('none') }),
        'NOT_FOUND',
        'tokenizer.json',
      );
      await mkdir(directory.path('in'));
      await mkdir(directory.path('in', CONFIG));
      await expectRefusal(writeAdapter(directory.path('in'), lora), 'OUTPUT_REFUSED', CONFIG);
      expect(await readdir(directory.path())).to.deep.equal(['in']);
      expect(await readdir(directory.path('in'))).to.deep.equal([CONFIG]);
    });
  });

  describe('resolveTargets', () => {
    const layer = (index: number, ...names: string[]) => names.map((name) => `bert.encoder.layer.${index}.${name}`);

    it('matches the last parts of full names, in the order of the model', () => {
      expect(targetModules(['value', 'query'], 2)).to.deep.equal([
        ...layer(0, 'attention.self.query', 'attention.self.value'),
        ...layer(1, 'attention.self.query', 'attention.self.value'),
      ]);
      expect(targetModules(['output.dense'], 1)).to.deep.equal(layer(0, 'attention.output.dense', 'output.dense'));
      expect(targetModules(['attention.output.dense'], 1)).to.deep.equal(layer(0, 'attention.output.dense'));
      expect(targetModules(['dense'], 1)).to.deep.equal([
        ...layer(0, 'attention.output.dense', 'intermediate.dense', 'output.dense'),
        'bert.pooler.dense',
      ]);
      expect(targetModules(['pooler.dense', 'bert.encoder.layer.1.attention.self.key'], 2)).to.deep.equal([
        ...layer(1, 'attention.self.key'),
        'bert.pooler.dense',
      ]);
      expect(targetModules(['query', 'attention.self.query', 'query'], 1)).to.have.length(1);
    });

    it('matches every one for all-linear, as PEFT does for a classifier', async () => {
      expect(targetModules(['all-linear'], 12)).to.have.length(6 * 12 + 1);
      const stored = await readLora(checkpoints('adapter-lora-dense'));
      const modules = [...stored.tensors.keys()].flatMap((name) => /^(.*)\.lora_A\.weight$/.exec(name)?.[1] ?? []);
      expect(modules).to.have.members(targetModules(['all-linear'], 2));
    });

    it('refuses what matches nothing, listing the modules', async () => {
      for (const target of ['quary', 'ery', 'classifier', 'LayerNorm', 'word_embeddings', '', 'self', '.query']) {
        await expectRefusal(
          () => targetModules(['query', target], 2),
          'INVALID_OPTION',
          `"${target}"`,
          'attention.self.query, attention.self.key, attention.self.value, attention.output.dense, intermediate.dense, ' +
            'output.dense, pooler.dense, or all-linear',
        );
      }
      await expectRefusal(() => targetModules(['quary'], 2), 'INVALID_OPTION', 'did you mean query?');
      await expectRefusal(() => targetModules(['bert.encoder.layer.2.output.dense'], 2), 'INVALID_OPTION');
      for (const targets of [[], 'query', [1], null] as unknown as string[][]) {
        await expectRefusal(() => targetModules(targets, 2), 'INVALID_OPTION', 'targets');
      }
    });
  });
});
