import { expect } from 'chai';
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
  starts,
  type Tensors,
} from './harness.js';
import { dot, layernormBackward } from './reference.js';

const NAME = 'normed_linear_gradients';

/** The gradients of linear i, by the steps that they take one by one: LayerNorm, and the linear's backward. */
function gradientsOf(args: Arguments, i: number, round: (value: number) => number): Tensors {
  const [rows, n, k] = [args.size('rows'), args.size(`n.${i}`), args.size(`k.${i}`)];
  const accumulate = args.size('accumulate', 0) === 1;
  const floats = (name: string) => args.floats(`${name}.${i}`);
  const [dout, weight, sum, mean, rstd] = ['dout', 'weight', 'sum', 'mean', 'rstd'].map(floats) as Float64Array[];
  const [gamma, beta] = [floats('gamma'), floats('beta')];
  const normed = sum!.map((x, at) => {
    const [row, column] = [Math.floor(at / k), at % k];
    return round(round(round(round(x - mean![row]!) * rstd![row]!) * gamma[column]!) + beta[column]!);
  });
  const added = (name: string, count: number, value: (at: number) => number) =>
    args.output(`${name}.${i}`, count).map((before, at) => (accumulate ? round(before + value(at)) : value(at)));
  const dnormed = Float64Array.from({ length: rows * k }, (_, at) => {
    const [row, column] = [Math.floor(at / k), at % k];
    return dot(
      n,
      (c) => dout![row * n + c]!,
      (c) => weight![c * k + column]!,
      round,
    );
  });
  const norm = layernormBackward(
    {
      floats,
      output: (name, count) => args.output(`${name}.${i}`, count),
      size: (name, otherwise) => args.size(name, otherwise),
    },
    dnormed,
    rows,
    k,
    round,
  );
  const column = (at: number) => (row: number) => dout![row * n + at]!;
  return {
    [`dweight.${i}`]: added('dweight', n * k, (at) =>
      dot(rows, column(Math.floor(at / k)), (row) => normed[row * k + (at % k)]!, round),
    ),
    [`dbias.${i}`]: added('dbias', n, (at) => dot(rows, column(at), () => 1, round)),
    [`dgamma.${i}`]: norm.dgamma,
    [`dbeta.${i}`]: norm.dbeta,
  };
}

const gradients: Operation = {
  name: NAME,
  formula: (args, round) =>
    Object.assign({}, ...Array.from({ length: args.size('linears') }, (_, i) => gradientsOf(args, i, round))),
};

/** Outputs and inputs of a linear. */
type Linear = readonly [n: number, k: number, omit?: string[]];

function linearCase(title: string, rows: number, linears: readonly Linear[], sizes: Sizes = {}): Case {
  const random = new Random(rows + linears.length);
  const tensors: Tensors = {};
  const all: Sizes = { rows, linears: linears.length, ...sizes };
  for (const [i, [n, k, omit = []]] of linears.entries()) {
    all[`n.${i}`] = n;
    all[`k.${i}`] = k;
    const before = (count: number) => (sizes.accumulate ? random.normal(count) : garbage(count));
    const own: Tensors = {
      dout: random.normal(rows * n),
      weight: random.normal(n * k),
      sum: random.normal(rows * k, 2),
      mean: random.normal(rows),
      rstd: random.normal(rows).map(Math.abs),
      gamma: random.normal(k),
      beta: random.normal(k),
      dweight: before(n * k),
      dbias: before(n),
      dgamma: before(k),
      dbeta: before(k),
    };
    for (const name of omit) delete own[name];
    for (const [name, array] of Object.entries(own)) tensors[`${name}.${i}`] = array;
  }
  return { title, tensors, sizes: all };
}

/** A probe's. */
const PROBE: Linear[] = [
  [32, 64],
  [6, 32],
];

proveValues(gradients, [
  linearCase('one output of one input', 1, [[1, 1]]),
  linearCase('the two of a probe', 16, PROBE, { row_kind: 1 }),
  linearCase('the two of a probe, accumulated', 16, PROBE, { accumulate: 1 }),
  linearCase('more outputs than the warps of a block take at once', 5, [[150, 40]]),
  linearCase('sizes that are no vectors', 17, [
    [31, 63],
    [7, 31],
  ]),
  linearCase('many rows', 150, [[9, 33]]),
  linearCase(
    'more linears than a launch takes',
    3,
    [1, 2, 3, 4, 5, 6].map((n) => [n, 8 * n] as const),
  ),
  linearCase('each gradient left out', 9, [
    [8, 32, ['dweight']],
    [8, 32, ['dbias']],
    [8, 32, ['dgamma']],
    [8, 32, ['dbeta']],
  ]),
]);

// The CPU pads nothing.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  it(`${NAME} on ${device.device} takes no row behind those of the batch`, async () => {
    const [B, padding] = [5, 11];
    const item = linearCase('', B + padding, PROBE, { row_kind: 1 });
    const live: Tensors = {};
    for (const [name, array] of Object.entries(item.tensors)) {
      const isOfRows = /^(dout|sum|mean|rstd)/.test(name);
      live[name] = isOfRows ? array.slice(0, (array.length / (B + padding)) * B) : array;
      if (isOfRows) (array as Float64Array).fill(Number.NaN, live[name].length);
    }
    item.tensors.cu_seqlens = live.cu_seqlens = starts(new Array(B).fill(1));
    for (const where of places(device)) {
      const expected = await run(NAME, where, live, { ...item.sizes, rows: B });
      const found = await run(NAME, where, item.tensors, { ...item.sizes, padding_sequences: padding });
      for (const name of ['dweight', 'dbias', 'dgamma', 'dbeta'].flatMap((part) => [`${part}.0`, `${part}.1`])) {
        expectSameBits({ [name]: found[name]! }, { [name]: expected[name]! }, where.precision);
        expect(Number.isFinite(found[name]![0]), name).to.equal(true);
      }
    }
  });
}
