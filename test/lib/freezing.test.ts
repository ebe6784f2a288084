import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { bitfit, full, linear, lora, type Method, prefix } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

async function valuesOf(model: TextClassifier): Promise<Map<string, Float32Array | Float64Array>> {
  const values = new Map<string, Float32Array | Float64Array>();
  for (const { name } of model.parameters()) values.set(name, await model.parameter(name));
  return values;
}

const METHODS: Record<string, Method> = {
  full: full(),
  'full with frozen parts': full({ freeze: ['embeddings', 'encoder.layer.0', 'pooler'] }),
  linear: linear(),
  'prefix with projection': prefix({ virtualTokens: 3 }),
  'prefix without projection': prefix({ virtualTokens: 3, projection: false }),
  'prefix, head frozen': prefix({ virtualTokens: 3, trainHead: false }),
  lora: lora({ rank: 2 }),
  'lora, head frozen': lora({ rank: 2, trainHead: false }),
  'lora on every Linear': lora({ rank: 2, targets: ['all-linear'] }),
  'lora of two ranks on one layer': lora({ rank: 2, layers: [1], rankPattern: { query: 5 } }),
  'lora with all biases': lora({ rank: 2, bias: 'all' }),
  'lora with biases of its modules': lora({ rank: 2, bias: 'lora_only' }),
  bitfit: bitfit(),
};

describe('freezing', () => {
  const directory = useTemporaryDirectory();
  const train = tinySplit('train', 24, 3);

  for (const [name, method] of Object.entries(METHODS)) {
    it(`leaves every bit of what ${name} does not train, and moves all that it does`, async () => {
      await writeTinyCheckpoint(directory.path('base'), { dropout: 0.1 });
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 2 });
      const before = await valuesOf(model);
      const trainer = new Trainer(model, { method, epochs: 2, batchSize: 4, learningRate: 1e-2 });
      await trainer.train(train);
      const after = await valuesOf(model);
      const moved = model.parameters().filter(({ trainable }) => trainable);
      expect(moved).to.have.length.greaterThan(0);
      for (const { name: parameter, trainable } of model.parameters()) {
        const was = before.get(parameter);
        if (!trainable) expect(after.get(parameter), parameter).to.deep.equal(was);
        // New parameters have no value before; a key's bias has no gradient but for rounding.
        else if (was && !parameter.endsWith('attention.self.key.bias')) {
          expect(after.get(parameter), parameter).to.not.deep.equal(was);
        }
      }
    });
  }

  it('moves every new parameter from where the seed put it', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const trained = async (learningRate: number) => {
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
      const method = prefix({ virtualTokens: 3 });
      await new Trainer(model, { method, maxSteps: 3, batchSize: 4, learningRate }).train(train);
      return await valuesOf(model);
    };
    const still = await trained(0);
    const moved = await trained(1e-2);
    for (const [name, values] of still) {
      if (name.startsWith('prompt_encoder.')) expect(moved.get(name), name).to.not.deep.equal(values);
    }
  });
});
