import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { loadNative, type NativePrecision, type NativeSession, type NativeTrainPlan } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { MODEL, makePlan } from '../model/tiny-session.js';
import { type ModelShape, nativeConfig, rowsOf, type SessionShape } from '../native/shape.js';
import { startsOf } from '../native/support.js';
import { Random } from '../operations/harness.js';

/*
 * Whole runs with word embeddings that are updated late (native/cuda/lazy_rows.h), held to the bits of the same runs with
 * BERTUNE_LAZY_ADAMW=off, whose every step zeroes, sums and updates all rows.
 */

const EXAMPLES = 40;
const LENGTH = 6;
const V = 211;

const BERT: ModelShape = { ...MODEL, vocabSize: V, layers: 1, padTokenId: 0 };
const ELECTRA: ModelShape = { ...BERT, modelType: 'electra', embeddingSize: 12 };

/** Models that differ in their tables. */
const MODELS: Record<string, ModelShape> = {
  'a padding token in the texts': {
    ...{ ...BERT, modelType: 'roberta', padTokenId: 1, maxPositions: 18, typeVocabSize: 1 },
  },
  'more columns than a block takes at once': { ...ELECTRA, embeddingSize: 1036 },
  'columns that are no multiple of four': { ...ELECTRA, embeddingSize: 18 },
};

/** Sessions read the switch when they are made. */
async function withSwitch<T>(value: string | undefined, work: () => Promise<T>): Promise<T> {
  if (value !== undefined) process.env.BERTUNE_LAZY_ADAMW = value;
  try {
    return await work();
  } finally {
    delete process.env.BERTUNE_LAZY_ADAMW;
  }
}

/** Trains everything, each parameter at a rate of its own and every other one with decay. */
async function open(model: ModelShape, device: string, precision: NativePrecision): Promise<NativeSession> {
  const shape: SessionShape = {
    ...{ device, precision, threads: 1, model, head: 'classifier', probeDropout: 0.1, lora: null, prefix: null },
    ...{ trainable: [], decay: [] },
  };
  const names = rowsOf(shape).map(({ name }) => name);
  const config = nativeConfig({ ...shape, trainable: names, decay: names.filter((_, i) => i % 2 === 0) });
  const parameters = config.parameters.map((row, i) => ({ ...row, rate: 1 + (i % 3) / 4 }));
  const session = await loadNative().createSession({ ...config, parameters });
  for (const name of names) {
    const scale = /LayerNorm\.weight/.test(name) ? 1 : 0.3;
    await session.initialize(name, { distribution: 'normal', scale, seed: 5 });
  }
  return session;
}

/** Examples that meet some rows often and most rarely. */
async function addExamples(session: NativeSession, seed: number): Promise<number> {
  const random = new Random(seed);
  const ids = Int32Array.from({ length: EXAMPLES * LENGTH }, () => Math.floor(V * random.next() ** 3));
  const offsets = Int32Array.from({ length: EXAMPLES + 1 }, (_, i) => i * LENGTH);
  return session.addDataset({ ids, offsets, labels: random.integers(EXAMPLES, MODEL.labels) });
}

const PARTS = ['value', 'm', 'v'] as const;
type Part = (typeof PARTS)[number];

const bytesOf = (values: Float32Array | Float64Array) =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const write = (session: NativeSession, name: string, part: Part, values: Float32Array | Float64Array) =>
  session.write(name, part, values instanceof Float64Array ? 'F64' : 'F32', bytesOf(values));

/** What a run leaves, each with a name of its own: hashes of arrays. */
class Trace {
  readonly entries: string[] = [];

  add(what: string, values: Float32Array | Float64Array): void {
    this.entries.push(`${what}: ${createHash('sha256').update(bytesOf(values)).digest('base64')}`);
  }
  async addState(what: string, session: NativeSession): Promise<void> {
    for (const { name } of session.parameters()) {
      for (const part of PARTS) this.add(`${what}, ${part} of ${name}`, await session.read(name, part));
    }
  }
}

class Journey {
  readonly trace = new Trace();
  private steps = 0;

  private constructor(
    private session: NativeSession,
    private dataset: number,
    private readonly word: string,
    private readonly open: () => Promise<[NativeSession, number]>,
  ) {}

  static async begin(model: ModelShape, device: string, precision: NativePrecision, seed = 1): Promise<Journey> {
    const opened = async (): Promise<[NativeSession, number]> => {
      const session = await open(model, device, precision);
      return [session, await addExamples(session, seed)];
    };
    const [session, dataset] = await opened();
    const word = session.parameters().find(({ name }) => name.endsWith('word_embeddings.weight'))!.name;
    return new Journey(session, dataset, word, opened);
  }

