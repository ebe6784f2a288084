import { expect } from 'chai';
import {
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
  type Tensors,
  unalignedCases,
} from './harness.js';
import { dot } from './reference.js';

const scale: Operation = {
  name: 'dora_scale',
  formula(args, round) {
    const [n, k, r] = [args.size('n'), args.size('k'), args.size('r')];
    const [weight, a, b, magnitude] = ['weight', 'a', 'b', 'magnitude'].map((name) => args.floats(name));
    const scaling = round(args.size('scaling'));
    const norm = new Float64Array(n).map((_, i) => {
      const row = Float64Array.from({ length: k }, (_, p) => {
        const update = dot(
          r,
          (j) => b![i * r + j]!,
          (j) => a![j * k + p]!,
          round,
        );
        return round(weight![i * k + p]! + round(scaling * update));
      });
      const entry = (p: number) => row[p]!;
      return round(Math.sqrt(dot(k, entry, entry, round)));
    });
    const scales = norm.map((length, i) => (length > 0 ? round(magnitude![i]! / length) : 0));
    const scaled_b = b!.map((value, at) => round(scales[Math.floor(at / r)]! * value));
    return { norm, scale: scales, scaled_b };
  },
};

const scaleBackward: Operation = {
  name: 'dora_scale_backward',
  formula(args, round) {
    const [n, r] = [args.size('n'), args.size('r')];
    const [b, norm, scales] = ['b', 'norm', 'scale'].map((name) => args.floats(name));
    const before = args.output('db', n * r);
    const dmagnitude = args.output('dmagnitude', n).map((dscale, i) => {
      const product = dot(
        r,
        (j) => b![i * r + j]!,
        (j) => before[i * r + j]!,
        round,
      );
      return norm![i]! > 0 ? round(round(dscale + product) / norm![i]!) : 0;
    });
    return { dmagnitude, db: before.map((value, at) => round(scales![Math.floor(at / r)]! * value)) };
  },
};

const forward: Operation = {
  name: 'dora_forward',
  formula(args, round) {
    const [rows, n] = [args.size('rows'), args.size('n')];
    const stride = args.size('out_stride', n);
    const scales = args.floats('scale');
    const out = args.output('out', 0);
    const made = args.has('bias');
    const base = args.output('base', rows * n);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < n; i++) {
        const at = row * stride + i;
        if (made) base[row * n + i] = round(out[at]! - args.floats('bias')[i]!);
        out[at] = round(out[at]! + round(round(scales[i]! - 1) * base[row * n + i]!));
      }
    }
    return made ? { base, out } : { out };
  },
};

const backward: Operation = {
  name: 'dora_backward',
  formula(args, round) {
    const [rows, n] = [args.size('rows'), args.size('n')];
    const stride = args.size('dout_stride', n);
    const [scales, dout, base] = ['scale', 'dout', 'base'].map((name) => args.floats(name));
    const accumulate = args.size('accumulate', 0) === 1;
    const dbase = new Float64Array(rows * n).map((_, at) =>
      round(round(scales![at % n]! - 1) * dout![Math.floor(at / n) * stride + (at % n)]!),
    );
    const dscale = args.output('dscale', n).map((before, i) => {
      const sum = dot(
        rows,
        (row) => dout![row * stride + i]!,
        (row) => base![row * n + i]!,
        round,
      );
      return accumulate ? round(before + sum) : sum;
    });
    return { dbase, dscale };
  },
};

const near = (random: Random, count: number) => random.normal(count, 0.2).map((value) => 1 + value);

function scaleCase(n: number, k: number, r: number): Case {
  const random = new Random(n + k + r);
  const tensors: Tensors = {
    weight: random.normal(n * k, 0.3),
    a: random.normal(r * k, 0.3),
    b: random.normal(n * r, 0.3),
    magnitude: near(random, n),
    norm: garbage(n),
    scale: garbage(n),
    scaled_b: garbage(n * r),
  };
  return { title: `(${n}, ${k}, ${r})`, tensors, sizes: { n, k, r, scaling: 2 } };
}

/** The case with rows of zeros, whose directions are none. */
function withZeros(item: Case): Case {
  const tensors = { ...item.tensors };
  for (const [name, width] of [
    ['weight', item.sizes.k!],
    ['b', item.sizes.r!],
  ] as const) {
    tensors[name] = (tensors[name] as Float64Array).map((value, at) => (Math.floor(at / width) === 1 ? 0 : value));
  }
  return { ...item, title: `${item.title}, a row of zeros`, tensors };
}

