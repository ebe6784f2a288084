import { expect } from 'chai';
import type { NativePrecision, NativeSession, Values } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import type { ModelShape } from '../native/shape.js';
import { startsOf } from '../native/support.js';
import { Random } from '../operations/harness.js';
import { METHODS, MODEL, makePlan, makeSession } from './tiny-session.js';

/*
 * The gradient of the word embeddings has no more rows than a step has tokens. Here training with such a gradient is held
 * to the bits of training with one that has all rows, because steps of as many tokens were planned for.
 */

const WORD = 'bert.embeddings.word_embeddings.weight';
const V = 97;
const PADDING = 2;
const LENGTH = 6;
const RANDOM = 40;
const TINY: ModelShape = { ...MODEL, vocabSize: V, layers: 1, padTokenId: PADDING };

/** Examples of one id alone, of padding alone, and, from `ALL` on, of every id once together. */
const ONE = RANDOM;
const PADDED = RANDOM + 1;
const ALL = RANDOM + 2;
const ALL_COUNT = Math.ceil(V / LENGTH);

async function addTexts(session: NativeSession): Promise<number> {
  const random = new Random(7);
  const ids = [
    // Some rows are met in many texts, most in one or in none; padding in some.
    ...Array.from({ length: RANDOM * LENGTH }, () => Math.floor(V * random.next() ** 3)),
    ...new Array<number>(LENGTH).fill(V - 1),
    ...new Array<number>(LENGTH).fill(PADDING),
    ...Array.from({ length: ALL_COUNT * LENGTH }, (_, i) => (31 * i) % V),
  ];
  const examples = ids.length / LENGTH;
  return session.addDataset({
    ids: Int32Array.from(ids),
    offsets: Int32Array.from({ length: examples + 1 }, (_, i) => i * LENGTH),
    labels: random.integers(examples, MODEL.labels),
  });
}

interface Setting {
  device: string;
  precision: NativePrecision;
  threads: number;
  /** Elements of a row. */
  C: number;
}

/** A session and the bits of all that it gave. */
class Training {
  readonly found: Record<string, string> = {};
  private steps = 0;

  private constructor(
    readonly session: NativeSession,
    private readonly dataset: number,
  ) {}

  static async begin({ device, precision, threads, C }: Setting): Promise<Training> {
    const model = { ...TINY, hiddenSize: C };
    const session = await makeSession(METHODS.full!, threads, model, { device, precision });
    return new Training(session, await addTexts(session));
  }

  private keep(what: string, values: Values): void {
    this.found[`${what} after step ${this.steps}`] = Buffer.from(
      values.buffer,
      values.byteOffset,
      values.byteLength,
    ).toString('base64');
  }

  /** Steps over these examples, `batchSize · accumulation` each; the last may have fewer. */
  async train(examples: readonly number[], batchSize: number, accumulation = 1): Promise<void> {
    const steps = Math.ceil(examples.length / (batchSize * accumulation));
    const plan = makePlan(this.dataset, {
      ...{ order: Int32Array.from(examples), batchSize, accumulation, firstStep: this.steps },
      learningRates: new Float64Array(steps).fill(3e-3),
      ...{ weightDecay: 0.1, beta1: 0.6, maxGradNorm: 0.5 },
    });
    const { losses, gradNorms, stopped } = await this.session.train(plan);
    expect(stopped).to.equal('done');
    this.steps += steps;
    this.keep('losses', losses);
    this.keep('norms', gradNorms);
    await this.keepGradient();
  }

  async gradients(examples: readonly number[]): Promise<void> {
    await this.session.gradients(
      makePlan(this.dataset, {
        order: Int32Array.from(examples),
        batchSize: examples.length,
        firstStep: this.steps,
      }),
    );
    await this.keepGradient();
  }

  async evaluate(): Promise<void> {
    this.keep('logits', await this.session.forward(this.dataset, Int32Array.of(7, 31, ONE, ALL), startsOf(4, 2)));
  }

