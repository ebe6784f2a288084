import { expect } from 'chai';
import type { NativeDataset, NativeRecordings, NativeSession, Values } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { LONG } from '../faults/scale.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from '../model/tiny-session.js';
import { type NamedTensor, nativeAdapter } from '../native/shape.js';
import { startsOf } from '../native/support.js';

/*
 * Steps and batches are recorded by their sizes alone: the second of some sizes is recorded, the third replayed, whatever
 * examples, weights and calls come between. The first of a session is never replayed, so a new session says what is right.
 */

const STEPS = 3;
const FULL = METHODS.full!;

/** Examples of these lengths; other ids for another seed. */
function examples(lengths: readonly number[], seed = 1): NativeDataset {
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets.at(-1)! + length);
  const ids = Int32Array.from({ length: offsets.at(-1)! }, (_, i) => (7 * i + 5 * seed) % MODEL.vocabSize);
  return { ids, offsets: Int32Array.from(offsets) };
}

const orderOf = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => (i + 1) % count);

function predict(session: NativeSession, dataset: NativeDataset): Promise<Values> {
  const count = dataset.offsets.length - 1;
  return session.predict(dataset, orderOf(count), startsOf(count));
}

async function counted(
  session: NativeSession,
  work: () => Promise<unknown>,
): Promise<Pick<NativeRecordings, 'kept' | 'recorded' | 'replayed'>> {
  const before = await session.recordings();
  await work();
  const { kept, recorded, replayed } = await session.recordings();
  return { kept, recorded: recorded - before.recorded, replayed: replayed - before.replayed };
}

async function copyWeights(from: NativeSession, to: NativeSession): Promise<void> {
  for (const { name } of from.parameters()) {
    const values = await from.read(name, 'value');
    await to.write(name, 'value', 'F32', new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
}

/** An adapter of rank 2 on one module. */
function adapterOf(seed: number): Parameters<NativeSession['addAdapter']> {
  const C = MODEL.hiddenSize;
  const module = 'bert.encoder.layer.0.attention.self.query';
  const tensor = (name: string, count: number): NamedTensor => {
    const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i + seed));
    return { name, dtype: 'F32', bytes: new Uint8Array(values.buffer) };
  };
  const shape = { labels: MODEL.labels, lora: { modules: [module], rank: 2, scaling: 2 }, prefix: null };
  const tensors = [
    tensor(`${module}.lora_A.weight`, 2 * C),
    tensor(`${module}.lora_B.weight`, 2 * C),
    tensor('classifier.weight', MODEL.labels * C),
    tensor('classifier.bias', MODEL.labels),
  ];
  return nativeAdapter(MODEL, shape, tensors);
}

/** Sizes of batches that no two of are padded to the same, at most `count`. */
function paddedSizes(mostTokens: number, count: number): { tokens: number; texts: number; longest: number }[] {
  const sizes = [];
  for (let tokens = 64; tokens <= mostTokens; tokens += 64) {
    for (let longest = 32; longest <= tokens; longest += 32) {
      for (let texts = 1; texts <= tokens; texts += 16) {
        const rest = tokens - longest;
        if (texts === 1 ? rest === 0 : rest >= texts - 1 && rest <= longest * (texts - 1))
          sizes.push({ tokens, texts, longest });
      }
    }
  }
  return sizes.slice(0, count);
}

