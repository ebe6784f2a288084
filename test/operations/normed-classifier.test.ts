import { expect } from 'chai';
import {
  Arguments,
  type Case,
  devices,
  expectSameBits,
  garbage,
  type Operation,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  type Sizes,
  starts,
  type Tensors,
} from './harness.js';
import { binaryCrossEntropy, crossEntropy, meanSquaredError } from './losses.js';
import { dot, dropoutFactor, layernorm, layernormBackward } from './reference.js';

const NAME = 'normed_classifier';
const LOSSES = [crossEntropy, binaryCrossEntropy, meanSquaredError];
const [CROSS_ENTROPY, BINARY_CROSS_ENTROPY, MEAN_SQUARED_ERROR] = [0, 1, 2];

const normedClassifier: Operation = {
  name: NAME,
  formula(args, round) {
    const [k, NC, eps] = [args.size('k'), args.size('NC'), args.size('eps')];
    const B = args.ints('cu_seqlens').length - 1;
    const [inp, gamma, beta, weight, bias] = ['inp', 'gamma', 'beta', 'weight', 'bias'].map((name) =>
      args.floats(name),
    ) as Float64Array[];
    const factorAt = dropoutFactor(args.dropout, round);
    const factor = (at: number) => factorAt(Math.floor(at / k), at % k);
    const sum = inp!.map((x, at) => round(x * factor(at)));
    const { mean, rstd, out } = layernorm(sum, B, k, eps, gamma!, beta!, round);
    const logits = Float64Array.from({ length: B * NC }, (_, at) => {
      const [b, c] = [Math.floor(at / NC), at % NC];
      const product = dot(
        k,
        (i) => out[b * k + i]!,
        (i) => weight![c * k + i]!,
        round,
      );
      return round(product + bias![c]!);
    });
    const loss = LOSSES[args.size('loss_kind', 0)]!;
    const after = loss.formula(new Arguments({ ...args.tensors, logits }, args.sizes), round);
    const dlogits = after.dlogits as Float64Array;
    const dnormed = Float64Array.from({ length: B * k }, (_, at) => {
      const [b, i] = [Math.floor(at / k), at % k];
      return dot(
        NC,
        (c) => dlogits[b * NC + c]!,
        (c) => weight![c * k + i]!,
        round,
      );
    });
    const norm = new Arguments({ sum, mean, rstd, gamma: gamma! }, {});
    const { dsum } = layernormBackward(norm, dnormed, B, k, round);
    const dinp = dsum.map((value, at) => (inp![at]! > 0 ? round(value * factor(at)) : 0));
    return { sum, mean, rstd, logits, ...after, dinp };
  },
};

/** Outputs of the ReLU, half of them 0 or, where `positive`, none. */
function classifierCase(title: string, B: number, k: number, NC: number, sizes: Sizes = {}, positive = false): Case {
  const random = new Random(B + 31 * k + NC);
  const kind = sizes.loss_kind ?? CROSS_ENTROPY;
  const targets =
    kind === MEAN_SQUARED_ERROR ? random.normal(B * NC, 3) : Float64Array.from(random.integers(B * NC, 2));
  return {
    title,
    tensors: {
      cu_seqlens: starts(new Array(B).fill(1)),
      inp: random.normal(B * k).map((x) => (positive ? Math.abs(x) + 0.1 : Math.max(x, 0))),
      gamma: random.normal(k),
      beta: random.normal(k),
      weight: random.normal(NC * k, 2 / Math.sqrt(k)),
      bias: random.normal(NC),
      sum: garbage(B * k),
      mean: garbage(B),
      rstd: garbage(B),
      logits: garbage(B * NC),
      loss: garbage(1),
      dlogits: garbage(B * NC),
      dinp: garbage(B * k),
      ...(kind === CROSS_ENTROPY
        ? { labels: random.integers(B, NC), predictions: new Int32Array(B).fill(-7) }
        : { targets }),
      ...(kind === BINARY_CROSS_ENTROPY && { right: new Int32Array(B).fill(-7) }),
    },
    sizes: { k, NC, eps: 1e-5, dropout_site: 7, seed: 5, dropout_step: 3, ...sizes },
  };
}

