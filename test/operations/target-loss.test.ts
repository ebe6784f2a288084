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
import { binaryCrossEntropy, meanSquaredError } from './losses.js';

const WEIGHTS = ['class_weights', 'positive_weights'];

/** A case of binary cross-entropy; `sure` of every row's labels, so that half of the rows are right. */
function binaryCase(title: string, B: number, NC: number, sizes: Sizes = {}, omit = WEIGHTS, sure = true): Case {
  const random = new Random(B * 31 + NC);
  const targets = Float64Array.from(random.integers(B * NC, 2));
  const logits = random.normal(B * NC, 2);
  for (const [i, y] of targets.entries()) {
    if (sure && Math.floor(i / NC) % 2 === 0) logits[i] = Math.abs(logits[i]!) * (y > 0.5 ? 1 : -1);
  }
  const tensors: Case['tensors'] = {
    cu_seqlens: starts(new Array(B).fill(1)),
    targets,
    logits,
    class_weights: random.normal(NC).map((x) => Math.abs(x) + 0.1),
    positive_weights: random.normal(NC).map((x) => Math.abs(x) + 0.5),
    loss: garbage(1),
    right: new Int32Array(B).fill(-7),
    dlogits: garbage(B * NC),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { NC, ...sizes } };
}

/** The same of mean squared error: targets are any numbers. */
function squaredCase(title: string, B: number, NC: number, sizes: Sizes = {}, omit: string[] = []): Case {
  const item = binaryCase(title, B, NC, sizes, ['right', ...WEIGHTS, ...omit]);
  item.tensors.targets = new Random(B + NC).normal(B * NC, 3);
  return item;
}

const soft = binaryCase('targets between 0 and 1', 7, 3, {}, []);
soft.tensors.targets = new Random(3).normal(21).map((x) => Math.abs(x) % 1);

const focused = binaryCase('a focus that falls steeply, and both weights', 7, 3, { focal_gamma: 0.5 }, []);

const binaryCases = [
  binaryCase('one example of one label', 1, 1),
  binaryCase('2 labels', 16, 2),
  binaryCase('3 labels', 15, 3),
  binaryCase('28 labels', 17, 28),
  binaryCase('a scale for accumulated steps', 17, 6, { loss_scale: 0.25 }),
  binaryCase('class weights', 17, 6, {}, ['positive_weights']),
  binaryCase('positive weights', 17, 6, {}, ['class_weights']),
  binaryCase('both weights', 17, 6, { loss_scale: 0.5 }, []),
  soft,
  binaryCase('a focus', 17, 6, { focal_gamma: 2, loss_scale: 0.5 }),
  focused,
  binaryCase('without dlogits', 17, 6, {}, ['dlogits', ...WEIGHTS]),
  binaryCase('without which are right', 17, 6, {}, ['right', ...WEIGHTS]),
  binaryCase('more labels than a warp has lanes', 33, 70, {}, []),
  binaryCase('as many examples as one block takes', 32, 5),
  binaryCase('many examples', 290, 3, { loss_scale: 0.5 }, []),
];
const squaredCases = [
  squaredCase('one example of one label', 1, 1),
  squaredCase('one label', 33, 1),
  squaredCase('2 labels', 16, 2),
  squaredCase('3 labels', 15, 3),
  squaredCase('28 labels', 17, 28, { loss_scale: 0.25 }),
  squaredCase('more labels than a warp has lanes', 5, 70),
  squaredCase('without dlogits', 17, 6, {}, ['dlogits']),
  squaredCase('many examples', 290, 3),
];

proveValues(binaryCrossEntropy, binaryCases);
proveValues(meanSquaredError, squaredCases);
for (const [name, cases] of [
  ['binary_cross_entropy', [binaryCases[0]!, binaryCases[2]!, binaryCases[7]!, soft, focused]],
  ['mean_squared_error', [squaredCases[0]!, squaredCases[3]!]],
] as const) {
  proveGradients(
    {
      forward: name,
      backward: name,
      outputs: { loss: null },
      inputs: { dlogits: 'logits' },
      // The loss itself is not scaled.
      backwardCase: (after) => ({ tensors: after.tensors, sizes: { ...after.sizes, loss_scale: 1 } }),
    },
    cases,
  );
}