  private async keepGradient(): Promise<void> {
    const gradient = await this.session.read(WORD, 'gradient');
    const C = gradient.length / V;
    expect(gradient.subarray(PADDING * C, (PADDING + 1) * C).every((x) => x === 0)).to.equal(true);
    this.keep('gradient', gradient);
  }

  async end(): Promise<Record<string, string>> {
    for (const { name } of this.session.parameters()) {
      for (const part of ['value', 'm', 'v'] as const)
        this.keep(`${part} of ${name}`, await this.session.read(name, part));
    }
    await this.session.dispose();
    return this.found;
  }
}

const range = (begin: number, end: number): number[] => Array.from({ length: end - begin }, (_, i) => begin + i);

/** All kinds of steps; the gradient gets more rows in between, and in the end all of them. */
async function allKinds(training: Training): Promise<Record<string, string>> {
  await training.train(range(0, 9), 1);
  await training.train([ONE, PADDED, 3, ONE], 1);
  await training.evaluate();
  await training.train(range(5, 20), 2); // the last step has one text
  await training.gradients([11, 12]);
  await training.train([...range(0, 13), ONE, PADDED, PADDED], 2, 3); // the last micro-batches are fewer
  await training.evaluate();
  await training.train(range(20, 40), 4);
  await training.train(range(ALL, ALL + ALL_COUNT), ALL_COUNT); // every row in one step
  await training.train(range(ALL, ALL + ALL_COUNT), 4, 5);
  await training.train(range(0, 12), 3);
  await training.evaluate();
  return training.end();
}

const SETTINGS: readonly Setting[] = devices().flatMap(({ device, precisions }): Setting[] =>
  device === 'cpu'
    ? [
        { device, precision: 'fp32', threads: 1, C: 16 },
        { device, precision: 'fp32', threads: 3, C: 20 },
        { device, precision: 'fp64', threads: 2, C: 20 },
      ]
    : (['fp32', 'bf16'] as const)
        .filter((precision) => precisions.includes(precision))
        .map((precision) => ({ device, precision, threads: 1, C: precision === 'fp32' ? 24 : 16 })),
);

const titleOf = ({ device, precision, threads }: Setting): string => `${device}, ${precision}, ${threads} threads`;

describe('a gradient of the word embeddings that has a row for each token of a step', function () {
  this.timeout(240_000);

  for (const setting of SETTINGS) {
    it(`gives the bits of one that has all rows: ${titleOf(setting)}`, async () => {
      const compact = await Training.begin(setting);
      const dense = await Training.begin(setting);
      await dense.session.reserve({ tokens: 8, sequences: 2, training: true, stepTokens: V });
      const expected = await allKinds(dense);
      expect(await allKinds(compact)).to.deep.equal(expected);
    });
  }

  for (const setting of SETTINGS.filter(({ threads, precision }) => threads === 1 && precision === 'fp32')) {
    it(`takes memory by the tokens of a step, up to the whole vocabulary: ${setting.device}`, async () => {
      const training = await Training.begin(setting);
      const { session } = training;
      const { gradients: others } = session.memory();
      const bytes = () => session.memory().gradients - others;
      // A GPU runs batches at multiples of 64 tokens.
      const bucket = setting.device === 'cpu' ? 1 : 64;
      // Aligned, and behind it a gap to the gradients of the others.
      const bytesOf = (tokens: number) => {
        const rows = Math.min(V, bucket * Math.ceil(tokens / bucket));
        return 64 * (Math.ceil((4 * setting.C * rows) / 64) + 1);
      };
      const limits = { tokens: 2 * LENGTH, sequences: 2, training: true };
      expect(await session.read(WORD, 'gradient')).to.deep.equal(new Float32Array(V * setting.C));
      await session.reserve(limits);
      expect(bytes()).to.equal(bytesOf(2 * LENGTH));
      await session.reserve({ ...limits, stepTokens: 6 * LENGTH });
      expect(bytes()).to.equal(bytesOf(6 * LENGTH));
      await training.train(range(0, 12), 2, 3);
      expect(bytes()).to.equal(bytesOf(6 * LENGTH));
      await training.train(range(0, 20), 2, 10);
      expect(bytes()).to.equal(bytesOf(V));
      await session.dispose();
    });
  }
});
