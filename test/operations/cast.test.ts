import { type Case, garbage, type Operation, proveValues, Random } from './harness.js';

const castToReal: Operation = {
  name: 'cast_to_real',
  formula: (args, round) => ({ out: args.floats('inp').map((x) => round(x)) }),
};
const castToAcc: Operation = {
  name: 'cast_to_acc',
  formula(args, round) {
    const accumulate = args.size('accumulate', 0) === 1;
    return { out: args.output('out', 0).map((x, i) => round((accumulate ? x : 0) + args.floats('inp')[i]!)) };
  },
};

const counts = [1, 3, 64, 1001];

function castCase(count: number, sizes: Record<string, number>): Case {
  const random = new Random(count);
  const out = sizes.accumulate ? random.normal(count) : garbage(count);
  return {
    title: `${count} elements${sizes.accumulate ? ', added' : ''}`,
    tensors: { inp: random.normal(count), out },
    sizes,
  };
}

proveValues(
  castToReal,
  counts.map((count) => castCase(count, {})),
);
proveValues(castToAcc, [
  ...counts.map((count) => castCase(count, {})),
  ...counts.map((count) => castCase(count, { accumulate: 1 })),
]);
