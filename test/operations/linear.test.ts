import {
  type Case,
  garbage,
  type Operation,
  proveGradients,
  proveValues,
  Random,
  type Sizes,
  unalignedCases,
} from './harness.js';
import { activate, dot, GELU, GELU_TANH, RELU, SILU, slope, stridedDot, TANH } from './reference.js';

const linearForward: Operation = {
  name: 'linear_forward',
  formula(args, round) {
    const [n, k, rows] = [args.size('n'), args.size('k'), args.size('rows')];
    const inpStride = args.size('inp_stride', k);
    const outStride = args.size('out_stride', n);
    const inp = args.floats('inp');
    const weight = args.floats('weight');
    const out = args.output('out', 0);
    const preactivation = args.output('preactivation', rows * n);
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < n; j++) {
        let x = stridedDot(k, [inp, row * inpStride, 1], [weight, j * k, 1], round);
        if (args.has('bias')) x = round(x + args.floats('bias')[j]!);
        preactivation[row * n + j] = x;
        out[row * outStride + j] = activate(args.size('activation', 0), x, round);
      }
    }
    return { out, preactivation };
  },
};

const linearBackwardInput: Operation = {
  name: 'linear_backward_input',
  formula(args, round) {
    const [n, k, rows] = [args.size('n'), args.size('k'), args.size('rows')];
    const doutStride = args.size('dout_stride', n);
    const dinpStride = args.size('dinp_stride', k);
    const dout = args.floats('dout');
    const weight = args.floats('weight');
    const dinp = args.output(args.has('gradient') ? 'gradient' : 'dinp', 0);
    for (let row = 0; row < rows; row++) {
      for (let p = 0; p < k; p++) {
        const i = row * dinpStride + p;
        const sum = stridedDot(n, [dout, row * doutStride, 1], [weight, p, k], round);
        const activation = args.size('activation', 0);
        if (activation) dinp[i] = round(sum * slope(activation, args.floats('saved')[row * k + p]!, round));
        else dinp[i] = args.size('add_to_dinp', 0) ? round(dinp[i]! + sum) : sum;
      }
    }
    return { dinp, gradient: dinp };
  },
};

const linearBackwardWeight: Operation = {
  name: 'linear_backward_weight',
  formula(args, round) {
    const [n, k, rows] = [args.size('n'), args.size('k'), args.size('rows')];
    const doutStride = args.size('dout_stride', n);
    const inpStride = args.size('inp_stride', k);
    const accumulate = args.size('accumulate', 0) === 1;
    const dout = args.floats('dout');
    const inp = args.has('inp') && args.floats('inp');
    const dweight = args.output('dweight', n * k);
    const dbias = args.output('dbias', n);
    for (let j = 0; j < n; j++) {
      const sum = dot(
        rows,
        (row) => dout[row * doutStride + j]!,
        () => 1,
        round,
      );
      dbias[j] = accumulate ? round(dbias[j]! + sum) : sum;
      for (let p = 0; inp && p < k; p++) {
        const product = stridedDot(rows, [dout, j, doutStride], [inp, p, inpStride], round);
        dweight[j * k + p] = accumulate ? round(dweight[j * k + p]! + product) : product;
      }
    }
    return { dweight, dbias };
  },
};

const shapes = [
  [1, 1, 1],
  [5, 3, 7],
  [16, 16, 16],
  [17, 15, 33],
  [64, 64, 48],
  [63, 28, 65],
  [130, 2, 31],
] as const;

// Products that CUDA has tiles of several sizes for, in whole vectors and not.
const tiled = [
  [5, 6, 700],
  [6, 700, 5],
  [40, 72, 96],
  [70, 41, 90],
  [130, 131, 67],
  [128, 136, 40],
] as const;
// Those that it has a library for; the last is one that the library is free to refuse.
const large = [
  [128, 96, 96],
  [100, 104, 136],
  [101, 104, 104],
] as const;
const whole = [40, 72, 96];

function spread(rows: number, columns: number, stride: number): number {
  return (rows - 1) * stride + columns;
}

