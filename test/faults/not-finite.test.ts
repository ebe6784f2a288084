import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { BertuneError } from '../../lib/errors.js';
import { full } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { NativeSession } from '../../lib/native/index.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { devices } from '../devices.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from '../model/tiny-session.js';
import { note, scaled } from './scale.js';

/*
 * Numbers that are not finite, planted where they may come from. Nothing of the step in which they show may remain: neither
 * in the parameters nor in AdamW's moments.
 */

type Values = Float32Array | Float64Array;

const bytes = (values: Values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const write = (session: NativeSession, name: string, part: 'value' | 'm' | 'v', values: Values) =>
  session.write(name, part, values instanceof Float64Array ? 'F64' : 'F32', bytes(values));

async function stateOf(session: NativeSession): Promise<Map<string, number[]>> {
  const state = new Map<string, number[]>();
  for (const { name, trainable } of session.parameters()) {
    for (const part of trainable ? (['value', 'm', 'v'] as const) : (['value'] as const)) {
      state.set(`${name} ${part}`, [...(await session.read(name, part))]);
    }
  }
  return state;
}

/** Where a planted number shows: a parameter, and an element of it. */
const PLACES: Record<string, string> = {
  'the logits': 'classifier.bias',
  'hidden states': 'bert.encoder.layer.1.output.LayerNorm.weight',
  attention: 'bert.encoder.layer.0.attention.self.query.weight',
  'an embedding': 'bert.embeddings.token_type_embeddings.weight',
};

const NUMBERS = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, '-Infinity': Number.NEGATIVE_INFINITY };

let planted = 0;