function scaleBackwardCase(n: number, r: number): Case {
  const random = new Random(n + r);
  const norm = near(random, n).map((value, i) => (i === 1 ? 0 : Math.abs(value)));
  const [b, scales] = [random.normal(n * r), near(random, n)];
  const tensors = { b, norm, scale: scales, dmagnitude: random.normal(n), db: random.normal(n * r) };
  return { title: `(${n}, ${r})`, tensors, sizes: { n, r } };
}

function spread(rows: number, columns: number, stride: number | undefined): number {
  return (rows - 1) * (stride ?? columns) + columns;
}

function forwardCase(title: string, rows: number, n: number, given: 'bias' | 'base' | 'both', sizes: Sizes = {}): Case {
  const random = new Random(rows + n);
  const tensors: Tensors = { scale: near(random, n), out: random.normal(spread(rows, n, sizes.out_stride)) };
  if (given !== 'base') tensors.bias = random.normal(n);
  if (given === 'base') tensors.base = random.normal(rows * n);
  if (given === 'both') tensors.base = garbage(rows * n);
  return { title: `${title}(${rows}, ${n}), ${given}`, tensors, sizes: { rows, n, ...sizes } };
}

function backwardCase(title: string, rows: number, n: number, sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(rows + n);
  const tensors: Tensors = {
    scale: near(random, n),
    dout: random.normal(spread(rows, n, sizes.dout_stride)),
    base: random.normal(rows * n),
    dbase: garbage(rows * n),
    dscale: sizes.accumulate ? random.normal(n) : garbage(n),
  };
  for (const name of omit) delete tensors[name];
  return { title: `${title}(${rows}, ${n})`, tensors, sizes: { rows, n, ...sizes } };
}

const scaleCases = [
  ...[
    [1, 1, 1],
    [7, 5, 3],
    [8, 32, 4],
    [33, 31, 8],
    [20, 300, 17],
  ].map(([n, k, r]) => scaleCase(n!, k!, r!)),
  withZeros(scaleCase(9, 12, 2)),
];
const forwardCases = (['bias', 'base', 'both'] as const).flatMap((given) => [
  ...[
    [1, 1],
    [5, 7],
    [17, 64],
    [33, 300],
  ].map(([rows, n]) => forwardCase('', rows!, n!, given)),
  forwardCase('rows apart, ', 9, 40, given, { out_stride: 56 }),
  forwardCase('rows oddly apart, ', 9, 40, given, { out_stride: 51 }),
  forwardCase('a row a sequence, ', 9, 40, given, { row_kind: 1 }),
]);
const backwardCases = [
  ...[
    [1, 1],
    [5, 7],
    [17, 64],
    [130, 300],
    [1100, 40],
  ].map(([rows, n]) => backwardCase('', rows!, n!)),
  backwardCase('accumulated, ', 33, 40, { accumulate: 1 }),
  backwardCase('rows apart, ', 33, 40, { dout_stride: 56 }),
  backwardCase('rows oddly apart, ', 33, 40, { dout_stride: 51 }),
  backwardCase('without dbase, ', 33, 40, {}, ['dbase']),
  ...unalignedCases(backwardCase('', 24, 40), ['dout', 'base', 'dbase']),
];

proveValues(scale, scaleCases);
proveValues(
  scaleBackward,
  [
    [3, 1],
    [7, 5],
    [33, 40],
  ].map(([n, r]) => scaleBackwardCase(n!, r!)),
);
proveValues(forward, forwardCases);
proveValues(backward, backwardCases);
proveGradients(
  {
    forward: forward.name,
    backward: backward.name,
    outputs: { out: 'dout' },
    inputs: { dbase: 'base', dscale: 'scale' },
    backwardCase: (after) => ({
      tensors: {
        scale: after.floats('scale'),
        base: after.floats('base'),
        dbase: garbage(after.floats('base').length),
        dscale: garbage(after.size('n')),
      },
      sizes: { rows: after.size('rows'), n: after.size('n') },
    }),
  },
  [forwardCase('', 5, 7, 'base')],
);