function forwardCase(title: string, [rows, n, k]: readonly number[], sizes: Sizes, omit: string[] = []): Case {
  const random = new Random(rows! + n! + k!);
  const all = { rows: rows!, n: n!, k: k!, ...sizes };
  const tensors: Case['tensors'] = {
    inp: random.normal(spread(rows!, k!, sizes.inp_stride ?? k!)),
    weight: random.normal(n! * k!, 0.5),
    bias: random.normal(n!),
    preactivation: garbage(rows! * n!),
    out: garbage(spread(rows!, n!, sizes.out_stride ?? n!)),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: all };
}

const forwardCases = [
  ...[...shapes, ...tiled, ...large].map((shape) => forwardCase(`(${shape.join(', ')})`, shape, {})),
  ...[whole, [128, 96, 96]].flatMap((shape) =>
    unalignedCases(forwardCase(`(${shape.join(', ')})`, shape, {}), ['inp', 'weight', 'bias', 'preactivation', 'out']),
  ),
  ...[1, 2, 3, 4, 5].map((activation) => forwardCase(`activation ${activation}`, [33, 17, 20], { activation })),
  ...[...tiled, ...large].flatMap((shape) => [
    forwardCase(`(${shape.join(', ')}) with GELU`, shape, { activation: GELU }),
    forwardCase(`(${shape.join(', ')}) with GELU alone`, shape, { activation: GELU }, ['preactivation']),
  ]),
  forwardCase('without a bias', [33, 17, 20], {}, ['bias']),
  ...[1, 3, 4, 5].map((activation) =>
    forwardCase(`activation ${activation} without a preactivation`, [33, 17, 20], { activation }, ['preactivation']),
  ),
  forwardCase('rows apart', [33, 17, 20], { inp_stride: 27, out_stride: 19, activation: 1 }),
  ...['inp_stride', 'out_stride'].map((stride) =>
    forwardCase(`(128, 96, 96), ${stride} odd`, [128, 96, 96], { [stride]: 99 }),
  ),
  forwardCase('(128, 96, 96), whole rows apart', [128, 96, 96], { inp_stride: 104, out_stride: 112 }, [
    'preactivation',
  ]),
  forwardCase('a row a sequence', [33, 17, 20], { row_kind: 1, activation: 2 }),
  forwardCase('prefix rows', [20, 16, 20], { row_kind: 2 }),
];

function backwardInputCase(title: string, [rows, n, k]: readonly number[], sizes: Sizes): Case {
  const random = new Random(rows! + n! + k!);
  const length = spread(rows!, k!, sizes.dinp_stride ?? k!);
  return {
    title,
    tensors: {
      dout: random.normal(spread(rows!, n!, sizes.dout_stride ?? n!)),
      weight: random.normal(n! * k!, 0.5),
      dinp: sizes.add_to_dinp ? random.normal(length) : garbage(length),
      ...(sizes.activation && { saved: random.normal(rows! * k!) }),
    },
    sizes: { rows: rows!, n: n!, k: k!, ...sizes },
  };
}

/** The case of an input that is a parameter. */
function ofParameter(item: Case): Case {
  const { dinp, ...tensors } = item.tensors;
  return { ...item, title: `${item.title}, of a parameter`, tensors: { ...tensors, gradient: dinp! } };
}

const backwardInputCases = [
  ...[...shapes, ...tiled, ...large].map((shape) => backwardInputCase(`(${shape.join(', ')})`, shape, {})),
  ...[whole, [128, 96, 96]].flatMap((shape) =>
    unalignedCases(backwardInputCase(`(${shape.join(', ')})`, shape, { add_to_dinp: 1 }), ['dout', 'weight', 'dinp']),
  ),
  ...[...tiled, ...large].map((shape) =>
    backwardInputCase(`(${shape.join(', ')}), added to`, shape, { add_to_dinp: 1 }),
  ),
  backwardInputCase('added to', [33, 17, 20], { add_to_dinp: 1 }),
  ...[
    [33, 17, 20],
    [128, 96, 96],
  ].flatMap((shape) =>
    [0, 1].map((add_to_dinp) =>
      ofParameter(backwardInputCase(`(${shape.join(', ')})${add_to_dinp ? ', added to' : ''}`, shape, { add_to_dinp })),
    ),
  ),
  backwardInputCase('rows apart', [33, 17, 20], { dout_stride: 18, dinp_stride: 31 }),
  backwardInputCase('rows apart, added to', [33, 17, 20], { dout_stride: 18, dinp_stride: 31, add_to_dinp: 1 }),
  ...[GELU, TANH, RELU, GELU_TANH, SILU].map((activation) =>
    backwardInputCase(`activation ${activation}`, [33, 17, 20], { activation }),
  ),
  ...[...tiled, ...large].map((shape) =>
    backwardInputCase(`(${shape.join(', ')}) from GELU`, shape, { activation: GELU }),
  ),
  ...unalignedCases(backwardInputCase('(40, 72, 96) from GELU', whole, { activation: GELU }), ['saved', 'dinp']),
  backwardInputCase('rows apart from GELU', [33, 17, 20], { dout_stride: 18, dinp_stride: 31, activation: GELU }),
];

