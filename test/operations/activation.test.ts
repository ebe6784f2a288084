import { readFileSync } from 'node:fs';
import {
  type Case,
  devices,
  expectClose,
  expectSameBits,
  garbage,
  type Operation,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  unaligned,
} from './harness.js';
import { activate, dropoutFactor, GELU, GELU_TANH, NONE, RELU, SAVES_OUTPUT, SILU, slope, TANH } from './reference.js';

const activationForward: Operation = {
  name: 'activation_forward',
  formula: (args, round) => ({ out: args.floats('inp').map((x) => activate(args.size('activation'), x, round)) }),
};

const activationBackward: Operation = {
  name: 'activation_backward',
  formula(args, round) {
    const dout = args.floats('dout');
    const activation = args.size('activation');
    const [n, factor] = [args.size('n'), dropoutFactor(args.dropout, round)];
    const dropped = (i: number) => round(dout[i]! * factor(Math.floor(i / n), i % n));
    return { dinp: args.floats('saved').map((x, i) => round(dropped(i) * slope(activation, x, round))) };
  },
};

const names: [string, number][] = [
  ['none', NONE],
  ['GELU', GELU],
  ['tanh', TANH],
  ['ReLU', RELU],
  ['GELU by tanh', GELU_TANH],
  ['SiLU', SILU],
];
const shapes = [
  [1, 1],
  [3, 5],
  [17, 31],
  [16, 64],
  [13, 129],
] as const;

/** Values on both sides of ReLU's corner, none so near that a finite difference meets it. */
function values(rows: number, n: number): Float64Array {
  return new Random(rows + n).normal(rows * n, 2).map((x) => x + Math.sign(x) * 0.01);
}

const forwardCases = names.flatMap(([name, activation]) =>
  shapes.map(
    ([rows, n]): Case => ({
      title: `${name}, (${rows}, ${n})`,
      tensors: { inp: values(rows, n), out: garbage(rows * n) },
      sizes: { rows, n, activation },
    }),
  ),
);
const extremes = Float64Array.of(
  0,
  -0,
  1e-30,
  -1e-30,
  1e-4,
  -1e-4,
  0.6,
  -0.7,
  5,
  -5,
  9.5,
  -9.5,
  12,
  -12,
  80,
  -80,
  3e4,
  -3e4,
);
for (const [name, activation] of names) {
  const n = extremes.length;
  forwardCases.push({
    title: `${name} of tiny and huge values`,
    tensors: { inp: extremes, out: garbage(n) },
    sizes: { rows: 1, n, activation },
  });
}
// More elements than a block has, the last of them not a whole vector.
forwardCases.push({
  title: 'elements of two blocks',
  tensors: { inp: values(29, 75), out: garbage(29 * 75) },
  sizes: { rows: 29, n: 75, activation: GELU },
});
forwardCases.push({
  title: 'input not aligned',
  tensors: { inp: unaligned(values(3, 16)), out: garbage(48) },
  sizes: { rows: 3, n: 16, activation: RELU },
});
forwardCases.push({
  title: 'output not aligned',
  tensors: { inp: values(3, 16), out: unaligned(garbage(48)) },
  sizes: { rows: 3, n: 16, activation: TANH },
});
const shared = values(9, 50);
forwardCases.push({
  title: 'in place',
  tensors: { inp: shared, out: shared },
  sizes: { rows: 9, n: 50, activation: GELU },
});

const backwardCases = forwardCases.map(({ title, tensors, sizes }): Case => {
  const inp = tensors.inp as Float64Array;
  const activation = sizes.activation!;
  const saved = SAVES_OUTPUT.includes(activation) ? inp.map((x) => activate(activation, x, (y) => y)) : inp;
  const dout = new Random(5).normal(inp.length);
  const dinp =
    title === 'in place' ? dout : tensors.out!.byteOffset ? unaligned(garbage(inp.length)) : garbage(inp.length);
  return { title, tensors: { saved, dout, dinp }, sizes };
});

const DROPOUT = { dropout_p: 0.1, dropout_site: 19, seed: 8, dropout_step: 1 };
const droppedCases = backwardCases
  .filter(({ title }) => title !== 'in place')
  .map(({ title, tensors, sizes }) => ({ title: `${title}, dropped`, tensors, sizes: { ...sizes, ...DROPOUT } }));

proveValues(activationForward, forwardCases);
proveValues(activationBackward, [...backwardCases, ...droppedCases]);
proveGradients(
  {
    forward: 'activation_forward',
    backward: 'activation_backward',
    outputs: { out: 'dout' },
    inputs: { dinp: 'inp' },
    backwardCase(after) {
      const inp = after.floats('inp');
      const savesOutput = SAVES_OUTPUT.includes(after.size('activation'));
      return {
        tensors: { saved: savesOutput ? after.floats('out') : inp, dinp: garbage(inp.length) },
        sizes: after.sizes,
      };
    },
  },
  forwardCases.filter(({ title }) => title.endsWith('(3, 5)') || title.endsWith('(17, 31)')),
);

for (const device of devices()) {
  describe(`activation_backward of ReLU on ${device.device}`, () => {
    it('gives the same bits from the input as from the output', async () => {
      const inp = Float64Array.of(...extremes, ...values(9, 50));
      const dout = new Random(5).normal(inp.length);
      const sizes = { rows: 1, n: inp.length, activation: RELU };
      for (const where of places(device)) {
        const of = (saved: Float64Array) =>
          run('activation_backward', where, { saved, dout, dinp: garbage(inp.length) }, sizes);
        const { dinp } = await of(inp.map((x) => activate(RELU, x, (y) => y)));
        expectSameBits(await of(inp), { dinp: dinp! }, where.precision);
      }
    });
  });
}

interface Fixture {
  inp: number[];
  activations: Record<string, { out: number[]; slope: number[] }>;
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/activations.json', import.meta.url), 'utf8')) as Fixture;
/** The activations of config.json files. */
const TRANSFORMERS: Record<string, number> = {
  gelu: GELU,
  tanh: TANH,
  relu: RELU,
  gelu_new: GELU_TANH,
  gelu_fast: GELU_TANH,
  gelu_pytorch_tanh: GELU_TANH,
  silu: SILU,
  swish: SILU,
};
for (const device of devices()) {
  describe(`activations on ${device.device} are those of transformers`, () => {
    for (const [name, { out, slope }] of Object.entries(fixture.activations)) {
      it(name, async () => {
        const inp = Float64Array.from(fixture.inp);
        const sizes = { rows: 1, n: inp.length, activation: TRANSFORMERS[name]! };
        const dout = new Float64Array(inp.length).fill(1);
        for (const where of places(device)) {
          // gelu_new's constant has ten digits.
          const tolerance = where.precision === 'fp64' ? 1e-9 : where.precision === 'bf16' ? 2e-2 : 1e-6;
          const found = await run('activation_forward', where, { inp, out: garbage(inp.length) }, sizes);
          expectClose(found.out!, Float64Array.from(out), tolerance, 'out');
          const saved = sizes.activation === TANH ? Float64Array.from(out) : inp;
          const { dinp } = await run('activation_backward', where, { saved, dout, dinp: garbage(inp.length) }, sizes);
          expectClose(dinp!, Float64Array.from(slope), tolerance, 'slope');
        }
      });
    }
  });
}
