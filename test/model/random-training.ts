import fc from 'fast-check';
import { linearWeights, moduleOf } from '../../lib/architectures/rows.js';
import {
  loadNative,
  type NativeDataset,
  type NativeParameterInfo,
  type NativeSession,
  type NativeTrainPlan,
} from '../../lib/native/index.js';
import { configOf, type ModelShape, nativeConfig, type SessionShape } from '../native/shape.js';
import { startsOf } from '../native/support.js';

/*
 * Random models, methods, frozen parts, batches: everything that decides which parameters backward has to reach, and
 * which of forward's buffers it reads on its way.
 */

const FAMILIES = ['bert', 'roberta', 'distilbert', 'electra'] as const;

const ACTIVATIONS = ['gelu', 'gelu_new', 'silu'] as const;

/** Linear modules of a layer. */
export const LAYER_LINEARS = ['query', 'key', 'value', 'attention_output', 'intermediate', 'output'] as const;

/** Parts of names that users freeze. */
const PARTS = ['embeddings', 'pooler', 'classifier', 'attention', 'query', 'key', 'value', 'intermediate.dense'].concat(
  ['output.dense', 'LayerNorm', 'bias', 'lora_A', 'lora_B', 'prompt_encoder', 'transform.0', 'transform.2'],
);

/** A part of some parameter's name: a usual one, a layer, or any run of words of any name. */
type Part = string | { layer: number } | { parameter: number; from: number; words: number };

/** Everything that one run is made of, as it was drawn. */
export interface RandomTraining {
  family: (typeof FAMILIES)[number];
  /** Of ELECTRA's embeddings. */
  embeddingSize: number;
  activation: (typeof ACTIVATIONS)[number];
  layers: number;
  heads: number;
  headSize: number;
  feedForwardSize: number;
  labels: number;
  padTokenId: number;
  dropout: { hidden: number; attention: number; classifier: number; probe: number; lora: number };
  method: RandomMethod;
  /** What trains: all that the method does, all but what some parts name, or what they name alone. */
  trains: { rule: 'method' | 'freeze' | 'only'; parts: Part[] };
  lengths: number[];
  /** Positions beyond the longest example. */
  spare: number;
  order: number[];
  batchSize: number;
  accumulation: number;
  /** Where what was drawn trains: the model with everything trained keeps all. */
  gradientCheckpointing: boolean;
  threads: number;
  seed: number;
}

type RandomMethod =
  | { kind: 'full' }
  | { kind: 'linear' }
  | { kind: 'prefix'; virtualTokens: number; projection: boolean; head: boolean }
  | {
      kind: 'lora';
      rank: number;
      modules: { layers: number[]; names: (typeof LAYER_LINEARS)[number][]; outer: boolean };
      head: boolean;
    };

const upTo = (max: number, min = 1) => fc.integer({ min, max });

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.constantFrom(...PARTS),
  fc.record({ layer: fc.nat(7) }),
  fc.record({ parameter: fc.nat(199), from: fc.nat(5), words: upTo(6) }),
);

const method: fc.Arbitrary<RandomMethod> = fc.oneof(
  fc.record({ kind: fc.constant('full' as const) }),
  fc.record({ kind: fc.constant('linear' as const) }),
  fc.record({
    kind: fc.constant('prefix' as const),
    virtualTokens: upTo(5),
    projection: fc.boolean(),
    head: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('lora' as const),
    rank: upTo(5),
    modules: fc.record({
      layers: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 5 }),
      names: fc.subarray([...LAYER_LINEARS], { minLength: 1 }),
      outer: fc.boolean(),
    }),
    head: fc.boolean(),
  }),
);

const probability = fc.constantFrom(0, 0.1, 0.3);
const noDropout = { hidden: 0, attention: 0, classifier: 0, probe: 0, lora: 0 };

/** The most of each. */
export interface RandomSizes {
  layers: number;
  examples: number;
  /** Tokens of an example. */
  length: number;
}

/** Any run of training. */
export function randomTraining(sizes: RandomSizes): fc.Arbitrary<RandomTraining> {
  return fc.record({
    family: fc.constantFrom('bert' as const, ...FAMILIES),
    embeddingSize: upTo(10),
    activation: fc.constantFrom(...ACTIVATIONS),
    layers: upTo(sizes.layers),
    heads: upTo(3),
    headSize: fc.constantFrom(4, 8),
    feedForwardSize: upTo(20),
    labels: upTo(5, 2),
    padTokenId: fc.constantFrom(-1, 0, 3),
    dropout: fc.oneof(
      fc.constant(noDropout),
      fc.record({
        hidden: probability,
        attention: probability,
        classifier: probability,
        probe: probability,
        lora: probability,
      }),
    ),
    method,
    trains: fc.record({
      rule: fc.constantFrom('method' as const, 'freeze' as const, 'freeze' as const, 'only' as const),
      parts: fc.array(part, { minLength: 1, maxLength: 5 }),
    }),
    lengths: fc.array(upTo(sizes.length), { minLength: 1, maxLength: sizes.examples }),
    spare: fc.nat(2),
    order: fc.array(fc.nat(sizes.examples - 1), { minLength: 1, maxLength: 2 * sizes.examples }),
    batchSize: upTo(sizes.examples),
    accumulation: upTo(3),
    gradientCheckpointing: fc.boolean(),
    threads: upTo(3),
    seed: fc.nat(2 ** 31),
  });
}

