import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { parseConfig, readConfig } from '../../lib/formats/checkpoint/config.js';
import { arrangeHead, type Head, outputName } from '../../lib/formats/checkpoint/head.js';
import { type CheckpointContent, isCheckpoint, readCheckpoint, writeCheckpoint } from '../../lib/formats/checkpoint.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { fromFloat32, type Tensor, toFloat32 } from '../../lib/formats/tensor.js';
import { areNumbers } from '../../lib/tasks/labels.js';
import { comparable, copyWith, expectRefusal, fixture, useTemporaryDirectory } from './files.js';
import {
  encoderTensors,
  expectedTensors,
  headTensors,
  linearModules,
  loraTensors,
  prefixTensors,
  type ShapeTable,
} from './shapes.js';

const LABELS = ['no', 'maybe', 'yes'];
const CLASSIFIER = ['classifier.weight', 'classifier.bias'];
const checkpoints = (...parts: string[]) => fixture('checkpoints', ...parts);
const plain = checkpoints('plain');
const miniModel = fileURLToPath(new URL('../../assets/models/bert-mini', import.meta.url));

function count(table: ShapeTable): number {
  let total = 0;
  for (const shape of table.values()) total += shape.reduce((product, extent) => product * extent, 1);
  return total;
}

function zeros(table: ShapeTable): Map<string, Tensor> {
  return new Map(
    [...table].map(([name, shape]) => [name, fromFloat32(new Float32Array(shape.reduce((a, b) => a * b)), shape)]),
  );
}

