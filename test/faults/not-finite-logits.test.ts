import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { BertuneError } from '../../lib/errors.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { fromFloat32, type Tensor } from '../../lib/formats/tensor.js';
import { PredictionService } from '../../lib/index.js';
import { full } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { runCli } from '../cli/run-cli.js';
import { devices } from '../devices.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { ADAPTERS, writeTinyAdapter } from '../lib/tiny-adapters.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';

/*
 * Weights that are NaN, infinite, or so large that scores become so: no prediction and no metric is made of them. Files with
 * such numbers are not loaded.
 */

async function expectError(work: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await work.catch((reason: unknown) => reason);
  expect(error).to.be.instanceOf(BertuneError);
  expect(error).to.have.property('code', code);
  expect(String(error)).to.match(message);
}

/** Changes one tensor of a file. */
async function changeTensor(file: string, name: string, change: (tensor: Tensor) => Tensor): Promise<void> {
  const { tensors, metadata } = await readSafetensors(file);
  const changed = new Map([...tensors].map(([key, tensor]) => [key, key === name ? change(tensor) : tensor]));
  await writeSafetensors(file, changed, metadata);
}

/** Elements of a type, all 0 but for the last one, whose bits are given. */
function tensorOf(dtype: string, shape: number[], bits: bigint): Tensor {
  const size = { F64: 8, F32: 4, F16: 2, BF16: 2 }[dtype]!;
  const count = shape.reduce((a, b) => a * b, 1);
  const data = new Uint8Array(count * size);
  for (let i = 0; i < size; i++) data[(count - 1) * size + i] = Number((bits >> BigInt(8 * i)) & 0xffn);
  return { dtype, shape, data } as Tensor;
}

/** One number everywhere, in fp32. */
const filled = (shape: number[], value: number): Tensor =>
  fromFloat32(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape);

/** The bits of a NaN and of both infinities. */
const BITS: Record<string, bigint[]> = {
  F64: [0x7ff8000000000000n, 0x7ff0000000000000n, 0xfff0000000000000n],
  F32: [0x7fc00000n, 0x7f800000n, 0xff800000n],
  F16: [0x7e00n, 0x7c00n, 0xfc00n],
  BF16: [0x7fc0n, 0x7f80n, 0xff80n],
};
const LARGEST: Record<string, bigint> = { F32: 0x7f7fffffn, F16: 0x7bffn, BF16: 0x7f7fn };

const HUGE = 3e38;
const TEXTS = ['a good day', 'never', 'we went home with a friend'];
const NAMED = /texts\[0\] are not finite.*(weights|adapter).*lower learning rate/s;