function weighted(item: Case): Case {
  const { NC, loss_kind } = item.sizes;
  const weights = (scale: number) => Float64Array.from({ length: NC! }, (_, c) => 0.25 + (scale * c) / NC!);
  const positive = loss_kind === BINARY_CROSS_ENTROPY && { positive_weights: weights(3) };
  return { ...item, tensors: { ...item.tensors, class_weights: weights(2), ...positive } };
}

const binary = { loss_kind: BINARY_CROSS_ENTROPY };
const squared = { loss_kind: MEAN_SQUARED_ERROR };
const cases = [
  classifierCase('cross-entropy of one example', 1, 3, 2),
  classifierCase('cross-entropy, dropped', 16, 64, 6, { dropout_p: 0.2 }),
  classifierCase('label smoothing', 5, 63, 3, { dropout_p: 0.2, label_smoothing: 0.1, loss_scale: 0.5 }),
  weighted(classifierCase('class weights', 7, 40, 6, { dropout_p: 0.2 })),
  weighted(classifierCase('a focus and class weights', 7, 40, 6, { dropout_p: 0.2, focal_gamma: 1.5 })),
  classifierCase('more classes than a warp has lanes', 4, 33, 70),
  classifierCase('more columns than a block takes at once', 3, 1100, 3, { dropout_p: 0.2 }),
  classifierCase('more examples than are added up at once', 40, 9, 3),
  classifierCase('several labels', 9, 32, 5, { ...binary, dropout_p: 0.2 }),
  weighted(classifierCase('several labels, a focus and weights', 6, 30, 5, { ...binary, focal_gamma: 2 })),
  classifierCase('regression', 9, 32, 1, { ...squared, dropout_p: 0.2 }),
  classifierCase('regression of several targets', 6, 30, 4, { ...squared, loss_scale: 0.25 }),
];

proveValues(normedClassifier, cases);
proveGradients(
  {
    forward: NAME,
    backward: NAME,
    outputs: { loss: null },
    inputs: { dinp: 'inp' },
    backwardCase: (after) => ({ tensors: after.tensors, sizes: after.sizes }),
  },
  // Where ReLU's output is 0 its input's gradient is not that of the output.
  [
    classifierCase('cross-entropy, dropped', 5, 20, 4, { dropout_p: 0.2 }, true),
    weighted(classifierCase('a focus and class weights', 4, 12, 3, { focal_gamma: 2 }, true)),
    weighted(classifierCase('several labels', 4, 12, 3, { ...binary, dropout_p: 0.2 }, true)),
    classifierCase('regression', 4, 12, 2, { ...squared, dropout_p: 0.2 }, true),
  ],
);

// The CPU pads nothing.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  for (const loss_kind of [CROSS_ENTROPY, BINARY_CROSS_ENTROPY, MEAN_SQUARED_ERROR]) {
    it(`${NAME} on ${device.device} leaves zeros behind the examples: loss ${loss_kind}`, async () => {
      const [B, k, NC, padding] = [5, 24, 3, 11];
      const item = classifierCase('', B, k, NC, { loss_kind: loss_kind!, dropout_p: 0.2 });
      const padded: Tensors = { ...item.tensors };
      for (const name of ['inp', 'sum', 'mean', 'rstd', 'logits', 'dlogits', 'dinp']) {
        const array = item.tensors[name] as Float64Array;
        padded[name] = Float64Array.from([
          ...array,
          ...new Array((array.length / B) * padding).fill(name === 'inp' ? 1 : Number.NaN),
        ]);
      }
      for (const name of ['predictions', 'right'].filter((found) => padded[found])) {
        padded[name] = new Int32Array(B + padding).fill(-7);
      }
      for (const where of places(device)) {
        const expected = await run(NAME, where, item.tensors, item.sizes);
        const found = await run(NAME, where, padded, { ...item.sizes, padding_sequences: padding });
        for (const name of ['sum', 'mean', 'rstd', 'logits', 'dlogits', 'dinp', 'predictions', 'right']) {
          if (!expected[name]) continue;
          const live = found[name]!.slice(0, expected[name].length);
          expectSameBits({ [name]: live }, { [name]: expected[name].slice() }, where.precision);
          if (name === 'logits') continue;
          for (const value of found[name]!.slice(live.length)) expect(value, `padding of ${name}`).to.equal(0);
        }
        expect(found.loss![0]).to.be.closeTo(expected.loss![0]!, 1e-6 * expected.loss![0]!);
      }
    });
  }
}
