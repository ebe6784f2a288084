import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  type Case,
  devices,
  expectClose,
  garbage,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  type Sizes,
  starts,
} from './harness.js';
import { crossEntropy } from './losses.js';

function lossCase(title: string, B: number, NC: number, sizes: Sizes = {}, omit: string[] = ['class_weights']): Case {
  const random = new Random(B * 31 + NC);
  const tensors: Case['tensors'] = {
    cu_seqlens: starts(new Array(B).fill(1)),
    labels: random.integers(B, NC),
    logits: random.normal(B * NC, 2),
    class_weights: random.normal(NC).map((x) => Math.abs(x) + 0.1),
    loss: garbage(1),
    predictions: new Int32Array(B).fill(-7),
    dlogits: garbage(B * NC),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { NC, ...sizes } };
}

const ties = lossCase('equal logits: the first is predicted', 4, 6);
ties.tensors.logits = new Float64Array(24).fill(0.25);
const cases = [
  lossCase('one example of two classes', 1, 2),
  lossCase('3 classes', 15, 3),
  lossCase('28 classes', 16, 28),
  lossCase('a scale for accumulated steps', 17, 6, { loss_scale: 0.25 }),
  lossCase('label smoothing', 17, 6, { label_smoothing: 0.1 }),
  lossCase('class weights', 17, 6, {}, []),
  lossCase('class weights and label smoothing', 17, 6, { label_smoothing: 0.2, loss_scale: 0.5 }, []),
  lossCase('a focus', 17, 6, { focal_gamma: 2, loss_scale: 0.5 }),
  lossCase('a focus that falls steeply, and class weights', 17, 6, { focal_gamma: 0.5 }, []),
  lossCase('a focus among more classes than a warp has lanes', 33, 70, { focal_gamma: 1.5 }),
  lossCase('without predictions', 17, 6, {}, ['predictions', 'class_weights']),
  lossCase('without dlogits', 17, 6, {}, ['dlogits', 'class_weights']),
  ties,
  lossCase('one class', 3, 1),
  lossCase('more classes than a warp has lanes', 33, 70, { label_smoothing: 0.1 }, []),
  lossCase('as many examples as one block takes', 32, 5),
  lossCase('many examples', 290, 3, { loss_scale: 0.5 }, []),
];

proveValues(crossEntropy, cases);
proveGradients(
  {
    forward: 'cross_entropy',
    backward: 'cross_entropy',
    outputs: { loss: null },
    inputs: { dlogits: 'logits' },
    backwardCase: (after) => ({ tensors: after.tensors, sizes: after.sizes }),
  },
  [
    ...cases.slice(0, 3),
    lossCase('label smoothing', 7, 6, { label_smoothing: 0.1 }),
    lossCase('class weights and label smoothing', 7, 6, { label_smoothing: 0.2 }, []),
    lossCase('a focus', 7, 6, { focal_gamma: 2 }),
    lossCase('a focus and class weights', 7, 3, { focal_gamma: 0.5 }, []),
  ],
);