// The gradients by m and B of a function of scale and scaled_b, whose norms stay what they are.
for (const device of devices().filter((item) => item.precisions.includes('fp64'))) {
  describe(`dora_scale_backward on ${device.device} is the derivative of dora_scale without its norms`, () => {
    it('by m and B', async () => {
      const where = { device: device.device, precision: 'fp64', threads: 2 } as const;
      const item = scaleCase(5, 9, 3);
      const { n, r } = item.sizes as { n: number; r: number };
      const random = new Random(4);
      const [byScale, byScaled] = [random.normal(n), random.normal(n * r)];
      const { norm } = (await run(scale.name, where, item.tensors, item.sizes)) as { norm: Float64Array };
      const lossOf = (magnitude: Float64Array, b: Float64Array) => {
        const scales = magnitude.map((m, i) => m / norm[i]!);
        const sum = (values: Float64Array, by: Float64Array) =>
          values.reduce((all, value, i) => all + value * by[i]!, 0);
        return (
          sum(scales, byScale) +
          sum(
            b.map((value, at) => scales[Math.floor(at / r)]! * value),
            byScaled,
          )
        );
      };
      const { magnitude, b } = item.tensors as { magnitude: Float64Array; b: Float64Array };
      const scales = magnitude.map((m, i) => m / norm[i]!);
      const tensors = { b, norm, scale: scales, dmagnitude: byScale, db: byScaled };
      const found = await run(scaleBackward.name, where, tensors, { n, r });
      const moved = (values: Float64Array, at: number, by: number) =>
        values.map((value, i) => (i === at ? value + by : value));
      const step = 1e-4;
      for (let i = 0; i < n; i++) {
        const slope = lossOf(moved(magnitude, i, step), b) - lossOf(moved(magnitude, i, -step), b);
        expect(found.dmagnitude![i]).to.be.closeTo(slope / (2 * step), 1e-8);
      }
      for (let at = 0; at < n * r; at++) {
        const slope = lossOf(magnitude, moved(b, at, step)) - lossOf(magnitude, moved(b, at, -step));
        expect(found.db![at]).to.be.closeTo(slope / (2 * step), 1e-8);
      }
    });
  });
}

/** Each text's rows by its own adapter: the second has no magnitudes, and slot 0 is no adapter. */
const mixed: Operation = {
  name: 'mixed_dora_forward',
  formula(args, round) {
    const n = args.size('n');
    const stride = args.size('out_stride', n);
    const [starts, slots] = [args.ints('cu_seqlens'), args.ints('slots')];
    const bias = args.floats('bias');
    const out = args.output('out', 0);
    const tokens = args.size('row_kind', 0) === 0;
    const slotOf = (row: number) => slots[tokens ? starts.findLastIndex((start) => start <= row) : row]!;
    for (let row = 0; row < args.size('rows'); row++) {
      const name = `scale.${slotOf(row) - 1}`;
      if (!args.has(name)) continue;
      for (let i = 0; i < n; i++) {
        const at = row * stride + i;
        const base = round(out[at]! - bias[i]!);
        out[at] = round(out[at]! + round(round(args.floats(name)[i]! - 1) * base));
      }
    }
    return { out };
  },
};

function mixedCase(title: string, n: number, sizes: Sizes = {}): Case {
  const random = new Random(n);
  const starts = Int32Array.of(0, 3, 4, 21, 37, 40);
  const rows = sizes.row_kind === 1 ? 5 : 40;
  const tensors: Tensors = {
    cu_seqlens: starts,
    slots: Int32Array.of(1, 0, 3, 2, 3),
    'scale.0': near(random, n),
    'scale.2': near(random, n),
    bias: random.normal(n),
    out: random.normal(spread(rows, n, sizes.out_stride)),
  };
  return { title: `${title} of ${n} columns`, tensors, sizes: { rows, n, updates: 3, ...sizes } };
}

proveValues(mixed, [
  mixedCase('a row a token', 40),
  mixedCase('a row a token, apart', 31, { out_stride: 35 }),
  mixedCase('a row a text', 300, { row_kind: 1 }),
]);

// The CPU's backend runs batches at the sizes that they have.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  describe(`rows of DoRA behind those of the batch on ${device.device}`, () => {
    for (const [operation, item, columns] of [
      [forward, forwardCase('', 17, 40, 'both'), ['base', 'out']],
      [forward, forwardCase('', 17, 33, 'base'), ['base', 'out']],
      [backward, backwardCase('', 17, 40), ['dout', 'base', 'dbase']],
    ] as const) {
      it(`do not count in ${operation.name}, ${item.title}`, async () => {
        const n = item.sizes.n!;
        const tensors: Tensors = { ...item.tensors };
        for (const name of columns) {
          const array = new Float64Array(tensors[name]!.length + 40 * n).fill(Number.NaN);
          array.set(tensors[name]!);
          tensors[name] = array;
        }
        for (const where of places(device)) {
          const expected = await run(operation.name, where, item.tensors, item.sizes);
          const longer = { ...item.sizes, rows: item.sizes.rows! + 40, padding_tokens: 40 };
          const found = await run(operation.name, where, tensors, longer);
          for (const [name, values] of Object.entries(expected)) {
            expectSameBits({ [name]: found[name]!.slice(0, values.length) }, { [name]: values }, where.precision);
          }
        }
      });
    }
  });
}
