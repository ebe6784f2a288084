import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import {
  loadNative,
  type NativeSession,
  type NativeTrainPlan,
  type NativeTrainResult,
} from '../../lib/native/index.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { nativeConfig, rowsOf } from '../native/shape.js';
import { startsOf } from '../native/support.js';
import { expectSameRun, relativeError, testDevices } from './support.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * Variants that train together, on parts of the same batches, come to what each comes to in a session of its own: losses,
 * norms, right predictions, parameters and logits, dropout masks included.
 */

const isOwn = (name: string) => name.includes('lora_') || name.startsWith('classifier.');
const every = METHODS['LoRA on every Linear']!;
const some = METHODS['LoRA on query and value']!;

const SHAPES: readonly Shape[] = [
  some,
  { ...every, lora: { ...every.lora!, rank: 4, dropout: 0 }, trains: isOwn },
  { ...some, lora: { ...some.lora!, rank: 1, scaling: 3 }, decays: (name) => name.endsWith('.weight') },
];

type Where = NonNullable<Parameters<typeof makeSession>[3]>;

/** A session of all shapes, and how to work on each. */
async function makeVariants(where: Where): Promise<NativeSession> {
  const configs = SHAPES.map((shape) => {
    const common = {
      ...where,
      threads: 2,
      model: MODEL,
      head: shape.head,
      probeDropout: 0,
      lora: shape.lora,
      prefix: null,
    };
    const names = nativeConfig({ ...common, trainable: [], decay: [] }).parameters.map(({ name }) => name);
    return nativeConfig({
      ...common,
      trainable: names.filter(shape.trains),
      decay: shape.decays ? names.filter(shape.decays) : [],
    });
  });
  const session = await loadNative().createSession({
    ...configs[0]!,
    parameters: configs.flatMap(({ parameters }, variant) =>
      parameters.filter(({ name }) => variant === 0 || isOwn(name)).map((row) => ({ ...row, variant })),
    ),
    lora: configs.map(({ lora }) => lora!),
  });
  for (const [variant, { parameters }] of configs.entries()) {
    session.select(variant);
    for (const { name } of parameters) {
      if (variant > 0 && !isOwn(name)) continue;
      const isGain = /LayerNorm\.weight/.test(name);
      await session.initialize(name, { distribution: 'normal', scale: isGain ? 1 : 0.3, seed: 5 });
    }
  }
  return session;
}

/** Of 13 examples: batches of three, the last of one. */
const ORDER = Int32Array.from({ length: 13 }, (_, i) => (3 * i + Math.floor(i / 5)) % 5);
const RATES = [2e-3, 5e-4, 1e-3];

/** Some steps from `from` on of the given variants: with their learning rates, a step at a time. */
function planOf(
  dataset: number,
  variants: readonly number[],
  from: number,
  to: number,
  more: Partial<NativeTrainPlan>,
) {
  const step = 3 * (more.accumulation ?? 1);
  const order = ORDER.slice(from * step, to * step);
  const steps = Math.ceil(order.length / step);
  return makePlan(dataset, {
    order,
    batchSize: 3,
    learningRates: Float64Array.from({ length: steps * variants.length }, (_, i) => {
      return RATES[variants[i % variants.length]!]! / (1 + from + Math.floor(i / variants.length));
    }),
    firstStep: from,
    weightDecay: 0.05,
    maxGradNorm: 1,
    ...more,
  });
}

type Found = Map<string, ArrayLike<number>>;

async function resultOf(session: NativeSession, dataset: number, shape: Shape, results: readonly NativeTrainResult[]) {
  const found: Found = new Map<string, ArrayLike<number>>([
    ['losses', results.flatMap(({ losses }) => [...losses])],
    ['norms', results.flatMap(({ gradNorms }) => [...gradNorms])],
    ['counts', results.flatMap(({ steps, correct, examples }) => [steps, correct, examples])],
    ['logits', await session.forward(dataset, Int32Array.of(4, 1, 0, 3, 2), startsOf(5, 2))],
  ]);
  for (const { name } of rowsOf({ model: MODEL, head: shape.head, lora: shape.lora, prefix: null })) {
    if (shape.trains(name)) found.set(name, await session.read(name, 'value'));
  }
  return found;
}

const targetsFor = ({ loss }: Where) =>
  loss === undefined ? {} : { targets: Float32Array.from({ length: 5 * MODEL.labels }, (_, i) => i % 2) };

/** Variant by itself, in calls that end behind these steps. */
async function alone(variant: number, where: Where, calls: readonly number[], more: Partial<NativeTrainPlan>) {
  const session = await makeSession(SHAPES[variant]!, 2, MODEL, where);
  const dataset = await addExamples(session, targetsFor(where));
  const results: NativeTrainResult[] = [];
  for (const [call, end] of calls.entries()) {
    results.push(await session.train(planOf(dataset, [variant], calls[call - 1] ?? 0, end, more)));
  }
  const found = await resultOf(session, dataset, SHAPES[variant]!, results);
  await session.dispose();
  return found;
}

