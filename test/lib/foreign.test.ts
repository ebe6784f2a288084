import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { SUPPORTED_TYPES } from '../../lib/architectures/index.js';
import { alternativeTo } from '../../lib/formats/checkpoint/foreign.js';
import { TextClassifier } from '../../lib/index.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { writeTinyAdapter } from './tiny-adapters.js';
import { LABELS, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 1 } as const;

describe('a folder that is no model that can be loaded', () => {
  const directory = useTemporaryDirectory();
  const { path } = directory;

  /** Files of a folder, with a config.json where `config` is. */
  async function write(names: readonly string[]): Promise<string> {
    for (const name of names) {
      await mkdir(dirname(path('model', name)), { recursive: true });
      await writeFile(path('model', name), name === 'config.json' ? '{"model_type":"bert"}' : 'x');
    }
    return path('model');
  }

  for (const [names, ...words] of [
    [['pytorch_model.bin'], 'pytorch_model.bin, which may be a pickle', 'save_pretrained'],
    [['tf_model.h5'], 'tf_model.h5, weights for TensorFlow', 'from_tf=True'],
    [['flax_model.msgpack'], 'flax_model.msgpack, weights for Flax', 'from_flax=True'],
    [['onnx/model.onnx', 'onnx/model_quantized.onnx'], 'onnx/model.onnx, onnx/model_quantized.onnx, a model for ONNX'],
    [['model.onnx'], 'model.onnx, a model for ONNX, which cannot be trained. Take the model that it was made from'],
    [['openvino_model.xml', 'openvino_model.bin'], 'a model for OpenVINO'],
    [['model.Q4_K_M.gguf'], 'a model for llama.cpp'],
    [['bert_model.ckpt.index', 'bert_model.ckpt.meta'], "Google's original checkpoint"],
    [['pytorch_model.bin', 'tf_model.h5', 'model.onnx'], 'pytorch_model.bin, which may be a pickle'],
    [['weights.safetensors'], 'weights.safetensors. Rename it'],
  ] as const) {
    it(`says what ${names.join(' and ')} are, with a config.json and without`, async () => {
      for (const config of [[], ['config.json']]) {
        const folder = await write([...names, ...config]);
        await expectRefusal(TextClassifier.load(folder, CPU), 'CHECKPOINT_INVALID', folder, ...words);
      }
    });
  }

  it('says what else is there instead of a config.json', async () => {
    await mkdir(path('model'));
    await expectRefusal(TextClassifier.load(path('model'), CPU), 'NOT_FOUND', 'the folder is empty');
    await write(['notes.txt']);
    await expectRefusal(TextClassifier.load(path('model'), CPU), 'NOT_FOUND', 'no config.json among notes.txt');
    await write(['train.csv']);
    await expectRefusal(TextClassifier.load(path('model'), CPU), 'NOT_FOUND', 'it holds data (train.csv)', '--data');
    await write(['model.safetensors']);
    await expectRefusal(TextClassifier.load(path('model'), CPU), 'NOT_FOUND', 'beside model.safetensors. Copy it');
    await write(['checkpoint-500/config.json']);
    await expectRefusal(TextClassifier.load(path('model'), CPU), 'NOT_FOUND', 'Name one of them: checkpoint-500');
    const file = path('model/model.safetensors');
    await expectRefusal(TextClassifier.load(file, CPU), 'NOT_FOUND', 'found a file; name the directory');
  });

  it('names what to take in place of a model of another kind', async () => {
    await writeTinyCheckpoint(path('tiny'));
    for (const [type, word] of [
      ['deberta-v2', 'google-bert/bert-base-uncased'],
      ['flaubert', 'FacebookAI/xlm-roberta-base'],
      ['llama', 'it writes text'],
      ['of-tomorrow', 'FacebookAI/xlm-roberta-base'],
    ] as const) {
      if (SUPPORTED_TYPES.includes(type)) continue;
      await copyWith(path('tiny'), path('tiny'), 'config.json', (json) => {
        json.model_type = type;
      });
      const load = TextClassifier.load(path('tiny'), CPU);
      await expectRefusal(load, 'CHECKPOINT_INVALID', `found "${type}"`, 'not supported', word);
    }
    expect(alternativeTo('__proto__')).to.include('google-bert/bert-base-uncased');
  });

  it('tells a checkpoint given as an adapter from an adapter given as a base', async () => {
    const config = await writeTinyCheckpoint(path('base'));
    await cp(path('base'), path('other'), { recursive: true });
    const adapter = { rank: 2, alpha: 4, targets: ['query'], labels: LABELS, seed: 1 };
    await writeTinyAdapter(path('adapter'), '../base', config, adapter);
    const load = (source: string, options: object) => TextClassifier.load(path(source), { ...CPU, ...options });
    const isCheckpoint = 'it is a checkpoint: give it as the model, not as an adapter';
    await expectRefusal(load('base', { adapter: path('other') }), 'NOT_FOUND', path('other'), isCheckpoint);
    await expectRefusal(
      load('adapter', { base: path('adapter') }),
      'NOT_FOUND',
      'it is an adapter. Give it as the model',
    );
    await expectRefusal(load('base', { base: path('other') }), 'INVALID_OPTION', 'is not an adapter; leave it out');
    await expectRefusal(load('base', { base: path('adapter') }), 'INVALID_OPTION', 'and this as its base');
    await expectRefusal(load('adapter', { adapter: path('adapter') }), 'INVALID_OPTION', 'is an adapter itself');
    await using model = await load('base', {});
    await expectRefusal(model.loadAdapter('name', path('other')), 'NOT_FOUND', isCheckpoint);
  });
});