describe('scores that are not finite', () => {
  const directory = useTemporaryDirectory();
  const weights = () => join(directory.path('base'), 'model.safetensors');
  beforeEach(async () => {
    const config = await writeTinyCheckpoint(directory.path('base'));
    await writeTinyAdapter(directory.path('good'), directory.path('base'), config, ADAPTERS.polite);
    await writeTinyAdapter(directory.path('bad'), directory.path('base'), config, ADAPTERS.topics);
  });

  for (const { device } of devices()) {
    it(`end predict, logits and evaluate with NON_FINITE_LOGITS on ${device}`, async () => {
      await using model = await TextClassifier.load(directory.path('base'), { device: device as 'cpu' });
      const trainer = new Trainer(model, { method: full() });
      const service = new PredictionService(model);
      const split = tinySplit('test', 8, 3);
      const before = await model.predict(TEXTS);
      for (const [name, value] of Object.entries({ 'classifier.bias': Number.NaN, 'bert.pooler.dense.weight': HUGE })) {
        const good = await model.parameter(name);
        await model.session.write(
          name,
          good.map(() => value),
        );
        // Behind a pooler of huge weights it is the classifier that overflows.
        const classifier = await model.parameter('classifier.weight');
        await model.session.write(
          'classifier.weight',
          classifier.map(() => HUGE),
        );
        await expectError(model.predict(TEXTS), 'NON_FINITE_LOGITS', NAMED);
        await expectError(model.logits(TEXTS), 'NON_FINITE_LOGITS', NAMED);
        await expectError(service.predict(TEXTS), 'NON_FINITE_LOGITS', NAMED);
        await expectError(trainer.evaluate(split), 'NON_FINITE_LOGITS', NAMED);
        await model.session.write(name, good);
        await model.session.write('classifier.weight', classifier);
      }
      expect(await model.predict(TEXTS)).to.deep.equal(before);
      expect(await service.predict(TEXTS)).to.have.length(3);
      await service.dispose();
    });
  }

  it('name the text, and leave those of other adapters in the same batch alone', async () => {
    const file = join(directory.path('bad'), 'adapter_model.safetensors');
    await changeTensor(file, 'base_model.model.classifier.weight', ({ shape }) => filled(shape, HUGE));
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    await model.loadAdapter('good', directory.path('good'));
    await model.loadAdapter('bad', directory.path('bad'));
    // Finite as it is loaded: the model makes it overflow.
    await model.session.write(
      'bert.pooler.dense.bias',
      (await model.parameter('bert.pooler.dense.bias')).map(() => 1),
    );
    const service = new PredictionService(model);
    const [good, bad, own] = await Promise.allSettled([
      service.predict(TEXTS, { adapter: 'good' }),
      service.predict(TEXTS, { adapter: 'bad' }),
      service.predict(TEXTS),
    ]);
    expect(good.status).to.equal('fulfilled');
    expect(own.status).to.equal('fulfilled');
    expect(bad).to.have.nested.property('reason.code', 'NON_FINITE_LOGITS');
    const mixed = model.predict(TEXTS, { adapter: ['good', null, 'bad'] });
    await expectError(mixed, 'NON_FINITE_LOGITS', /texts\[2\]/);
    await service.dispose();
  });

  it('end an evaluation in training, after a rate that threw the weights out of range', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    const trainer = new Trainer(model, { method: full(), learningRate: 1e30, batchSize: 8, epochs: 1 });
    const train = trainer.train(tinySplit('train', 8, 1), { validation: tinySplit('validation', 8, 2) });
    await expectError(train, 'NON_FINITE_LOGITS', NAMED);
  });

  it('end the command predict with an error and status 1', async () => {
    await changeTensor(weights(), 'classifier.weight', ({ shape }) => filled(shape, HUGE));
    await changeTensor(weights(), 'bert.pooler.dense.bias', ({ shape }) => filled(shape, 30));
    const run = await runCli(['predict', '--model', directory.path('base'), '--device', 'cpu', 'a good day']);
    expect(run.stderr).to.match(/error \[NON_FINITE_LOGITS\]: .*texts\[0\]/);
    expect(run.stdout).to.equal('');
    expect(run.status).to.equal(1);
  });
});

describe('weights that are not finite', () => {
  const directory = useTemporaryDirectory();

  it('are not loaded, in any type', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const file = join(directory.path('base'), 'model.safetensors');
    for (const [dtype, list] of Object.entries(BITS)) {
      for (const bits of list) {
        await changeTensor(file, 'classifier.weight', ({ shape }) => tensorOf(dtype, shape, bits));
        const load = TextClassifier.load(directory.path('base'), { device: 'cpu' });
        await expectError(load, 'CHECKPOINT_INVALID', /element 95 of classifier\.weight is NaN or infinite/);
      }
    }
    for (const [dtype, bits] of Object.entries(LARGEST)) {
      await changeTensor(file, 'classifier.weight', ({ shape }) => tensorOf(dtype, shape, bits));
      await (await TextClassifier.load(directory.path('base'), { device: 'cpu' })).dispose();
    }
  });

  it('are not loaded as an adapter either, alone or beside a model', async () => {
    const config = await writeTinyCheckpoint(directory.path('base'));
    await writeTinyAdapter(directory.path('bad'), directory.path('base'), config, ADAPTERS.topics);
    const name = 'base_model.model.bert.encoder.layer.1.attention.self.key.lora_B.weight';
    await changeTensor(join(directory.path('bad'), 'adapter_model.safetensors'), name, ({ shape }) =>
      tensorOf('F32', shape, BITS.F32![0]!),
    );
    const message = /of bert\.encoder\.layer\.1\.attention\.self\.key\.lora_B\.weight is NaN or infinite/;
    await expectError(TextClassifier.load(directory.path('bad'), { device: 'cpu' }), 'CHECKPOINT_INVALID', message);
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    await expectError(model.loadAdapter('bad', directory.path('bad')), 'CHECKPOINT_INVALID', message);
    expect(model.adapters).to.deep.equal([]);
    expect(await model.predict(TEXTS)).to.have.length(3);
  });
});