for (const { device } of gpus()) {
  const where = { device, precision: 'fp32' } as const;
  describe(`what is recorded on ${device}`, () => {
    let session: NativeSession;
    beforeEach(async () => {
      session = await makeSession(FULL, 1, MODEL, where);
    });
    afterEach(async () => session.dispose());

    /** The logits of a session that has run nothing else. */
    async function eager(dataset: NativeDataset): Promise<Values> {
      const fresh = await makeSession(FULL, 1, MODEL, where);
      await copyWeights(session, fresh);
      const logits = await predict(fresh, dataset);
      expect(await fresh.recordings()).to.deep.equal({ kept: 0, recorded: 0, replayed: 0, nodes: 0, launched: 0 });
      await fresh.dispose();
      return logits;
    }

    const train = async (dataset: number, firstStep: number): Promise<Float64Array> =>
      (await session.train(makePlan(dataset, { firstStep, maxGradNorm: 1 }))).losses;

    it('serves predictions of other texts', async () => {
      const plain = examples([5, 1, 8, 3]);
      const others: NativeDataset[] = [
        examples([5, 1, 8, 3], 2),
        examples([9, 2], 3), // other sizes, the same padded ones
        { ...plain, typeIds: plain.ids.map((_, i) => i % 2) },
        { ...plain, positions: Int32Array.from(plain.ids, () => 0) },
        plain,
      ];
      const logits: Values[] = [];
      const counts = await counted(session, async () => {
        for (const dataset of [plain, ...others]) logits.push(await predict(session, dataset));
      });
      expect(counts).to.deep.equal({ kept: 1, recorded: 1, replayed: others.length - 1 });
      expect(logits.at(-1)).to.deep.equal(logits[0]);
      for (const [i, dataset] of others.entries()) {
        expect(logits[i + 1], `texts ${i}`).to.deep.equal(await eager(dataset));
      }
    });

    it('serves predictions with changed weights', async () => {
      const dataset = examples([4, 7, 2]);
      const training = await addExamples(session);
      for (let i = 0; i < STEPS; i++) {
        expect(await predict(session, dataset), `after step ${i}`).to.deep.equal(await eager(dataset));
        await train(training, i);
      }
      expect((await counted(session, () => predict(session, dataset))).replayed).to.equal(1);
    });

    it('of training outlives predictions and evaluations, and they outlive training', async () => {
      const alone = await makeSession(FULL, 1, MODEL, where);
      const expected = await alone.train(
        makePlan(await addExamples(alone), {
          order: Int32Array.from({ length: 5 * 6 }, (_, i) => makePlan(0).order[i % 5]!),
          learningRates: new Float64Array(6).fill(1e-3),
          firstStep: 0,
          maxGradNorm: 1,
        }),
      );
      await alone.dispose();
      const texts = examples([3, 3, 2]);
      const dataset = await addExamples(session);
      await session.reserve({ tokens: 64, sequences: 16, training: true });
      await session.reserve({ tokens: 64, sequences: 16, training: false });
      const losses: number[] = [];
      const counts = await counted(session, async () => {
        for (let step = 0; step < 6; step++) {
          losses.push(...(await train(dataset, step)));
          await session.forward(dataset, orderOf(5), startsOf(5, 2));
          await predict(session, texts);
        }
      });
      // Batches of two and of one text are of the padded sizes of predict's.
      expect(counts).to.deep.equal({ kept: 2, recorded: 2, replayed: 4 + 4 * 6 - 2 });
      expect(losses).to.deep.equal([...expected.losses]);
    });

    it('serves steps over another data set each', async () => {
      const losses: number[] = [];
      const counts = await counted(session, async () => {
        for (let step = 0; step < STEPS; step++) {
          const dataset = await addExamples(session);
          losses.push(...(await train(dataset, step)));
          await session.removeDataset(dataset);
        }
      });
      expect(counts).to.deep.equal({ kept: 1, recorded: 1, replayed: 1 });
      const fresh = await makeSession(FULL, 1, MODEL, where);
      const dataset = await addExamples(fresh);
      for (let step = 0; step < STEPS; step++) {
        const result = await fresh.train(makePlan(dataset, { firstStep: step, maxGradNorm: 1 }));
        expect(result.losses[0], `step ${step}`).to.equal(losses[step]);
      }
      await fresh.dispose();
    });

    it('serves batches of any mix of adapters', async () => {
      const dataset = await addExamples(session);
      const handles = [await session.addAdapter(...adapterOf(1)), await session.addAdapter(...adapterOf(2)), 0];
      const order = orderOf(5);
      const mixes = [0, 1, 2, 3].map((shift) => order.map((i) => handles[(i + shift) % handles.length]!));
      const logits: Values[] = [];
      const counts = await counted(session, async () => {
        for (const mix of mixes) logits.push(await session.forwardMixed(dataset, order, startsOf(5), mix));
      });
      expect(counts).to.deep.equal({ kept: 1, recorded: 1, replayed: 2 });
      expect(logits[3]).to.deep.equal(logits[0]);
      for (const [i, mix] of mixes.entries()) {
        const alone = await Promise.all(
          Array.from(order, (example, b) =>
            session.forwardMixed(dataset, Int32Array.of(example), startsOf(1), mix.subarray(b, b + 1)),
          ),
        );
        for (const [b, row] of alone.entries()) {
          const found = logits[i]!.subarray(b * MODEL.labels, (b + 1) * MODEL.labels);
          for (const [c, value] of row.entries()) expect(found[c], `mix ${i}`).to.be.closeTo(value, 1e-5);
        }
      }
    });

    // Some hundred graphs take a while to record.
    (LONG ? it : it.skip)('is bounded, and leaves what is used again and again', async function () {
      this.timeout(120_000);
      const model = { ...MODEL, layers: 1, maxPositions: 512 };
      const shape = { ...FULL, trains: (name: string) => name.startsWith('classifier.') };
      const many = await makeSession(shape, 1, model, where);
      const training = await addExamples(many);
      const step = (firstStep: number) => many.train(makePlan(training, { firstStep }));
      for (let i = 0; i < STEPS; i++) await step(i);
      await predict(many, examples(new Array(384).fill(1)));
      await step(STEPS);
      await step(STEPS + 1);
      const { total } = many.memory();
      // Sizes are told apart by tokens / 64, texts / 16 and the longest / 32, rounded up: more than are kept.
      for (const { tokens, texts, longest } of paddedSizes(384, 280)) {
        const lengths = Array.from({ length: texts }, (_, i) =>
          i === 0
            ? longest
            : Math.floor(((tokens - longest) * i) / (texts - 1)) -
              Math.floor(((tokens - longest) * (i - 1)) / (texts - 1)),
        );
        for (let i = 0; i < 2; i++) await predict(many, examples(lengths, i));
        // The features, and the head's step.
        if (texts === 1) expect((await counted(many, () => step(tokens))).replayed, 'training').to.equal(2);
      }
      const { kept, recorded } = await many.recordings();
      expect(recorded).to.be.greaterThan(270);
      expect(kept).to.equal(256);
      expect(many.memory().total).to.equal(total);
      await many.dispose();
    });
  });
}