describe('checkpoint', () => {
  const directory = useTemporaryDirectory();

  /** A copy of `plain` whose tensors were changed. */
  async function changed(change: (tensors: Map<string, Tensor>) => void, source = plain): Promise<string> {
    const target = directory.path('changed');
    await cp(source, target, { recursive: true });
    const { tensors } = await readSafetensors(join(target, 'model.safetensors'));
    change(tensors);
    await writeSafetensors(join(target, 'model.safetensors'), tensors);
    return target;
  }

  describe('shapes', () => {
    const base = () => readConfig(fixture('bert-base-uncased'));

    it('are 201 tensors for BERT-base', async () => {
      const table = expectedTensors(await base());
      expect(table.size).to.equal(201);
      expect(encoderTensors(await base()).size).to.equal(199);
      expect(table.get('bert.encoder.layer.11.intermediate.dense.weight')).to.deep.equal([3072, 768]);
      expect(table.get('bert.encoder.layer.11.output.dense.weight')).to.deep.equal([768, 3072]);
      expect(table.get('bert.encoder.layer.11.attention.output.dense.weight')).to.deep.equal([768, 768]);
      expect(table.get('classifier.weight')).to.deep.equal([2, 768]);
    });

    it('are the tensors that transformers saves, by name and shape', async () => {
      const config = await readConfig(plain);
      const { tensors } = await readSafetensors(join(plain, 'model.safetensors'));
      const stored = [...tensors].map(([name, { shape }]) => [name, shape]).sort();
      expect([...expectedTensors(config)].sort()).to.deep.equal(stored);
    });

    it('count the parameters of every method at the dimensions of BERT-base', async () => {
      const counts = JSON.parse(await readFile(fixture('counts.json'), 'utf8')) as Record<
        string,
        { trainable: number; total: number }
      >;
      const config = await base();
      const head = count(headTensors(config, 'classifier', 6));
      const lora = (rank: number, targets: RegExp) =>
        count(
          loraTensors(
            config,
            linearModules(12).filter((name) => targets.test(name)),
            rank,
          ),
        ) + head;
      expect(count(expectedTensors(config, 'classifier', 6))).to.equal(counts.full!.trainable);
      expect(count(headTensors(config, 'probe', 6))).to.equal(counts.linear!.trainable);
      expect(count(expectedTensors(config, 'probe', 6))).to.equal(counts.linear!.total);
      expect(count(prefixTensors(config, 20, true)) + head).to.equal(counts.prefix20!.trainable);
      expect(count(prefixTensors(config, 20, true))).to.equal(counts.prefix20_frozen_head!.trainable);
      expect(count(prefixTensors(config, 20, false)) + head).to.equal(counts.prefix20_noproj!.trainable);
      for (const rank of [4, 8, 16, 32]) {
        expect(lora(rank, /query|value/)).to.equal(counts[`lora${rank}`]!.trainable);
      }
      expect(lora(8, /layer/)).to.equal(counts.lora8_dense_layers!.trainable);
    });

    it('are those of the stored reference runs for every method', async () => {
      const stored = async (name: string) => {
        const { tensors, metadata } = await readSafetensors(fixture('goldens', `${name}.safetensors`));
        const config = parseConfig({ model_type: 'bert', ...(JSON.parse(metadata.config!) as object) });
        const shapes = [...tensors]
          .filter(([key]) => key.startsWith('final/'))
          .map(([key, { shape }]): [string, number[]] => [
            key.replace(/^final\/(base_model\.(model\.)?)?/, '').replace(/\.(modules_to_save\.)?default/, ''),
            shape,
          ]);
        return { config, shapes: new Map(shapes) };
      };
      for (const size of ['small', 'head64']) {
        const { config, shapes } = await stored(`${size}-full`);
        expect([...shapes].sort()).to.deep.equal([...expectedTensors(config, 'classifier', 6)].sort());
        const head = headTensors(config, 'classifier', 6);
        const modules = linearModules(config.layers).filter((name) => /query|value/.test(name));
        const lora = (await stored(`${size}-lora`)).shapes;
        expect([...lora].sort()).to.deep.equal([...loraTensors(config, modules, 4), ...head].sort());
        const prefix = (await stored(`${size}-prefix`)).shapes;
        expect([...prefix].sort()).to.deep.equal([...prefixTensors(config, 5, true), ...head].sort());
      }
      const linear = await stored('small-linear');
      expect([...linear.shapes].sort()).to.deep.equal([...headTensors(linear.config, 'probe', 6)].sort());
      const flat = await stored('small-prefix_noproj');
      const expected = [...prefixTensors(flat.config, 5, false), ...headTensors(flat.config, 'classifier', 6)];
      expect([...flat.shapes].sort()).to.deep.equal(expected.sort());
    });
  });

  describe('reading', () => {
    it('takes every form that transformers saves', async () => {
      const expected = comparable((await readCheckpoint(plain)).tensors);
      for (const name of ['plain', 'sharded', 'old-names']) {
        const { config, tensors, head, missing } = await readCheckpoint(checkpoints(name));
        expect(comparable(tensors), name).to.deep.equal(expected);
        expect(config.labels).to.deep.equal(LABELS);
        expect(head).to.equal('classifier');
        expect(missing).to.deep.equal([]);
      }
    });

    it('keeps half precision as it is', async () => {
      for (const [name, dtype] of [
        ['f16', 'F16'],
        ['bf16', 'BF16'],
      ] as const) {
        const { tensors } = await readCheckpoint(checkpoints(name));
        expect(tensors.size).to.equal(41);
        for (const tensor of tensors.values()) expect(tensor.dtype).to.equal(dtype);
      }
    });

    it('takes a model without a classifier, with or without the prefix of names', async () => {
      for (const name of ['no-classifier', 'no-prefix', 'pretraining']) {
        const { tensors, head, missing } = await readCheckpoint(checkpoints(name));
        expect([...tensors.keys()].sort()).to.deep.equal([...encoderTensors(await readConfig(plain)).keys()].sort());
        expect(head).to.equal(null);
        expect(missing).to.deep.equal(CLASSIFIER);
      }
    });

    it('says which tensors it passed over, as the file calls them', async () => {
      const { ignored } = await readCheckpoint(checkpoints('old-names'));
      expect(ignored).to.include.members(['bert.embeddings.position_ids', 'cls.predictions.transform.LayerNorm.gamma']);
      expect(ignored).to.have.length(8);
      expect((await readCheckpoint(plain)).ignored).to.deep.equal([]);
    });

    it('takes a model without a pooler', async () => {
      const target = await changed((tensors) => {
        tensors.delete('bert.pooler.dense.weight');
        tensors.delete('bert.pooler.dense.bias');
      });
      const { missing, head } = await readCheckpoint(target);
      expect(missing).to.deep.equal(['bert.pooler.dense.weight', 'bert.pooler.dense.bias']);
      expect(head).to.equal('classifier');
    });

    it('takes the embedded model', async () => {
      const { config, tensors, missing } = await readCheckpoint(miniModel);
      expect(count(new Map([...tensors].map(([name, { shape }]) => [name, shape])))).to.equal(5_454_080);
      expect(missing).to.deep.equal(CLASSIFIER);
      expect(config.labels).to.equal(null);
    });

    it('takes shards that are links, as in a cache', async () => {
      await mkdir(directory.path('snapshot'));
      for (const name of await readdir(checkpoints('sharded'))) {
        await symlink(checkpoints('sharded', name), directory.path('snapshot', name));
      }
      expect((await readCheckpoint(directory.path('snapshot'))).tensors.size).to.equal(41);
    });

    it('is known by its config.json', async () => {
      expect(await isCheckpoint(plain)).to.equal(true);
      expect(await isCheckpoint(checkpoints('adapter-lora'))).to.equal(false);
      expect(await isCheckpoint(directory.path('nowhere'))).to.equal(false);
    });
  });

  describe('labels', () => {
    const headOf = async (path: string): Promise<Head> => {
      const { config, tensors, head } = await readCheckpoint(path);
      return {
        kind: head!,
        labels: config.labels!,
        named: !areNumbers(config.labels!),
        output: outputName(config, head!),
        tensors,
      };
    };

    it('in another order take their rows along', async () => {
      for (const name of ['plain', 'bf16']) {
        const head = await headOf(checkpoints(name));
        const { labels, tensors, notes } = arrangeHead(head, ['yes', 'no', 'maybe']);
        expect(labels).to.deep.equal(['yes', 'no', 'maybe']);
        expect(notes).to.deep.equal([]);
        for (const [key, width] of [
          ['classifier.weight', 32],
          ['classifier.bias', 1],
        ] as const) {
          const [from, to] = [toFloat32(head.tensors.get(key)!), toFloat32(tensors.get(key)!)];
          [2, 0, 1].forEach((source, row) => {
            const row1 = [...to.subarray(row * width, (row + 1) * width)];
            expect(row1).to.deep.equal([...from.subarray(source * width, (source + 1) * width)]);
          });
        }
      }
    });

    it('in the same order leave every tensor where it is', async () => {
      const head = await headOf(plain);
      expect(arrangeHead(head, LABELS).tensors).to.equal(head.tensors);
      const { tensors, notes } = arrangeHead(head, ['No', 'maybe ', 'yes']);
      expect(tensors).to.equal(head.tensors);
      expect(notes.join()).to.contain('"No" is "no", "maybe " is "maybe"');
    });

    it('that are other names are refused, however many', async () => {
      const head = await headOf(plain);
      const refused = (labels: string[], ...words: string[]) =>
        expectRefusal(() => arrangeHead(head, labels), 'INVALID_OPTION', 'which are no, maybe, yes', ...words);
      await refused(['no', 'maybe', 'sure'], 'it has no sure', 'labels leave out yes');
      await refused(['no', 'maybe', 'yess'], 'it has no yess (did you mean yes?)');
      await refused(['no', 'yes'], 'labels leave out maybe');
      await refused(['no', 'maybe', 'yes', 'never'], 'it has no never');
      await refused(['LABEL_0', 'LABEL_1', 'LABEL_2'], 'it has no LABEL_0, LABEL_1, LABEL_2');
      await refused(['0', '1', '2'], 'it has no 0, 1, 2');
    });

    it('name rows that have numbers alone, in order', async () => {
      for (const numbers of [
        ['LABEL_0', 'LABEL_1', 'LABEL_2'],
        ['0', '1', '2'],
      ]) {
        const target = await copyWith(plain, directory.path('copy'), 'config.json', (config) => {
          config.id2label = { ...numbers };
          config.label2id = undefined;
        });
        const head = await headOf(target);
        const { labels, tensors, notes } = arrangeHead(head, ['x', 'y', 'z']);
        expect(labels).to.deep.equal(['x', 'y', 'z']);
        expect(tensors).to.equal(head.tensors);
        expect(notes.join()).to.contain(`"x" is ${numbers[0]}, "y" is ${numbers[1]}, "z" is ${numbers[2]}`);
        const turned = arrangeHead(head, numbers.toReversed());
        expect(toFloat32(turned.tensors.get('classifier.bias')!)).to.deep.equal(
          toFloat32(head.tensors.get('classifier.bias')!).reverse(),
        );
        await expectRefusal(() => arrangeHead(head, ['x', 'y']), 'INVALID_OPTION', `leave out ${numbers[0]}`);
      }
    });

    it('are those of label2id, or LABEL_i, where the file has no id2label', async () => {
      const target = await copyWith(plain, directory.path('copy'), 'config.json', (config) => delete config.id2label);
      const { config } = await readCheckpoint(target);
      expect(config.labels).to.deep.equal(LABELS);
      expect(config.labelNotes.join()).to.contain('those of label2id: no, maybe, yes');
      await copyWith(target, directory.path('none'), 'config.json', (config) => delete config.label2id);
      expect((await readCheckpoint(directory.path('none'))).config.labels).to.deep.equal([
        'LABEL_0',
        'LABEL_1',
        'LABEL_2',
      ]);
    });

    it('are not looked at where the classifier is passed over', async () => {
      const { missing, ignored, head, tensors } = await readCheckpoint(plain, { head: 'skip' });
      expect(head).to.equal(null);
      expect(missing).to.deep.equal(CLASSIFIER);
      expect(ignored).to.deep.equal([]);
      expect(tensors.has('classifier.weight')).to.equal(false);
    });
  });

  describe('is refused', () => {
    it('where there is no such directory, or nothing of a checkpoint in it', async () => {
      await expectRefusal(readCheckpoint(directory.path('none')), 'NOT_FOUND', 'none');
      await expectRefusal(readCheckpoint(join(plain, 'config.json')), 'NOT_FOUND');
      await expectRefusal(readCheckpoint(directory.path()), 'NOT_FOUND', 'config.json');
      await cp(join(plain, 'config.json'), directory.path('config.json'));
      await expectRefusal(readCheckpoint(directory.path()), 'NOT_FOUND', 'model.safetensors.index.json');
    });

    it('where it holds pickles alone', async () => {
      await cp(join(plain, 'config.json'), directory.path('config.json'));
      await writeFile(directory.path('pytorch_model.bin'), 'PK\x03\x04');
      const read = readCheckpoint(directory.path());
      await expectRefusal(
        read,
        'CHECKPOINT_INVALID',
        'pytorch_model.bin',
        'Convert it to safetensors',
        'save_pretrained',
      );
    });

    it('where a pickle goes by the name of a safetensors file', async () => {
      await cp(join(plain, 'config.json'), directory.path('config.json'));
      await writeFile(
        directory.path('model.safetensors'),
        Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(99)]),
      );
      await expectRefusal(readCheckpoint(directory.path()), 'CHECKPOINT_INVALID', 'model.safetensors', 'pickle');
    });

    it('for another model_type', async () => {
      const target = await copyWith(plain, directory.path('copy'), 'config.json', (config) => {
        config.model_type = 'mpnet';
      });
      await expectRefusal(
        readCheckpoint(target),
        'CHECKPOINT_INVALID',
        'Expected one of the model types "bert"',
        '"mpnet"',
      );
    });

    it('for a wrong shape, naming the tensor', async () => {
      const cases: [string, number[], string][] = [
        ['bert.encoder.layer.1.attention.self.value.weight', [16, 64], '[32, 32]'],
        ['bert.embeddings.word_embeddings.weight', [63, 32], '[64, 32]'],
        ['bert.embeddings.LayerNorm.weight', [32, 1], '[32]'],
        ['bert.pooler.dense.bias', [], '[32]'],
        ['classifier.weight', [3, 31], '[3, 32]'],
        ['classifier.bias', [4], '[3]'],
      ];
      for (const [name, shape, expected] of cases) {
        const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
        const target = await changed((tensors) => tensors.set(name, fromFloat32(values, shape)));
        await expectRefusal(
          readCheckpoint(target),
          'SHAPE_MISMATCH',
          `Expected the shape ${expected} for tensor ${name} in ${target} but found [${shape.join(', ')}]`,
        );
      }
    });

    it('for a missing encoder tensor, naming it, its shape, and what is there', async () => {
      const target = await changed((tensors) => {
        tensors.delete('bert.encoder.layer.1.output.LayerNorm.bias');
      });
      const read = readCheckpoint(target);
      await expectRefusal(
        read,
        'CHECKPOINT_INVALID',
        'tensor bert.encoder.layer.1.output.LayerNorm.bias of shape [32] in',
      );
      const renamed = await changed((tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(name.replace('bert.', 'roberta.'), tensor);
        }
      });
      await expectRefusal(
        readCheckpoint(renamed),
        'CHECKPOINT_INVALID',
        'bert.embeddings.word_embeddings.weight of shape [64, 32] (and 36 more)',
        'among its 41 tensors, which include roberta.',
      );
    });

    it('for half of a pooler or of a classifier', async () => {
      for (const name of ['bert.pooler.dense.weight', 'bert.pooler.dense.bias', ...CLASSIFIER]) {
        const target = await changed((tensors) => tensors.delete(name));
        await expectRefusal(readCheckpoint(target), 'CHECKPOINT_INVALID', `Expected tensor ${name} of shape [`);
      }
    });

    it('for more or fewer classes than id2label names', async () => {
      const target = await copyWith(plain, directory.path('copy'), 'config.json', (config) => {
        config.id2label = { 0: 'no', 1: 'yes' };
      });
      await expectRefusal(
        readCheckpoint(target),
        'SHAPE_MISMATCH',
        'Expected the shape [2, 32] for tensor classifier.weight',
        'found [3, 32]',
      );
      expect((await readCheckpoint(target, { head: 'skip' })).head).to.equal(null);
    });

    it('for a classifier without classes', async () => {
      const target = await changed((tensors) => {
        tensors.set('classifier.weight', fromFloat32(new Float32Array(0), [0, 32]));
        tensors.set('classifier.bias', fromFloat32(new Float32Array(0), [0]));
      });
      await expectRefusal(readCheckpoint(target), 'SHAPE_MISMATCH', 'at least one class', '[0, 32]');
    });

    it('for whole numbers in place of weights', async () => {
      const target = await changed((tensors) => {
        const tensor = tensors.get('bert.embeddings.token_type_embeddings.weight')!;
        tensors.set('bert.embeddings.token_type_embeddings.weight', { ...tensor, dtype: 'I32' });
      });
      await expectRefusal(
        readCheckpoint(target),
        'CHECKPOINT_INVALID',
        'Expected F64, F32, F16, BF16 for tensor bert.embeddings.token_type_embeddings.weight',
        'I32',
      );
    });

    it('where one tensor goes by two names', async () => {
      const target = await changed((tensors) => {
        tensors.set('embeddings.LayerNorm.gamma', tensors.get('bert.embeddings.LayerNorm.weight')!);
      });
      await expectRefusal(
        readCheckpoint(target),
        'CHECKPOINT_INVALID',
        'Expected one tensor bert.embeddings.LayerNorm.weight',
        'embeddings.LayerNorm.gamma',
      );
    });

    describe('for an index of shards that', () => {
      const index = 'model.safetensors.index.json';
      const sharded = (change: (map: Record<string, unknown>) => void) =>
        copyWith(checkpoints('sharded'), directory.path('copy'), index, ({ weight_map: map }) =>
          change(map as Record<string, unknown>),
        );

      it('leads out of the directory', async () => {
        await cp(plain, directory.path('outside'), { recursive: true });
        const paths = [
          '../outside/model.safetensors',
          'x/../../outside/model.safetensors',
          '..\\outside\\model.safetensors',
          directory.path('outside', 'model.safetensors'),
          'C:\\outside\\model.safetensors',
          'c:model.safetensors',
        ];
        for (const path of paths) {
          const target = await sharded((map) => {
            map['classifier.bias'] = path;
          });
          await expectRefusal(
            readCheckpoint(target),
            'CHECKPOINT_INVALID',
            'classifier.bias',
            'in the directory',
            index,
          );
        }
      });

      it('names what is no safetensors file', async () => {
        for (const shard of ['pytorch_model-00001-of-00002.bin', 7, null, 'a\0.safetensors']) {
          const target = await sharded((map) => {
            map['classifier.bias'] = shard;
          });
          await expectRefusal(readCheckpoint(target), 'CHECKPOINT_INVALID', 'classifier.bias', index);
        }
      });

      it('names a file or a tensor that is not there', async () => {
        const lost = await sharded((map) => {
          map['classifier.bias'] = 'model-00009-of-00003.safetensors';
        });
        await expectRefusal(readCheckpoint(lost), 'NOT_FOUND', 'model-00009-of-00003.safetensors');
        const wrong = await sharded((map) => {
          const shards = new Set(Object.values(map));
          shards.delete(map['classifier.bias']);
          map['classifier.bias'] = [...shards][0];
        });
        await expectRefusal(readCheckpoint(wrong), 'CHECKPOINT_INVALID', 'Expected tensor classifier.bias in', index);
      });

      it('leaves out a tensor', async () => {
        const target = await sharded((map) => delete map['bert.embeddings.word_embeddings.weight']);
        await expectRefusal(readCheckpoint(target), 'CHECKPOINT_INVALID', 'bert.embeddings.word_embeddings.weight');
      });

      it('has no map', async () => {
        const target = await copyWith(checkpoints('sharded'), directory.path('copy'), index, (value) => {
          value.weight_map = ['model.safetensors'];
        });
        await expectRefusal(readCheckpoint(target), 'CHECKPOINT_INVALID', 'weight_map');
      });
    });
  });

  describe('writing', () => {
    const content = async (name = 'plain'): Promise<CheckpointContent> => {
      const { config, tensors } = await readCheckpoint(checkpoints(name));
      return { config, labels: config.labels!, tensors, head: 'classifier', tokenizerFrom: miniModel };
    };

    it('gives the same bits back, in a file that is byte for byte what transformers wrote', async () => {
      for (const name of ['plain', 'f16', 'bf16']) {
        await writeCheckpoint(directory.path(name), await content(name));
        const [before, after] = [await readCheckpoint(checkpoints(name)), await readCheckpoint(directory.path(name))];
        expect(comparable(after.tensors)).to.deep.equal(comparable(before.tensors));
        expect(after.config.labels).to.deep.equal(LABELS);
        const file = await readFile(directory.path(name, 'model.safetensors'));
        expect(file.equals(await readFile(checkpoints(name, 'model.safetensors')))).to.equal(true);
        const { dtype } = JSON.parse(await readFile(directory.path(name, 'config.json'), 'utf8')) as { dtype: string };
        expect(dtype).to.equal(before.config.raw.dtype);
      }
    });

    it('copies the tokenizer', async () => {
      await writeCheckpoint(directory.path('out'), await content());
      const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt'];
      expect((await readdir(directory.path('out'))).sort()).to.deep.equal(names);
      for (const name of names.slice(2)) {
        const copy = await readFile(directory.path('out', name));
        expect(copy.equals(await readFile(join(miniModel, name)))).to.equal(true);
      }
    });

    it('keeps the tokenizer of the directory it writes to', async () => {
      await writeCheckpoint(directory.path('out'), await content());
      await writeCheckpoint(directory.path('out'), { ...(await content()), tokenizerFrom: directory.path('out') });
      const copy = await readFile(directory.path('out', 'tokenizer.json'));
      expect(copy.equals(await readFile(join(miniModel, 'tokenizer.json')))).to.equal(true);
    });

    it('saves and restores a probe head', async () => {
      const { config, tensors } = await readCheckpoint(plain);
      const labels = ['a', 'b', 'c', 'd'];
      const probe = new Map([...tensors].filter(([name]) => !name.startsWith('classifier')));
      for (const [name, shape] of headTensors(config, 'probe', 4)) {
        const size = shape.reduce((a, b) => a * b);
        probe.set(
          name,
          fromFloat32(
            Float32Array.from({ length: size }, (_, i) => i / size),
            shape,
          ),
        );
      }
      await writeCheckpoint(directory.path('out'), {
        config,
        labels,
        tensors: probe,
        head: 'probe',
        tokenizerFrom: miniModel,
      });
      const found = await readCheckpoint(directory.path('out'));
      expect(found.head).to.equal('probe');
      expect(found.missing).to.deep.equal([]);
      expect(found.config.labels).to.deep.equal(labels);
      expect(comparable(found.tensors)).to.deep.equal(comparable(probe));

      const others = await readCheckpoint(directory.path('out'), { head: 'skip' });
      expect(others.head).to.equal(null);
      expect(others.missing).to.deep.equal(CLASSIFIER);
      expect(others.ignored).to.deep.equal([]);

      const output = 'classifier.classifier.5.weight';
      const head: Head = { kind: 'probe', labels, named: true, output, tensors: found.tensors };
      const turned = arrangeHead(head, ['d', 'c', 'b', 'a']);
      const bias = (from: Pick<Head, 'tensors'>) => [...toFloat32(from.tensors.get('classifier.classifier.5.bias')!)];
      expect(bias(turned)).to.deep.equal(bias(found).reverse());

      const half = await changed((all) => all.delete('classifier.classifier.4.weight'), directory.path('out'));
      await expectRefusal(readCheckpoint(half), 'CHECKPOINT_INVALID', 'classifier.classifier.4.weight of shape [16]');
      const none = await changed((all) => {
        for (const name of [...all.keys()]) if (name.startsWith('classifier')) all.delete(name);
      }, directory.path('out'));
      await expectRefusal(readCheckpoint(none), 'CHECKPOINT_INVALID', 'classifier.classifier.0.weight');
    });

    it('replaces what was there, whatever kind it was', async () => {
      await cp(checkpoints('sharded'), directory.path('out'), { recursive: true });
      await cp(checkpoints('adapter-lora'), directory.path('out'), { recursive: true });
      await writeFile(directory.path('out', 'notes.txt'), 'kept');
      await writeCheckpoint(directory.path('out'), await content('f16'));
      const names = await readdir(directory.path('out'));
      expect(names).to.include('notes.txt').and.not.to.include('adapter_config.json');
      expect(names).not.to.include('model.safetensors.index.json');
      expect((await readCheckpoint(directory.path('out'))).tensors.get('classifier.bias')!.dtype).to.equal('F16');
    });

    it('refuses tensors that are not the model, and leaves nothing behind', async () => {
      const good = await content();
      const write = (change: (tensors: Map<string, Tensor>) => void, others: Partial<CheckpointContent> = {}) => {
        const tensors = new Map(good.tensors);
        change(tensors);
        return writeCheckpoint(directory.path('out'), { ...good, ...others, tensors });
      };
      const nothing = () => undefined;
      await expectRefusal(
        write((tensors) => tensors.delete('bert.pooler.dense.bias')),
        'INVALID_OPTION',
        'Expected tensor bert.pooler.dense.bias of shape [32] but received none',
      );
      await expectRefusal(
        write((tensors) => tensors.set('extra', fromFloat32(new Float32Array(1), [1]))),
        'INVALID_OPTION',
        'extra',
      );
      await expectRefusal(
        write((tensors) => tensors.set('classifier.bias', fromFloat32(new Float32Array(4), [4]))),
        'SHAPE_MISMATCH',
        'Expected the shape [3] for tensor classifier.bias',
        'found [4]',
      );
      await expectRefusal(write(nothing, { labels: ['a', 'b'] }), 'SHAPE_MISMATCH', 'classifier.weight');
      await expectRefusal(write(nothing, { labels: [] }), 'INVALID_OPTION', 'labels');
      await expectRefusal(write(nothing, { head: 'probe' }), 'INVALID_OPTION', 'classifier.classifier.0.weight');
      await expectRefusal(write(nothing, { head: 'other' as 'probe' }), 'INVALID_OPTION', 'head');
      await expectRefusal(write(nothing, { tokenizerFrom: plain }), 'NOT_FOUND', 'tokenizer.json');
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('leaves an earlier checkpoint as it was when it fails', async () => {
      await writeCheckpoint(directory.path('out'), await content());
      const before = await Promise.all(
        (await readdir(directory.path('out'))).map((name) => readFile(directory.path('out', name))),
      );
      await rm(directory.path('out', 'config.json'));
      await mkdir(directory.path('out', 'config.json'));
      await expectRefusal(
        writeCheckpoint(directory.path('out'), await content('f16')),
        'OUTPUT_REFUSED',
        'config.json',
      );
      const names = await readdir(directory.path('out'));
      expect(names).to.have.length(5);
      for (const [i, name] of names.entries()) {
        if (name === 'config.json') continue;
        expect((await readFile(directory.path('out', name))).equals(before[i]!), name).to.equal(true);
      }
    });

    it('refuses a path under a file', async () => {
      await writeFile(directory.path('file'), '');
      await expectRefusal(writeCheckpoint(directory.path('file', 'out'), await content()), 'OUTPUT_REFUSED', 'file');
    });

    it('writes a model of new weights', async () => {
      const config = parseConfig({
        model_type: 'bert',
        vocab_size: 16,
        hidden_size: 8,
        num_attention_heads: 2,
        num_hidden_layers: 1,
      });
      const tensors = zeros(expectedTensors(config, 'classifier', 2));
      const labels = ['"quoted"', 'ünïcode'];
      await writeCheckpoint(directory.path('out'), {
        config,
        labels,
        tensors,
        head: 'classifier',
        tokenizerFrom: miniModel,
      });
      const found = await readCheckpoint(directory.path('out'));
      expect(found.config.labels).to.deep.equal(labels);
      expect({ ...found.config, raw: null, problemType: null }).to.deep.equal({ ...config, labels, raw: null });
    });
  });
});