interface LossFixture {
  cases: {
    name: string;
    gamma?: number;
    logits: number[][];
    labels: number[];
    weights: number[] | null;
    smoothing: number;
    loss: number;
    dlogits: number[][];
  }[];
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/loss.json', import.meta.url), 'utf8')) as LossFixture;
for (const device of devices()) {
  describe(`cross_entropy on ${device.device} is torch's`, () => {
    for (const item of fixture.cases) {
      it(item.name, async () => {
        const B = item.labels.length;
        const NC = item.logits[0]!.length;
        const tensors: Case['tensors'] = {
          cu_seqlens: starts(new Array(B).fill(1)),
          labels: Int32Array.from(item.labels),
          logits: Float64Array.from(item.logits.flat()),
          ...(item.weights && { class_weights: Float64Array.from(item.weights) }),
          loss: garbage(1),
          dlogits: garbage(B * NC),
        };
        for (const where of places(device)) {
          const sizes = { NC, label_smoothing: item.smoothing, focal_gamma: item.gamma ?? 0 };
          const found = await run('cross_entropy', where, tensors, sizes);
          const tolerance = where.precision === 'fp64' ? 1e-12 : where.precision === 'bf16' ? 2e-2 : 1e-5;
          expectClose(found.loss!, Float64Array.of(item.loss), tolerance, 'loss');
          expectClose(found.dlogits!, Float64Array.from(item.dlogits.flat()), tolerance, 'dlogits');
        }
      });
    }

    it('predicts the first of the largest among many classes', async () => {
      const NC = 75;
      const { tensors, sizes } = lossCase('', 3, NC);
      const logits = (tensors.logits as Float64Array).fill(-1);
      for (const c of [40, 71, 8 + 64]) logits[c] = 2; // in three lanes of a warp
      for (const c of [66, 34]) logits[NC + c] = 3; // in one
      for (const where of places(device)) {
        const { predictions } = await run('cross_entropy', where, tensors, sizes);
        expect(Array.from(predictions!)).to.deep.equal([40, 34, 0]);
      }
    });

    it('takes a logit of minus infinity as a class that cannot be', async () => {
      const { tensors, sizes } = lossCase('', 5, 6);
      (tensors.labels as Int32Array).fill(0);
      (tensors.logits as Float64Array)[8] = Number.NEGATIVE_INFINITY;
      const without = { ...tensors, logits: (tensors.logits as Float64Array).slice() };
      without.logits[8] = -1000;
      for (const where of places(device)) {
        const found = await run('cross_entropy', where, tensors, sizes);
        const expected = await run('cross_entropy', where, without, sizes);
        expect(Number.isFinite(found.loss![0])).to.equal(true);
        expectClose(found.loss!, expected.loss!, 1e-6, 'loss');
        expectClose(found.dlogits!, expected.dlogits!, 1e-6, 'dlogits');
      }
    });

    it('gives a loss that is not a number where a logit is none', async () => {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const { tensors, sizes } = lossCase('', 5, 6);
        (tensors.logits as Float64Array)[8] = bad;
        const { loss } = await run('cross_entropy', places(device)[0]!, tensors, sizes);
        expect(Number.isFinite(loss![0])).to.equal(false);
      }
    });

    it('focuses to the last where an example is all but sure', async () => {
      const gap = 12;
      const tensors = {
        ...{ cu_seqlens: starts([1]), labels: Int32Array.of(1), logits: Float64Array.of(0, gap) },
        ...{ loss: garbage(1), dlogits: garbage(2) },
      };
      const rest = 1 / (1 + Math.exp(gap));
      const surprise = -Math.log1p(-rest);
      const slope = rest ** 3 * (1 + (2 * (1 - rest) * surprise) / rest);
      for (const where of places(device)) {
        const found = await run('cross_entropy', where, tensors, { NC: 2, focal_gamma: 2 });
        expectClose(found.loss!, Float64Array.of(rest ** 2 * surprise), 1e-5, 'loss');
        const tolerance = where.precision === 'bf16' ? 4e-3 : 1e-5;
        expectClose(found.dlogits!.subarray(0, 1), Float64Array.of(slope), tolerance, 'dlogits');
      }
    });

    // The CPU pads nothing.
    if (device.device !== 'cpu') {
      for (const [B, padding, NC] of [
        [5, 11, 70],
        [40, 24, 6],
        [9, 61, 6],
      ] as const) {
        it(`leaves zeros behind ${B} examples of ${B + padding}`, async () => {
          const sizes = { NC, label_smoothing: 0.1 };
          const live = lossCase('', B, NC, {}, []).tensors;
          const random = new Random(B);
          const padded = {
            ...live,
            logits: Float64Array.from([...(live.logits as Float64Array), ...random.normal(padding * NC)]),
            predictions: new Int32Array(B + padding).fill(-7),
            dlogits: garbage((B + padding) * NC),
          };
          for (const where of places(device)) {
            const expected = await run('cross_entropy', where, live, sizes);
            const found = await run('cross_entropy', where, padded, { ...sizes, padding_sequences: padding });
            const zeros = new Array(padding).fill(0);
            expectClose(found.loss!, expected.loss!, 1e-6, 'loss');
            expect(Array.from(found.predictions!)).to.deep.equal([...expected.predictions!, ...zeros]);
            expect(Array.from(found.dlogits!)).to.deep.equal([
              ...expected.dlogits!,
              ...new Array(padding * NC).fill(0),
            ]);
          }
        });
      }
    }
  });
}
