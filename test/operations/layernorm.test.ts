import {
  type Case,
  garbage,
  type Operation,
  proveGradients,
  proveValues,
  Random,
  type Sizes,
  starts,
  unalignedCases,
} from './harness.js';
import { dropoutFactor, layernorm, layernormBackward } from './reference.js';

const FORWARD = 'dropout_residual_layernorm_forward';
const BACKWARD = 'dropout_residual_layernorm_backward';

const forward: Operation = {
  name: FORWARD,
  formula(args, round) {
    const [rows, C] = [args.size('rows'), args.size('C')];
    const factor = dropoutFactor(args.dropout, round);
    const inp = args.floats('inp');
    const sum = inp.map((value, i) => {
      const dropped = round(value * factor(Math.floor(i / C), i % C));
      return args.has('residual') ? round(args.floats('residual')[i]! + dropped) : dropped;
    });
    const normed = layernorm(sum, rows, C, args.size('eps'), args.floats('gamma'), args.floats('beta'), round);
    const first = args.has('first') ? [...args.ints('cu_seqlens')].slice(0, -1) : [];
    return {
      sum,
      ...normed,
      first: Float64Array.from(first.flatMap((t) => [...normed.out.subarray(t * C, t * C + C)])),
    };
  },
};

const backward: Operation = {
  name: BACKWARD,
  formula(args, round) {
    const [rows, C] = [args.size('rows'), args.size('C')];
    const factor = dropoutFactor(args.dropout, round);
    const { dsum, dgamma, dbeta } = layernormBackward(args, args.floats('dout'), rows, C, round);
    return {
      dresidual: dsum,
      dinp: dsum.map((value, i) => round(value * factor(Math.floor(i / C), i % C))),
      dgamma,
      dbeta,
    };
  },
};

const shapes = [
  [1, 2],
  [3, 5],
  [16, 64],
  [17, 63],
  [15, 65],
  [33, 256],
] as const;
/** Rows that CUDA keeps in one to four vectors a lane, the last one whole or not; and rows that are too wide. */
const wide = [
  [3, 264],
  [2, 512],
  [5, 768],
  [3, 1000],
  [2, 1024],
  [2, 1032],
  [2, 2056],
] as const;

function forwardCase(title: string, rows: number, C: number, sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(rows + C);
  const tensors: Case['tensors'] = {
    inp: random.normal(rows * C),
    residual: random.normal(rows * C),
    gamma: random.normal(C),
    beta: random.normal(C),
    sum: garbage(rows * C),
    mean: garbage(rows),
    rstd: garbage(rows),
    out: garbage(rows * C),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { rows, C, eps: 1e-12, seed: 5, dropout_step: 2, dropout_site: 9, ...sizes } };
}

/** The case of tokens, with the first rows of their sequences beside them. */
function withFirst(rows: number, C: number, lengths: readonly number[]): Case {
  const item = forwardCase(`(${rows}, ${C}) with first rows`, rows, C, { dropout_p: 0.1 });
  Object.assign(item.tensors, { cu_seqlens: starts(lengths), first: garbage(lengths.length * C) });
  return item;
}

const offset = forwardCase('values far from zero', 9, 64);
offset.tensors.inp = (offset.tensors.inp as Float64Array).map((x) => x + 1000);
const constant = forwardCase('equal values, where eps decides', 4, 32, { eps: 1e-5 }, ['residual']);
constant.tensors.inp = new Float64Array(4 * 32).fill(3);
const inPlace = forwardCase('sum in place of the input', 17, 63, { dropout_p: 0.1 });
inPlace.tensors.sum = inPlace.tensors.inp!;

const forwardCases = [
  ...shapes.map(([rows, C]) => forwardCase(`(${rows}, ${C})`, rows, C)),
  ...shapes.map(([rows, C]) => forwardCase(`(${rows}, ${C}) with dropout`, rows, C, { dropout_p: 0.1 })),
  ...wide.map(([rows, C]) => forwardCase(`(${rows}, ${C}) with dropout`, rows, C, { dropout_p: 0.1 })),
  ...unalignedCases(forwardCase('(3, 16)', 3, 16), ['inp', 'residual', 'gamma', 'beta', 'sum', 'out']),
  forwardCase('without a residual', 5, 72, { dropout_p: 0.1 }, ['residual']),
  forwardCase('without a residual', 17, 63, { dropout_p: 0.1 }, ['residual']),
  forwardCase('a row a sequence', 17, 63, { dropout_p: 0.1, row_kind: 1 }),
  withFirst(17, 64, [3, 1, 13]),
  withFirst(17, 63, [1, 1, 15]),
  withFirst(40, 264, new Array(40).fill(1)),
  offset,
  constant,
  inPlace,
];

