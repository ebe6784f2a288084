import {
  type Arguments,
  type Case,
  devices,
  expectSameBits,
  garbage,
  type Operation,
  places,
  proveValues,
  Random,
  run,
  type Sizes,
  type Tensors,
} from './harness.js';
import { dot } from './reference.js';

const NAME = 'sum_rows';

/** dgamma and dbeta of sum i. */
function sumsOf(args: Arguments, i: number, round: (value: number) => number): Tensors {
  const [rows, n] = [args.size('rows'), args.size(`n.${i}`)];
  const stride = args.size(`dout_stride.${i}`, n);
  const accumulate = args.size('accumulate', 0) === 1;
  const dout = args.floats(`dout.${i}`);
  const sumOf = (name: string, factor: (row: number, column: number) => number): Float64Array =>
    args.output(`${name}.${i}`, n).map((before, column) => {
      const sum = dot(
        rows,
        (row) => dout[row * stride + column]!,
        (row) => factor(row, column),
        round,
      );
      return accumulate ? round(before + sum) : sum;
    });
  const dbeta = sumOf('dbeta', () => 1);
  if (!args.has(`sum.${i}`)) return { [`dbeta.${i}`]: dbeta };
  const [sum, mean, rstd] = ['sum', 'mean', 'rstd'].map((name) => args.floats(`${name}.${i}`)) as Float64Array[];
  const normed = (row: number, column: number) => round(round(sum![row * n + column]! - mean![row]!) * rstd![row]!);
  return { [`dbeta.${i}`]: dbeta, [`dgamma.${i}`]: sumOf('dgamma', normed) };
}

const sumRows: Operation = {
  name: NAME,
  formula: (args, round) =>
    Object.assign({}, ...Array.from({ length: args.size('sums') }, (_, i) => sumsOf(args, i, round))),
};

/** Columns of a sum, and what it is of. */
type Sum = readonly [n: number, kind: 'bias' | 'layernorm', omit?: string];

function sumCase(title: string, rows: number, sums: readonly Sum[], sizes: Sizes = {}, apart = 0): Case {
  const random = new Random(rows + sums.length);
  const tensors: Tensors = {};
  const all: Sizes = { rows, sums: sums.length, ...sizes };
  for (const [i, [n, kind, omit]] of sums.entries()) {
    const before = () => (sizes.accumulate ? random.normal(n) : garbage(n));
    all[`n.${i}`] = n;
    if (kind === 'bias' && apart) all[`dout_stride.${i}`] = n + apart;
    tensors[`dout.${i}`] = random.normal((rows - 1) * (all[`dout_stride.${i}`] ?? n) + n);
    tensors[`dbeta.${i}`] = before();
    if (kind === 'bias') continue;
    tensors[`sum.${i}`] = random.normal(rows * n, 2);
    tensors[`mean.${i}`] = random.normal(rows);
    tensors[`rstd.${i}`] = random.normal(rows).map(Math.abs);
    tensors[`dgamma.${i}`] = before();
    if (omit) delete tensors[`${omit}.${i}`];
  }
  return { title, tensors, sizes: all };
}

/** An encoder layer's. */
const LAYER: Sum[] = [
  [40, 'layernorm'],
  [40, 'bias'],
  [160, 'bias'],
  [40, 'layernorm'],
  [40, 'bias'],
  [120, 'bias'],
];

const cases = [
  sumCase('one bias', 5, [[7, 'bias']]),
  sumCase('one LayerNorm', 5, [[7, 'layernorm']]),
  sumCase('those of a layer', 70, LAYER),
  sumCase('those of a layer, accumulated', 70, LAYER, { accumulate: 1 }),
  sumCase('those of a layer over many rows', 1100, LAYER, { accumulate: 1 }),
  sumCase('rows apart', 33, LAYER, {}, 8),
  sumCase('rows apart by odd strides', 33, LAYER, {}, 3),
  sumCase('vectors and single columns', 17, [
    [64, 'bias'],
    [6, 'bias'],
    [33, 'layernorm'],
    [32, 'layernorm'],
  ]),
  sumCase('more than a launch takes', 9, [...LAYER, ...LAYER, ...LAYER]),
  sumCase('without dgamma and without dbeta', 17, [
    [40, 'layernorm', 'dgamma'],
    [40, 'layernorm', 'dbeta'],
    [8, 'bias'],
  ]),
  sumCase('a row a sequence', 17, LAYER, { row_kind: 1 }),
];
proveValues(sumRows, cases);

for (const device of devices()) {
  describe(`sums made together on ${device.device}`, () => {
    for (const item of cases) {
      it(`have the bits of each by itself: ${item.title}`, async () => {
        for (const where of places(device)) {
          const found = await run(NAME, where, item.tensors, item.sizes);
          const { rows, accumulate = 0, row_kind = 0 } = item.sizes;
          for (let i = 0; i < item.sizes.sums!; i++) {
            const take = (name: string) => item.tensors[`${name}.${i}`];
            const n = item.sizes[`n.${i}`]!;
            const shared = { rows: rows!, accumulate, row_kind };
            const what = `sum ${i} in ${where.precision}`;
            const given = (tensors: Record<string, Tensors[string] | undefined>): Tensors =>
              Object.fromEntries(Object.entries(tensors).filter(([, value]) => value)) as Tensors;
            if (take('sum')) {
              const [dout, sum, mean, rstd] = ['dout', 'sum', 'mean', 'rstd'].map(take);
              const tensors = given({ dout, sum, mean, rstd, dgamma: take('dgamma'), dbeta: take('dbeta') });
              const sizes = { ...shared, C: n };
              const alone = await run(
                'dropout_residual_layernorm_backward',
                where,
                { ...tensors, gamma: new Float64Array(n) },
                sizes,
              );
              for (const name of ['dgamma', 'dbeta']) {
                if (!take(name)) continue;
                expectSameBits({ [name]: found[`${name}.${i}`]! }, { [name]: alone[name]! }, what);
              }
            } else {
              const sizes = { ...shared, n, k: 1, dout_stride: item.sizes[`dout_stride.${i}`] ?? n };
              const tensors = given({ dout: take('dout'), dbias: take('dbeta') });
              const { dbias } = await run('linear_backward_weight', where, tensors, sizes);
              expectSameBits({ dbeta: found[`dbeta.${i}`]! }, { dbeta: dbias! }, what);
            }
          }
        }
      });
    }
  });
}