const VOCABULARY = 11;

/** RoBERTa's padding token takes a position, behind which texts begin, so there is one. */
function paddingOf({ family, padTokenId }: RandomTraining): number {
  return family === 'roberta' ? Math.max(0, padTokenId) : padTokenId;
}

function modelOf(run: RandomTraining): ModelShape {
  const { family } = run;
  const prefix = run.method.kind === 'prefix' ? run.method.virtualTokens : 0;
  const padTokenId = paddingOf(run);
  const offset = family === 'roberta' ? padTokenId + 1 : 0;
  return {
    modelType: family,
    vocabSize: VOCABULARY,
    ...(family === 'electra' && { embeddingSize: run.embeddingSize }),
    hiddenSize: run.heads * run.headSize,
    layers: run.layers,
    heads: run.heads,
    feedForwardSize: run.feedForwardSize,
    maxPositions: Math.max(...run.lengths) + prefix + run.spare + offset,
    typeVocabSize: family === 'distilbert' ? 0 : 2,
    labels: run.labels,
    padTokenId,
    layerNormEps: 1e-5,
    activation: run.activation,
    hiddenDropout: run.dropout.hidden,
    attentionDropout: run.dropout.attention,
    classifierDropout: run.dropout.classifier,
  };
}

function modulesOf(run: RandomTraining): string[] {
  if (run.method.kind !== 'lora') return [];
  const { layers, names, outer } = run.method.modules;
  const chosen = layers.map((layer) => layer % run.layers);
  return linearWeights(configOf(modelOf(run)))
    .filter(({ role, layer }) => (layer < 0 ? outer : chosen.includes(layer) && names.some((name) => name === role)))
    .map(moduleOf);
}

type Where = Pick<SessionShape, 'device' | 'precision'>;

function shapeOf(run: RandomTraining, where: Where): SessionShape {
  const { method: drawn, dropout } = run;
  return {
    ...where,
    threads: run.threads,
    model: modelOf(run),
    head: drawn.kind === 'linear' ? 'probe' : 'classifier',
    probeDropout: dropout.probe,
    lora:
      drawn.kind === 'lora' ? { modules: modulesOf(run), rank: drawn.rank, scaling: 1.5, dropout: dropout.lora } : null,
    prefix: drawn.kind === 'prefix' ? { virtualTokens: drawn.virtualTokens, projection: drawn.projection } : null,
    trainable: [],
    decay: [],
  };
}

/** Names of all parameters of a run's model. */
export async function namesOf(run: RandomTraining): Promise<string[]> {
  const session = await loadNative().createSession(nativeConfig(shapeOf(run, { device: 'cpu', precision: 'fp64' })));
  const names = session.parameters().map(({ name }) => name);
  await session.dispose();
  return names;
}

/** What a method trains by itself. */
function methodTrains({ method: drawn }: RandomTraining, name: string): boolean {
  const isHead = /^(pre_)?classifier\./.test(name);
  if (drawn.kind === 'full') return true;
  if (drawn.kind === 'linear') return isHead;
  const own = drawn.kind === 'lora' ? name.includes('.lora_') : name.startsWith('prompt_encoder.');
  return own || (drawn.head && isHead);
}

function textOf(drawn: Part, run: RandomTraining, names: readonly string[]): string {
  if (typeof drawn === 'string') return drawn;
  if ('layer' in drawn) return `layer.${drawn.layer % run.layers}`;
  const words = names[drawn.parameter % names.length]!.split('.');
  const from = drawn.from % words.length;
  return words.slice(from, from + drawn.words).join('.');
}

/** What trains: at least one parameter, which is a LayerNorm where the drawn rule leaves none. */
function trainableOf(run: RandomTraining, names: readonly string[]): string[] {
  const { rule, parts } = run.trains;
  const texts = parts.map((drawn) => textOf(drawn, run, names));
  const named = (name: string) => texts.some((text) => `.${name}.`.includes(`.${text}.`));
  const trains: Record<typeof rule, (name: string) => boolean> = {
    method: (name) => methodTrains(run, name),
    freeze: (name) => !named(name),
    only: named,
  };
  const trainable = names.filter(trains[rule]);
  return trainable.length > 0
    ? trainable
    : names.filter((name) => /0\.output(\.LayerNorm|_layer_norm)\.weight$/.test(name));
}