  async train(steps: number, changes: Partial<NativeTrainPlan> = {}): Promise<string> {
    const random = new Random(100 + this.steps);
    const plan = makePlan(this.dataset, {
      order: random.integers(2 * steps * (changes.accumulation ?? 1), EXAMPLES),
      batchSize: 2,
      learningRates: Float64Array.from({ length: steps }, () => 1e-2 * random.next()),
      firstStep: this.steps,
      weightDecay: 0.1,
      beta1: 0.6, // moments fade within the test
      maxGradNorm: 0.5,
      ...changes,
    });
    const { losses, gradNorms, stopped } = await this.session.train(plan);
    this.trace.add(`losses after step ${this.steps}`, losses);
    this.trace.add(`norms after step ${this.steps}`, gradNorms);
    this.steps += steps;
    return stopped;
  }

  async evaluate(): Promise<void> {
    const logits = await this.session.forward(this.dataset, Int32Array.of(7, 31, 12, 39, 0), startsOf(5, 2));
    this.trace.add(`logits after step ${this.steps}`, logits);
  }

  async gradients(): Promise<void> {
    const order = Int32Array.of(5, 6, 7);
    await this.session.gradients(makePlan(this.dataset, { order, batchSize: 3, firstStep: this.steps }));
    this.trace.add(`gradient after step ${this.steps}`, await this.session.read(this.word, 'gradient'));
  }

  /** From what a checkpoint has, in a new session. */
  async resume(): Promise<void> {
    const before = this.session;
    [this.session, this.dataset] = await this.open();
    for (const { name } of before.parameters()) {
      for (const part of PARTS) await write(this.session, name, part, await before.read(name, part));
    }
    await before.dispose();
  }

  async halt(): Promise<void> {
    const classifier = this.session.parameters().find(({ name }) => /classifier.*weight/.test(name))!.name;
    const good = await this.session.read(classifier, 'value');
    await write(
      this.session,
      classifier,
      'value',
      good.map(() => Number.NaN),
    );
    expect(await this.train(3)).to.equal('non-finite');
    await this.trace.addState(`halted at step ${this.steps}`, this.session);
    await write(this.session, classifier, 'value', good);
  }

  async scaleMoments(): Promise<void> {
    for (const part of ['m', 'v'] as const) {
      const values = await this.session.read(this.word, part);
      await write(
        this.session,
        this.word,
        part,
        values.map((x) => x * 0.5),
      );
    }
  }

  async end(): Promise<string[]> {
    await this.trace.addState('the end', this.session);
    await this.session.dispose();
    return this.trace.entries;
  }
}

/** Everything that may come between steps. */
async function wholeRun(journey: Journey): Promise<string[]> {
  await journey.evaluate();
  await journey.train(3, { learningRates: new Float64Array(3) }); // warm-up
  await journey.train(40);
  await journey.evaluate();
  await journey.train(12, { accumulation: 2 });
  await journey.gradients();
  await journey.evaluate();
  await journey.evaluate();
  await journey.train(5, { accumulation: 3, gradientCheckpointing: true });
  await journey.halt();
  await journey.train(10, { maxGradNorm: 0, weightDecay: 0 });
  await journey.scaleMoments();
  await journey.train(20, { beta2: 0.5 });
  await journey.resume();
  await journey.train(10, { accumulation: 2 });
  await journey.evaluate();
  return journey.end();
}

/** Some steps, most of them recorded, and an evaluation. */
async function shortRun(journey: Journey): Promise<string[]> {
  await journey.train(6);
  await journey.evaluate();
  await journey.gradients();
  await journey.train(3, { accumulation: 2 });
  return journey.end();
}

for (const { device, precisions } of gpus()) {
  describe(`runs with word embeddings that are updated late on ${device}`, function () {
    this.timeout(300_000);

    async function expectSame(
      model: ModelShape,
      precision: NativePrecision,
      run: (journey: Journey) => Promise<string[]>,
    ) {
      const whole = async () => run(await Journey.begin(model, device, precision));
      const dense = await withSwitch('off', whole);
      expect(await withSwitch(undefined, whole)).to.deep.equal(dense);
    }

    for (const [name, model, precision] of [
      ['BERT', BERT, 'fp32'],
      ['ELECTRA', ELECTRA, 'bf16'],
    ] as const) {
      if (!precisions.includes(precision)) continue;
      it(`have the bits of those that update every row in every step: ${name} in ${precision}`, () =>
        expectSame(model, precision, wholeRun));
    }

    for (const [name, model] of Object.entries(MODELS)) {
      it(`have the same bits with ${name}`, () => expectSame(model, 'bf16', shortRun));
    }

    it('do not disturb each other', async () => {
      const run = async (seed: number) => shortRun(await Journey.begin(BERT, device, 'fp32', seed));
      const [first, second] = await Promise.all([run(2), run(3)]);
      expect(first).to.deep.equal(await run(2));
      expect(second).to.deep.equal(await run(3));
    });
  });
}