function backwardCase(title: string, rows: number, C: number, sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(rows + C);
  const before = (count: number) => (sizes.accumulate ? random.normal(count) : garbage(count));
  const tensors: Case['tensors'] = {
    dout: random.normal(rows * C),
    sum: random.normal(rows * C, 2),
    mean: random.normal(rows),
    rstd: random.normal(rows).map(Math.abs),
    gamma: random.normal(C),
    dresidual: garbage(rows * C),
    dinp: garbage(rows * C),
    dgamma: before(C),
    dbeta: before(C),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { rows, C, seed: 5, dropout_step: 2, dropout_site: 9, ...sizes } };
}

const ownGradient = backwardCase('dresidual in place of dout', 17, 63, { dropout_p: 0.1 });
ownGradient.tensors.dresidual = ownGradient.tensors.dout!;
const oneBuffer = backwardCase('dinp and dresidual in one buffer', 17, 63);
oneBuffer.tensors.dinp = oneBuffer.tensors.dresidual!;

const backwardCases = [
  ...shapes.map(([rows, C]) => backwardCase(`(${rows}, ${C})`, rows, C)),
  ...shapes.map(([rows, C]) => backwardCase(`(${rows}, ${C}) with dropout`, rows, C, { dropout_p: 0.1 })),
  ...wide.map(([rows, C]) => backwardCase(`(${rows}, ${C}) with dropout`, rows, C, { dropout_p: 0.1 })),
  ...unalignedCases(backwardCase('(3, 16)', 3, 16), ['dout', 'sum', 'gamma', 'dresidual', 'dinp']),
  backwardCase('more rows than a block sums', 1030, 8, { accumulate: 1 }),
  backwardCase('accumulated', 17, 63, { accumulate: 1 }),
  backwardCase('without dinp', 17, 63, { dropout_p: 0.1 }, ['dinp']),
  backwardCase('without dgamma', 17, 63, {}, ['dgamma']),
  backwardCase('without dbeta', 17, 63, {}, ['dbeta']),
  backwardCase('of the input alone', 17, 63, {}, ['dgamma', 'dbeta', 'dinp']),
  backwardCase('of the parameters alone', 17, 63, {}, ['dresidual', 'dinp']),
  backwardCase('a row a sequence', 17, 63, { dropout_p: 0.1, row_kind: 1 }),
  ownGradient,
  oneBuffer,
];

const ownVectors = backwardCase('dresidual in place of dout in vectors', 6, 272, { dropout_p: 0.1 });
ownVectors.tensors.dresidual = ownVectors.tensors.dout!;
backwardCases.push(ownVectors);

proveValues(forward, forwardCases);
proveValues(backward, backwardCases);
proveGradients(
  {
    forward: FORWARD,
    backward: BACKWARD,
    outputs: { out: 'dout' },
    inputs: { dresidual: 'residual', dinp: 'inp', dgamma: 'gamma', dbeta: 'beta' },
    backwardCase(after) {
      const { eps: _, ...sizes } = after.sizes;
      const [count, C] = [after.floats('sum').length, after.size('C')];
      return {
        tensors: {
          sum: after.floats('sum'),
          mean: after.floats('mean'),
          rstd: after.floats('rstd'),
          gamma: after.floats('gamma'),
          dresidual: garbage(count),
          dinp: garbage(count),
          dgamma: garbage(C),
          dbeta: garbage(C),
        },
        sizes,
      };
    },
  },
  [
    forwardCase('(3, 5)', 3, 5),
    forwardCase('(3, 5) with dropout', 3, 5, { dropout_p: 0.3 }),
    forwardCase('(17, 63) with dropout', 17, 63, { dropout_p: 0.1 }),
  ],
);