/** All of `variants` together, each as long as it is in the list of its call. */
async function together(
  where: Where,
  calls: readonly [end: number, variants: number[]][],
  more: Partial<NativeTrainPlan>,
) {
  const session = await makeVariants(where);
  const dataset = await addExamples(session, targetsFor(where));
  const results = SHAPES.map((): NativeTrainResult[] => []);
  for (const [call, [end, variants]] of calls.entries()) {
    const plan = planOf(dataset, variants, calls[call - 1]?.[0] ?? 0, end, more);
    const all = await session.trainTogether({ ...plan, variants: Int32Array.from(variants) });
    for (const [i, variant] of variants.entries()) results[variant]!.push(all[i]!);
  }
  const found: Found[] = [];
  for (const [variant, shape] of SHAPES.entries()) {
    session.select(variant);
    found.push(await resultOf(session, dataset, shape, results[variant]!));
  }
  await session.dispose();
  return found;
}

for (const { device, precision } of testDevices()) {
  const where = { device, precision };
  const tolerance = precision === 'fp64' ? 1e-12 : 5e-5;

  describe(`variants that train together on ${device} in ${precision}`, function () {
    this.timeout(60_000);
    const directory = useTemporaryDirectory();

    for (const [title, loss, more] of [
      ['classes', undefined, {}],
      ['steps of two micro-batches', undefined, { accumulation: 2 }],
      ['layers that run again', undefined, { gradientCheckpointing: true }],
      ['several labels', 'binary_cross_entropy', { labelSmoothing: 0 }],
    ] as const) {
      // The emulator is slow.
      if (device === 'cuda-emulated' && (title === 'classes' || title === 'layers that run again')) continue;
      it(`come to what each does alone: ${title}`, async () => {
        const here = { ...where, ...(loss && { loss }) };
        const steps = Math.ceil(ORDER.length / (3 * ('accumulation' in more ? more.accumulation : 1)));
        const found = await together(here, [[steps, [0, 1, 2]]], more);
        for (const variant of SHAPES.keys()) {
          expectSameRun(found[variant]!, await alone(variant, here, [steps], more), {
            precision,
            tolerance,
            what: `variant ${variant}`,
          });
        }
      });
    }

    if (device === 'cuda-emulated') {
      it('put the rows of all into one product with each frozen weight, replayed from a recording', async () => {
        // The same sizes again and again: met, recorded, replayed.
        const order = Int32Array.from({ length: 15 }, (_, i) => [3, 0, 4][i % 3]!);
        const again = { order, learningRates: new Float64Array(5).fill(1e-3), batchSize: 3 };
        const file = directory.path('nodes');
        process.env.BERTUNE_EMULATED_LIST_GRAPHS = file;
        const run = async (session: NativeSession, variants?: number[]) => {
          const dataset = await addExamples(session);
          const plan = makePlan(dataset, again);
          const learningRates = new Float64Array(5 * (variants?.length ?? 1)).fill(1e-3);
          const results = variants
            ? await session.trainTogether({ ...plan, learningRates, variants: Int32Array.from(variants) })
            : [await session.train(plan)];
          expect((await session.recordings()).replayed).to.be.greaterThan(1);
          // Of the graph that was recorded last, a node a line.
          const nodes = (await readFile(file, 'utf8')).split('\n');
          const products = nodes.filter((node) => /\bproduct</.test(node)).length;
          await session.dispose();
          return { products, losses: results.map(({ losses }) => [...losses]) };
        };
        try {
          const all = await run(await makeVariants(where), [0, 1, 2]);
          const each = [];
          for (const shape of SHAPES) each.push(await run(await makeSession(shape, 2, MODEL, where)));
          for (const [i, { losses }] of each.entries()) {
            expect(relativeError(all.losses[i]!, losses[0]!)).to.be.at.most(tolerance);
          }
          // What is a variant's own: the pooler and the classifier, forward and backward, of few rows.
          const own = 5;
          expect(each[0]!.products).to.be.greaterThan(4 * own);
          expect(all.products).to.equal(each[0]!.products + 2 * own);
        } finally {
          delete process.env.BERTUNE_EMULATED_LIST_GRAPHS;
        }
      });
    }

    it('leave one another alone where some stop early', async () => {
      const found = await together(
        where,
        [
          [1, [0, 1, 2]],
          [3, [0, 2]],
          [5, [2]],
        ],
        {},
      );
      for (const [variant, calls] of [[1, 3, 5].slice(0, 2), [1], [1, 3, 5]].entries()) {
        expectSameRun(found[variant]!, await alone(variant, where, calls, {}), {
          precision,
          tolerance,
          what: `variant ${variant}`,
        });
      }
    });
  });
}