function backwardWeightCase(title: string, [rows, n, k]: readonly number[], sizes: Sizes, omit: string[] = []): Case {
  const random = new Random(rows! + n! + k!);
  const before = (count: number) => (sizes.accumulate ? random.normal(count) : garbage(count));
  const tensors: Case['tensors'] = {
    dout: random.normal(spread(rows!, n!, sizes.dout_stride ?? n!)),
    inp: random.normal(spread(rows!, k!, sizes.inp_stride ?? k!)),
    dweight: before(n! * k!),
    dbias: before(n!),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { rows: rows!, n: n!, k: k!, ...sizes } };
}

const backwardWeightCases = [
  ...[...shapes, ...tiled, ...large].map((shape) => backwardWeightCase(`(${shape.join(', ')})`, shape, {})),
  ...[whole, [128, 96, 96]].flatMap((shape) =>
    unalignedCases(backwardWeightCase(`(${shape.join(', ')})`, shape, { accumulate: 1 }), ['dout', 'inp', 'dweight']),
  ),
  ...[...tiled, ...large].map((shape) =>
    backwardWeightCase(`(${shape.join(', ')}), added to`, shape, { accumulate: 1 }),
  ),
  backwardWeightCase('accumulated', [33, 17, 20], { accumulate: 1 }),
  backwardWeightCase('rows apart', [33, 17, 20], { dout_stride: 18, inp_stride: 31 }),
  backwardWeightCase('of the weight alone', [33, 17, 20], {}, ['dbias']),
  backwardWeightCase('of the bias alone', [33, 17, 20], { accumulate: 1 }, ['dweight', 'inp']),
];

proveValues(linearForward, forwardCases);
proveValues(linearBackwardInput, backwardInputCases);
proveValues(linearBackwardWeight, backwardWeightCases);

const differentiable = [
  forwardCase('(5, 3, 7)', [5, 3, 7], {}),
  forwardCase('(17, 15, 33)', [17, 15, 33], {}),
  forwardCase('rows apart', [9, 6, 5], { inp_stride: 8, out_stride: 11 }),
];
proveGradients(
  {
    forward: 'linear_forward',
    backward: 'linear_backward_input',
    outputs: { out: 'dout' },
    inputs: { dinp: 'inp' },
    backwardCase: (after) => ({
      tensors: { weight: after.floats('weight'), dinp: new Float64Array(after.floats('inp').length) },
      sizes: backwardSizes(after.sizes, 'dinp_stride'),
    }),
  },
  differentiable,
);
proveGradients(
  {
    forward: 'linear_forward',
    backward: 'linear_backward_weight',
    outputs: { out: 'dout' },
    inputs: { dweight: 'weight', dbias: 'bias' },
    backwardCase: (after) => ({
      tensors: {
        inp: after.floats('inp'),
        dweight: garbage(after.floats('weight').length),
        dbias: garbage(after.size('n')),
      },
      sizes: backwardSizes(after.sizes, 'inp_stride'),
    }),
  },
  differentiable,
);

/** Forward's sizes under the names that backward has for them. */
function backwardSizes({ rows, n, k, inp_stride, out_stride }: Sizes, inputStride: string): Sizes {
  return { rows: rows!, n: n!, k: k!, [inputStride]: inp_stride ?? k!, dout_stride: out_stride ?? n! };
}
