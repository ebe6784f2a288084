import { expect } from 'chai';
import { type Case, devices, garbage, type Operation, places, proveValues, Random, run } from './harness.js';
import { type Round, rounding } from './reference.js';

const castToReal: Operation = {
  name: 'cast_to_real',
  formula: (args, round) => ({ out: args.floats('inp').map((x) => round(x)) }),
};

const counts = [1, 3, 64, 1001, 1024, 2050];

function castCase(count: number): Case {
  return {
    title: `${count} elements`,
    tensors: { inp: new Random(count).normal(count), out: garbage(count) },
    sizes: {},
  };
}

/** The case with arrays that start a number of elements into their buffers. */
function shifted(item: Case, inp: number, out: number): Case {
  const tensors = { ...item.tensors };
  for (const [name, shift] of Object.entries({ inp, out })) {
    const view = new Float64Array(shift + tensors[name]!.length).subarray(shift);
    view.set(tensors[name]!);
    tensors[name] = view;
  }
  return { ...item, tensors, title: `${item.title}, from element ${inp} to element ${out}` };
}

const shifts = [
  [1, 0],
  [0, 3],
  [2, 2],
  [4, 8],
] as const;

proveValues(castToReal, [...counts.map(castCase), ...shifts.map(([inp, out]) => shifted(castCase(301), inp, out))]);

for (const device of devices()) {
  it(`cast_to_real on ${device.device} rounds to nearest, ties to even`, async () => {
    const inp = new Random(7).normal(301).map(Math.fround);
    inp.set([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 0, -0, 2 ** 127, 2 ** -149]);
    for (const where of places(device)) {
      const round: Round = where.precision === 'bf16' ? rounding.bf16! : Math.fround;
      const { out } = await run('cast_to_real', where, { inp, out: garbage(inp.length) }, {});
      expect(Array.from(out!)).to.deep.equal(Array.from(inp, round));
    }
  });
}