/** Numbers in [0, 1) that a seed repeats. */
function fractions(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function datasetOf(run: RandomTraining): NativeDataset {
  const next = fractions(run.seed);
  const below = (count: number) => Math.floor(next() * count);
  const offsets = [0];
  for (const length of run.lengths) offsets.push(offsets.at(-1)! + length);
  const tokens = offsets.at(-1)!;
  return {
    ids: Int32Array.from({ length: tokens }, () => below(VOCABULARY)),
    ...(run.family !== 'distilbert' && { typeIds: Int32Array.from({ length: tokens }, () => below(2)) }),
    offsets: Int32Array.from(offsets),
    labels: Int32Array.from(run.lengths, () => below(run.labels)),
  };
}

function planOf(run: RandomTraining, dataset: number): NativeTrainPlan {
  const order = Int32Array.from(run.order, (index) => index % run.lengths.length);
  const steps = Math.ceil(Math.ceil(order.length / run.batchSize) / run.accumulation);
  return {
    dataset,
    order,
    batchSize: run.batchSize,
    accumulation: run.accumulation,
    learningRates: new Float64Array(steps),
    firstStep: 3,
    seed: run.seed,
    weightDecay: 0,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    maxGradNorm: 0,
    labelSmoothing: 0.1,
    classWeights: Float64Array.from({ length: run.labels }, (_, i) => 0.5 + i),
  };
}

export type Values = Float32Array | Float64Array;

/** Gradients by parameter: of the first batch alone, and of the last step of all batches. */
export interface Gradients {
  loss: number;
  batch: Map<string, Values>;
  step: Map<string, Values>;
}

/** A session of a run, with every parameter away from zero. */
export class RandomSession {
  private constructor(
    private readonly run: RandomTraining,
    private readonly session: NativeSession,
    private readonly plan: NativeTrainPlan,
  ) {}

  /** @param trains 'drawn': what the run says; 'everything': all parameters, also those that its method freezes */
  static async make(run: RandomTraining, where: Where, trains: 'drawn' | 'everything'): Promise<RandomSession> {
    const names = await namesOf(run);
    const trainable = trains === 'everything' ? names : trainableOf(run, names);
    const session = await loadNative().createSession(nativeConfig({ ...shapeOf(run, where), trainable }));
    for (const name of names) {
      const isGain = /LayerNorm\.weight|layer_norm\.weight|classifier\.[04]\.weight/.test(name);
      await session.initialize(name, { distribution: 'normal', scale: isGain ? 1 : 0.3, seed: run.seed });
    }
    const plan = planOf(run, await session.addDataset(datasetOf(run)));
    const gradientCheckpointing = run.gradientCheckpointing && trains === 'drawn';
    return new RandomSession(run, session, { ...plan, gradientCheckpointing });
  }

  get trainable(): NativeParameterInfo[] {
    return this.session.parameters().filter(({ trainable }) => trainable);
  }

  /** Gradients as training makes them, with predictions in between, which take the same memory. */
  async gradients(): Promise<Gradients> {
    const { dataset, order } = this.plan;
    const predict = () => this.session.forward(dataset, order, startsOf(order.length, 2));
    const { loss } = await this.session.gradients(this.plan);
    const batch = await this.#read();
    await predict();
    // A rate of 0 leaves the parameters as they are.
    await this.session.train(this.plan);
    const step = await this.#read();
    await predict();
    return { loss, batch, step };
  }

  async #read(): Promise<Map<string, Values>> {
    const gradients = new Map<string, Values>();
    for (const { name } of this.trainable) gradients.set(name, await this.session.read(name, 'gradient'));
    return gradients;
  }

  /**
   * How the first batch's loss changes as a parameter moves in a direction, by differences of fourth order; the parameter
   * is as it was afterwards.
   */
  async slope(name: string, direction: Float64Array, step: number): Promise<number> {
    const start = await this.session.read(name, 'value');
    const lossAt = async (by: number) => {
      const moved = Float64Array.from(start, (value, i) => value + by * direction[i]!);
      await this.session.write(name, 'value', 'F64', new Uint8Array(moved.buffer));
      return (await this.session.gradients(this.plan)).loss;
    };
    const near = (await lossAt(step)) - (await lossAt(-step));
    const far = (await lossAt(2 * step)) - (await lossAt(-2 * step));
    await lossAt(0);
    return (8 * near - far) / (12 * step);
  }

  /** A random direction for a parameter; zero in the row of the padding token, whose gradient is left out on purpose. */
  direction({ name, shape }: NativeParameterInfo): Float64Array {
    const next = fractions(this.run.seed ^ 0x5bd1e995);
    const size = shape.reduce((product, length) => product * length, 1);
    const direction = Float64Array.from({ length: size }, () => 2 * next() - 1);
    const padTokenId = paddingOf(this.run);
    const columns = shape.at(-1)!;
    if (padTokenId >= 0 && name.endsWith('.word_embeddings.weight')) {
      direction.fill(0, padTokenId * columns, (padTokenId + 1) * columns);
    }
    return direction;
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }
}