for (const { device, precisions } of devices()) {
  for (const precision of precisions.filter((name) => name !== 'tf32' && name !== 'int8')) {
    describe(`numbers that are not finite, on ${device} in ${precision}`, () => {
      let session: NativeSession;
      let dataset: number;
      beforeEach(async () => {
        session = await makeSession(METHODS.full!, 2, MODEL, { device, precision });
        dataset = await addExamples(session);
      });
      afterEach(() => session.dispose());

      const steps = (count: number, overrides = {}) =>
        makePlan(dataset, {
          order: Int32Array.from({ length: 5 * count }, (_, i) => i % 5),
          learningRates: new Float64Array(count).fill(1e-3),
          firstStep: 0,
          ...overrides,
        });

      for (const [place, name] of Object.entries(PLACES)) {
        for (const [word, number] of Object.entries(NUMBERS).slice(0, scaled(1, 3))) {
          it(`${word} in ${place} ends the run and changes nothing; the session goes on once it is gone`, async () => {
            expect((await session.train(steps(1))).stopped).to.equal('done');
            const good = await session.read(name, 'value');
            const bad = good.slice();
            bad[1] = number;
            await write(session, name, 'value', bad);
            const before = await stateOf(session);
            const result = await session.train(steps(3));
            expect(result.stopped).to.equal('non-finite');
            expect(result.steps).to.equal(0);
            expect([...(await stateOf(session))]).to.deep.equal([...before]);
            await write(session, name, 'value', good);
            const again = await session.train(steps(2, { firstStep: 1 }));
            expect(again.stopped).to.equal('done');
            expect([...again.losses].every(Number.isFinite)).to.equal(true);
            planted += 1;
          });
        }
      }

      it('in one gradient alone, of a loss that is finite: the update is not made', async () => {
        // With a pooler of zeros the logits are the biases, whatever the classifier's weights; these make the gradient of the
        // pooler 4/3 of what the type holds at most.
        const most = precision === 'fp64' ? 1.7e308 : 3e38;
        const filled = async (name: string, value: (i: number) => number) =>
          write(
            session,
            name,
            'value',
            (await session.read(name, 'value')).map((_, i) => value(i)),
          );
        await filled('bert.pooler.dense.weight', () => 0);
        await filled('bert.pooler.dense.bias', () => 0);
        await filled('classifier.bias', () => 0);
        await filled('classifier.weight', (i) => (i < MODEL.hiddenSize ? most : -most));
        const before = await stateOf(session);
        // The examples of class 0.
        const order = Int32Array.of(0, 4);
        const plain = { order, labelSmoothing: 0, classWeights: Float64Array.of(1, 1, 1) };
        const result = await session.train(steps(1, plain));
        expect(result.stopped).to.equal('non-finite');
        expect(result.losses[0]).to.be.closeTo(Math.log(3), 1e-2);
        expect(Number.isFinite(result.gradNorms[0])).to.equal(false);
        expect([...(await stateOf(session))]).to.deep.equal([...before]);
        planted += 1;
      });

      it('at a later step: the steps before it stay, and it is told which it was', async () => {
        // A rate that throws the parameters out of range after two good steps.
        const rates = Float64Array.of(1e-3, 1e-3, precision === 'fp64' ? 1e200 : 1e38, 1e-3, 1e-3);
        const good = await makeSession(METHODS.full!, 2, MODEL, { device, precision });
        const other = await addExamples(good);
        await good.train(steps(2, { dataset: other, learningRates: rates.slice(0, 2) }));
        await good.dispose();
        const result = await session.train(steps(5, { learningRates: rates }));
        expect(result.stopped).to.equal('non-finite');
        expect(result.steps).to.equal(3);
        expect(result.losses).to.have.length(4);
        const before = await stateOf(session);
        expect((await session.train(steps(1, { firstStep: 3 }))).stopped).to.equal('non-finite');
        expect([...(await stateOf(session))]).to.deep.equal([...before]);
        planted += 1;
      });
    });

    describe(`a Trainer on ${device} in ${precision}`, () => {
      const directory = useTemporaryDirectory();
      const train = tinySplit('train', 12, 3);
      let model: TextClassifier;
      beforeEach(async () => {
        await writeTinyCheckpoint(directory.path('base'));
        model = await TextClassifier.load(directory.path('base'), { device: device as 'cpu', precision, threads: 2 });
      });
      afterEach(() => model.dispose());

      const run = (options: TrainerOptions = {}) =>
        new Trainer(model, { method: full(), batchSize: 4, maxSteps: 3, ...options }).train(train);

      it('rejects with NON_FINITE_LOSS naming the step, and trains once the number is gone', async () => {
        const name = 'classifier.bias';
        const good = await model.parameter(name);
        const bad = good.slice();
        bad[0] = Number.NaN;
        await model.session.write(name, bad);
        const error = await run().catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(BertuneError);
        expect(error).to.have.property('code', 'NON_FINITE_LOSS');
        expect(String(error)).to.match(/at step 1 it was NaN.*the parameters are unchanged/);
        expect(await model.parameter(name)).to.deep.equal(bad);
        await model.session.write(name, good);
        expect((await run()).logHistory.length).to.be.greaterThan(0);
        planted += 1;
      });
    });
  }
}

describe('options that are not finite', () => {
  const directory = useTemporaryDirectory();
  const OPTIONS = ['learningRate', 'weightDecay', 'adamBeta1', 'adamBeta2', 'adamEps', 'maxGradNorm', 'labelSmoothing'];
  for (const number of Object.values(NUMBERS)) {
    it(`${number} is refused with INVALID_OPTION and the option's name`, async () => {
      await writeTinyCheckpoint(directory.path('base'));
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
      for (const option of OPTIONS) {
        expect(() => new Trainer(model, { [option]: number }), option)
          .to.throw(BertuneError, option)
          .with.property('code', 'INVALID_OPTION');
        planted += 1;
      }
      expect(() => new Trainer(model, { classWeights: [1, number, 1] }))
        .to.throw(BertuneError, 'classWeights')
        .with.property('code', 'INVALID_OPTION');
      planted += 1;
    });
  }
  after(() => note('numbers that are not finite, planted', planted));
});
