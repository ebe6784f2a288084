import {
  type Case,
  garbage,
  type Operation,
  proveGradients,
  proveValues,
  Random,
  starts,
  unalignedCases,
} from './harness.js';

const firstRowsForward: Operation = {
  name: 'first_rows_forward',
  formula(args) {
    const C = args.size('C');
    const stride = args.size('inp_stride', C);
    const out = args.output('out', 0).map((_, i) => {
      const row = args.ints('cu_seqlens')[Math.floor(i / C)]!;
      return args.floats('inp')[row * stride + (i % C)]!;
    });
    return { out };
  },
};

const firstRowsBackward: Operation = {
  name: 'first_rows_backward',
  formula(args, round) {
    const C = args.size('C');
    const dinp = args.output('dinp', 0);
    if (args.size('add_to_dinp', 0) === 0) dinp.fill(0);
    for (const [i, value] of args.floats('dout').entries()) {
      const at = args.ints('cu_seqlens')[Math.floor(i / C)]! * C + (i % C);
      dinp[at] = round(dinp[at]! + value);
    }
    return { dinp };
  },
};

const batches: [string, number[], number][] = [
  ['one token', [1], 1],
  ['one sequence', [12], 17],
  ['sequences of a token', [1, 1, 1, 1, 1], 33],
  ['some sequences', [5, 1, 30, 2, 8, 16, 3], 64],
  ['more sequences than a warp has lanes', Array.from({ length: 70 }, (_, i) => 1 + (i % 2)), 8],
  ['rows of two blocks', [2, 1, 3], 264],
];

function tokens(lengths: number[]): number {
  return lengths.reduce((sum, length) => sum + length);
}

const forwardCases = batches.flatMap(([title, lengths, C]) =>
  [C, C + 3].map((stride): Case => {
    const inp = new Random(C).normal((tokens(lengths) - 1) * stride + C);
    return {
      title: `${title}, rows ${stride} apart`,
      tensors: { cu_seqlens: starts(lengths), inp, out: garbage(lengths.length * C) },
      sizes: { C, inp_stride: stride },
    };
  }),
);
const backwardCases = batches.flatMap(([title, lengths, C]) =>
  [0, 1].map((add): Case => {
    const random = new Random(C);
    const count = tokens(lengths) * C;
    return {
      title: add ? `${title}, added to` : title,
      tensors: {
        cu_seqlens: starts(lengths),
        dout: random.normal(lengths.length * C),
        dinp: add ? random.normal(count) : garbage(count),
      },
      sizes: { C, add_to_dinp: add },
    };
  }),
);

proveValues(firstRowsForward, [
  ...forwardCases,
  ...unalignedCases(forwardCases.find(({ title }) => title === 'some sequences, rows 64 apart')!, ['inp', 'out']),
]);
proveValues(firstRowsBackward, [
  ...backwardCases,
  ...backwardCases
    .filter(({ title }) => title.startsWith('some sequences'))
    .flatMap((item) => unalignedCases(item, ['dout', 'dinp'])),
]);
proveGradients(
  {
    forward: 'first_rows_forward',
    backward: 'first_rows_backward',
    outputs: { out: 'dout' },
    inputs: { dinp: 'inp' },
    backwardCase: (after) => ({
      tensors: { cu_seqlens: after.ints('cu_seqlens'), dinp: garbage(after.floats('inp').length) },
      sizes: { C: after.size('C') },
    }),
  },
  forwardCases.filter(({ sizes }) => sizes.inp_stride === sizes.C),
);