interface FixtureCase {
  name: string;
  gamma?: number;
  logits: number[][];
  targets: number[][];
  weight: number[] | null;
  pos_weight: number[] | null;
  loss: number;
  dlogits: number[][];
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/target-loss.json', import.meta.url), 'utf8')) as Record<
  'binary_cross_entropy' | 'mean_squared_error',
  FixtureCase[]
>;
const cases = { binary_cross_entropy: binaryCase, mean_squared_error: squaredCase };
const names = ['binary_cross_entropy', 'mean_squared_error'] as const;

for (const device of devices()) {
  for (const name of names) {
    describe(`${name} on ${device.device}`, () => {
      for (const item of fixture[name]) {
        it(`is torch's: ${item.name}`, async () => {
          const B = item.logits.length;
          const NC = item.logits[0]!.length;
          const tensors: Case['tensors'] = {
            cu_seqlens: starts(new Array(B).fill(1)),
            targets: Float64Array.from(item.targets.flat()),
            logits: Float64Array.from(item.logits.flat()),
            ...(item.weight && { class_weights: Float64Array.from(item.weight) }),
            ...(item.pos_weight && { positive_weights: Float64Array.from(item.pos_weight) }),
            loss: garbage(1),
            dlogits: garbage(B * NC),
          };
          for (const where of places(device)) {
            const found = await run(name, where, tensors, { NC, ...(item.gamma && { focal_gamma: item.gamma }) });
            const tolerance = where.precision === 'fp64' ? 1e-12 : where.precision === 'bf16' ? 2e-2 : 1e-5;
            expectClose(found.loss!, Float64Array.of(item.loss), tolerance, 'loss');
            expectClose(found.dlogits!, Float64Array.from(item.dlogits.flat()), tolerance, 'dlogits');
          }
        });
      }

      it('gives a loss that is not a number where a logit is none', async () => {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const { tensors, sizes } = cases[name]('', 5, 6);
          tensors.targets!.fill(0);
          (tensors.logits as Float64Array)[8] = bad;
          const { loss } = await run(name, places(device)[0]!, tensors, sizes);
          expect(Number.isFinite(loss![0])).to.equal(false);
        }
      });

      // The CPU pads nothing.
      if (device.device !== 'cpu') {
        for (const [B, padding, NC] of [
          [5, 11, 70],
          [40, 24, 6],
          [9, 61, 1],
        ] as const) {
          it(`leaves zeros behind ${B} examples of ${B + padding}`, async () => {
            const live = cases[name]('', B, NC, {}, []).tensors;
            const padded = {
              ...live,
              logits: Float64Array.from([
                ...(live.logits as Float64Array),
                ...new Array(padding * NC).fill(Number.NaN),
              ]),
              dlogits: garbage((B + padding) * NC),
              ...(live.right && { right: new Int32Array(B + padding).fill(-7) }),
            };
            for (const where of places(device)) {
              const expected = await run(name, where, live, { NC });
              const found = await run(name, where, padded, { NC, padding_sequences: padding });
              expectClose(found.loss!, expected.loss!, 1e-6, 'loss');
              for (const [output, columns] of [
                ['dlogits', NC],
                ['right', 1],
              ] as const) {
                if (!expected[output]) continue;
                const zeros = new Array(padding * columns).fill(0);
                expect(Array.from(found[output]!), output).to.deep.equal([...expected[output], ...zeros]);
              }
            }
          });
        }
      }
    });
  }

  describe(`binary_cross_entropy on ${device.device}`, () => {
    it('is precise where labels are sure, on either side', async () => {
      const sizes = { NC: 1 };
      for (const where of places(device)) {
        for (const [x, y] of [
          [-12, 0],
          [12, 1],
        ] as const) {
          const tensors = {
            cu_seqlens: starts([1]),
            targets: Float64Array.of(y),
            logits: Float64Array.of(x),
            loss: garbage(1),
            dlogits: garbage(1),
          };
          const found = await run('binary_cross_entropy', where, tensors, sizes);
          const tail = Math.exp(-12);
          const tolerance = where.precision === 'bf16' ? 4e-3 : 1e-5;
          expectClose(found.loss!, Float64Array.of(Math.log1p(tail)), 1e-5, 'loss');
          expectClose(found.dlogits!, Float64Array.of((y ? -1 : 1) * (tail / (1 + tail))), tolerance, 'dlogits');
        }
      }
    });

    it('counts a row as right where every label is, a logit of 0 as no label', async () => {
      const tensors = {
        cu_seqlens: starts([1, 1, 1, 1]),
        targets: Float64Array.of(1, 0, 1, 0, 0, 0, 1, 1),
        logits: Float64Array.of(2, -1, 3, 0.5, 0, -4, 0, 1),
        loss: garbage(1),
        right: new Int32Array(4).fill(-7),
      };
      for (const where of places(device)) {
        const { right } = await run('binary_cross_entropy', where, tensors, { NC: 2 });
        expect(Array.from(right!)).to.deep.equal([1, 0, 1, 0]);
      }
    });
  });
}
