import { expect } from 'chai';
import {
  type Case,
  copyTensors,
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
  type Sizes,
  type Tensors,
  unalignedCases,
} from './harness.js';
import { dot, dropoutFactor } from './reference.js';

const FORWARD = 'lora_forward_add';
const BACKWARD = 'lora_backward';

const forward: Operation = {
  name: FORWARD,
  formula(args, round) {
    const [rows, n, k, r] = [args.size('rows'), args.size('n'), args.size('k'), args.size('r')];
    const [inpStride, outStride] = [args.size('inp_stride', k), args.size('out_stride', n)];
    const [inp, a, b] = [args.floats('inp'), args.floats('a'), args.floats('b')];
    const factor = dropoutFactor(args.dropout, round);
    const scaling = round(args.size('scaling'));
    const h = args.output('h', 0);
    const out = args.output('out', 0);
    for (let row = 0; row < rows; row++) {
      const dropped = (p: number) => round(inp[row * inpStride + p]! * factor(row, p));
      const kept = Float64Array.from({ length: k }, (_, p) => dropped(p));
      for (let i = 0; i < r; i++)
        h[row * r + i] = dot(
          k,
          (p) => kept[p]!,
          (p) => a[i * k + p]!,
          round,
        );
      for (let j = 0; j < n; j++) {
        const update = round(
          scaling *
            dot(
              r,
              (i) => h[row * r + i]!,
              (i) => b[j * r + i]!,
              round,
            ),
        );
        out[row * outStride + j] = round(out[row * outStride + j]! + update);
      }
    }
    return { h, out };
  },
};

const backward: Operation = {
  name: BACKWARD,
  formula(args, round) {
    const [rows, n, k, r] = [args.size('rows'), args.size('n'), args.size('k'), args.size('r')];
    const [inpStride, doutStride] = [args.size('inp_stride', k), args.size('dout_stride', n)];
    const dinpStride = args.size('dinp_stride', k);
    const [inp, a, b, h, dout] = ['inp', 'a', 'b', 'h', 'dout'].map((name) => args.floats(name)) as Float64Array[];
    const factor = dropoutFactor(args.dropout, round);
    const scaling = round(args.size('scaling'));
    const accumulate = args.size('accumulate', 0) === 1;
    const dh = new Float64Array(rows * r).map((_, at) => {
      const [row, i] = [Math.floor(at / r), at % r];
      return round(
        scaling *
          dot(
            n,
            (j) => dout![row * doutStride + j]!,
            (j) => b![j * r + i]!,
            round,
          ),
      );
    });
    const kept = new Float64Array(rows * k).map((_, at) => factor(Math.floor(at / k), at % k));
    const sum = (before: number, product: number) => (accumulate ? round(before + product) : product);
    const da = args.output('da', r * k).map((before, at) => {
      const [i, p] = [Math.floor(at / k), at % k];
      const dropped = (row: number) => round(inp![row * inpStride + p]! * kept[row * k + p]!);
      return sum(
        before,
        dot(rows, (row) => dh[row * r + i]!, dropped, round),
      );
    });
    const db = args.output('db', n * r).map((before, at) => {
      const [j, i] = [Math.floor(at / r), at % r];
      const product = dot(
        rows,
        (row) => dout![row * doutStride + j]!,
        (row) => h![row * r + i]!,
        round,
      );
      return sum(before, round(scaling * product));
    });
    const dinp = args.output('dinp', (rows - 1) * dinpStride + k);
    for (let row = 0; row < rows; row++) {
      for (let p = 0; p < k; p++) {
        const at = row * dinpStride + p;
        const product = dot(
          r,
          (i) => dh[row * r + i]!,
          (i) => a![i * k + p]!,
          round,
        );
        dinp[at] = round(dinp[at]! + round(product * kept[row * k + p]!));
      }
    }
    return { da, db, dinp };
  },
};

const shapes = [
  [1, 1, 1, 1],
  [5, 3, 7, 2],
  [16, 32, 32, 4],
  [17, 31, 33, 8],
  [129, 20, 65, 3],
  [64, 48, 64, 32],
] as const;

function spread(rows: number, columns: number, stride: number | undefined): number {
  return (rows - 1) * (stride ?? columns) + columns;
}

function forwardCase(title: string, [rows, n, k, r]: readonly number[], sizes: Sizes = {}): Case {
  const random = new Random(rows! + n! + k! + r!);
  return {
    title,
    tensors: {
      inp: random.normal(spread(rows!, k!, sizes.inp_stride)),
      a: random.normal(r! * k!, 0.5),
      b: random.normal(n! * r!, 0.5),
      h: garbage(rows! * r!),
      out: random.normal(spread(rows!, n!, sizes.out_stride)),
    },
    sizes: { rows: rows!, n: n!, k: k!, r: r!, scaling: 4, seed: 8, dropout_step: 1, dropout_site: 19, ...sizes },
  };
}

function backwardCase(title: string, [rows, n, k, r]: readonly number[], sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(rows! + n! + k! + r!);
  const before = (count: number) => (sizes.accumulate ? random.normal(count) : garbage(count));
  const tensors: Tensors = {
    dout: random.normal(spread(rows!, n!, sizes.dout_stride)),
    inp: random.normal(spread(rows!, k!, sizes.inp_stride)),
    h: random.normal(rows! * r!),
    a: random.normal(r! * k!, 0.5),
    b: random.normal(n! * r!, 0.5),
    da: before(r! * k!),
    db: before(n! * r!),
    dinp: random.normal(spread(rows!, k!, sizes.dinp_stride)),
  };
  for (const name of omit) delete tensors[name];
  const own = { rows: rows!, n: n!, k: k!, r: r!, scaling: 4, seed: 8, dropout_step: 1, dropout_site: 19 };
  return { title, tensors, sizes: { ...own, ...sizes } };
}

const middle = [70, 31, 33, 8];
// What a kernel cuts into tiles: several along each size, in whole vectors and not; several blocks to a sum over rows.
const tiled = [
  [20, 136, 304, 8],
  [19, 131, 301, 5],
  [150, 40, 72, 12],
  [35, 48, 40, 40],
  [34, 35, 37, 69],
  [530, 8, 40, 4],
  [1050, 33, 5, 3],
];
const whole = [24, 40, 48, 8];
const forwardCases = [
  ...shapes.map((shape) => forwardCase(`(${shape.join(', ')})`, shape)),
  ...shapes.map((shape) => forwardCase(`(${shape.join(', ')}) with dropout`, shape, { dropout_p: 0.1 })),
  ...tiled.map((shape) => forwardCase(`(${shape.join(', ')}) in tiles`, shape, { dropout_p: 0.1 })),
  ...unalignedCases(forwardCase('(24, 40, 48, 8)', whole, { dropout_p: 0.1 }), ['inp', 'a', 'b', 'h', 'out']),
  ...['inp_stride', 'out_stride'].map((stride) => forwardCase(`${stride} odd`, whole, { [stride]: 51 })),
  forwardCase('whole rows apart', whole, { inp_stride: 56, out_stride: 64, dropout_p: 0.1 }),
  forwardCase('rows apart', middle, { inp_stride: 40, out_stride: 35, dropout_p: 0.1 }),
  forwardCase('rows apart without dropout', middle, { inp_stride: 40, out_stride: 35 }),
  forwardCase('a row a sequence', middle, { row_kind: 1, dropout_p: 0.1 }),
];
const backwardCases = [
  ...shapes.map((shape) => backwardCase(`(${shape.join(', ')})`, shape)),
  ...shapes.map((shape) => backwardCase(`(${shape.join(', ')}) with dropout`, shape, { dropout_p: 0.1 })),
  ...tiled.map((shape) => backwardCase(`(${shape.join(', ')}) in tiles`, shape, { dropout_p: 0.1, accumulate: 1 })),
  ...unalignedCases(backwardCase('(24, 40, 48, 8)', whole, { dropout_p: 0.1 }), ['dout', 'inp', 'h', 'a', 'b', 'dinp']),
  ...['inp_stride', 'dout_stride', 'dinp_stride'].map((stride) =>
    backwardCase(`${stride} odd`, whole, { [stride]: 51 }),
  ),
  backwardCase('whole rows apart', whole, { inp_stride: 56, dout_stride: 64, dinp_stride: 72, dropout_p: 0.1 }),
  ...[0, 0.1].flatMap((dropout_p) => [
    backwardCase(`rows apart, p ${dropout_p}`, middle, { inp_stride: 40, dout_stride: 35, dinp_stride: 50, dropout_p }),
    backwardCase(`accumulated, p ${dropout_p}`, middle, { accumulate: 1, dropout_p }),
    backwardCase(`sums put off, p ${dropout_p}`, middle, { put_off: 1, accumulate: 1, dropout_p }),
    backwardCase(`sums put off over many rows, p ${dropout_p}`, [1050, 33, 5, 3], { put_off: 1, dropout_p }),
    backwardCase(`sums put off without dinp, p ${dropout_p}`, middle, { put_off: 1, dropout_p }, ['dinp']),
    backwardCase(`sums put off without da, p ${dropout_p}`, middle, { put_off: 1, dropout_p }, ['da']),
    ...[['da'], ['db'], ['dinp'], ['da', 'db'], ['da', 'dinp'], ['db', 'dinp']].map((omit) =>
      backwardCase(`without ${omit.join(' and ')}, p ${dropout_p}`, middle, { dropout_p }, omit),
    ),
  ]),
];

proveValues(forward, forwardCases);
proveValues(backward, backwardCases);
proveGradients(
  {
    forward: FORWARD,
    backward: BACKWARD,
    outputs: { out: 'dout' },
    inputs: { da: 'a', db: 'b', dinp: 'inp' },
    backwardCase(after) {
      const { inp_stride, out_stride, ...sizes } = after.sizes;
      const inp = after.floats('inp');
      return {
        tensors: {
          inp,
          h: after.floats('h'),
          a: after.floats('a'),
          b: after.floats('b'),
          da: garbage(after.floats('a').length),
          db: garbage(after.floats('b').length),
          dinp: new Float64Array(inp.length),
        },
        sizes: {
          ...sizes,
          inp_stride: inp_stride ?? after.size('k'),
          dinp_stride: inp_stride ?? after.size('k'),
          dout_stride: out_stride ?? after.size('n'),
        },
      };
    },
  },
  [
    forwardCase('(5, 3, 7, 2)', [5, 3, 7, 2]),
    forwardCase('(5, 3, 7, 2) with dropout', [5, 3, 7, 2], { dropout_p: 0.3 }),
    forwardCase('rows apart with dropout', middle, { inp_stride: 40, out_stride: 35, dropout_p: 0.1 }),
  ],
);

/** Arrays and sizes of the i-th update that shares its input with others; those in `shared` are of all. */
function asUpdate(item: Case, i: number, shared: readonly string[]): Case {
  const rename = <Value>(values: Record<string, Value>): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [shared.includes(name) || i === 0 ? name : `${name}.${i}`, value]),
    );
  return { title: '', tensors: rename(item.tensors), sizes: rename(item.sizes) };
}

const SHARED = ['rows', 'k', 'inp', 'inp_stride', 'dinp', 'dinp_stride', 'accumulate'].concat([
  'dropout_p',
  'dropout_site',
  'seed',
  'dropout_step',
  'row_kind',
]);

// An update that shares its input with others has the numbers that it has by itself. Of dinp, to which all add, bf16
// rounds the sum, not each of its terms.
for (const device of devices()) {
  describe(`several updates of one input on ${device.device}`, () => {
    for (const [title, rows, k, updates] of [
      [
        'two of one size',
        37,
        40,
        [
          [48, 8],
          [48, 8],
        ],
      ],
      [
        'three of different sizes',
        70,
        304,
        [
          [136, 8],
          [40, 32],
          [264, 4],
        ],
      ],
      [
        'three of odd sizes',
        35,
        33,
        [
          [31, 3],
          [48, 40],
          [5, 17],
        ],
      ],
      [
        'two over many rows',
        530,
        24,
        [
          [8, 4],
          [16, 8],
        ],
      ],
    ] as const) {
      it(title, async () => {
        for (const where of places(device)) {
          const forwards = updates.map(([n, r]) => forwardCase('', [rows, n, k, r], { dropout_p: 0.1, inp_stride: k }));
          const backwards = updates.map(([n, r]) => backwardCase('', [rows, n, k, r], { dropout_p: 0.1 }));
          for (const [name, items] of [
            [FORWARD, forwards],
            [BACKWARD, backwards],
          ] as const) {
            const together = items.map((item, i) => asUpdate(item, i, SHARED));
            const first = together[0]!;
            const tensors = Object.assign({}, ...together.map((item) => item.tensors), {
              inp: first.tensors.inp,
              ...(first.tensors.dinp && { dinp: first.tensors.dinp }),
            });
            const sizes: Sizes = Object.assign({}, ...together.map((item) => item.sizes));
            const found = await run(name, where, tensors, sizes);
            if (name === BACKWARD) {
              const { dinp: _, ...later } = await run(name, where, tensors, { ...sizes, put_off: 1 });
              const { dinp: __, ...atOnce } = found;
              expectSameBits(later, atOnce, `sums put off in ${where.precision}`);
            }
            let dinp = first.tensors.dinp;
            for (const [i, item] of items.entries()) {
              const own = { ...item.tensors, inp: first.tensors.inp!, ...(dinp && { dinp }) };
              const sizes = { ...item.sizes, dropout_site: item.sizes.dropout_site! + i };
              const expected = await run(name, where, own, sizes);
              for (const output of name === FORWARD ? ['h', 'out'] : ['da', 'db']) {
                const what = `update ${i} in ${where.precision}`;
                const stored = found[i === 0 ? output : `${output}.${i}`]!;
                expectSameBits({ [output]: stored }, { [output]: expected[output]! }, what);
              }
              dinp = expected.dinp;
            }
            if (!dinp) continue;
            if (where.precision === 'bf16') expectClose(found.dinp!, dinp, 2 ** -7, 'dinp');
            else expectSameBits({ dinp: found.dinp! }, { dinp }, where.precision);
          }
        }
      });
    }
  });
}

// Rows that are whole vectors, wider than a warp takes at once, and not.
for (const device of devices()) {
  describe(`a LayerNorm that goes on from a low-rank update's gradient on ${device.device}`, () => {
    for (const [rows, n, k, r] of [
      [37, 48, 40, 8],
      [16, 24, 264, 40],
      [19, 31, 33, 3],
    ] as const) {
      for (const padding of [0, 20]) {
        const behind = padding ? ', rows behind those of the batch' : '';
        // The CPU's backend runs batches at the sizes that they have.
        if (padding && device.device === 'cpu') continue;
        it(`(${rows}, ${n}, ${k}, ${r})${behind}`, async () => {
          const random = new Random(rows + k);
          const whole = backwardCase('', [rows, n, k, r], { dropout_p: 0.1, dropout_site: 5 });
          const live = padding ? padded(whole, padding, { dout: n, inp: k, h: r }) : whole;
          const count = live.sizes.rows!;
          live.tensors.dinp = random.normal(count * k);
          const norm = {
            sum: random.normal(count * k),
            mean: random.normal(count),
            rstd: random.normal(count).map((value) => Math.abs(value) + 0.5),
            gamma: random.normal(k),
          };
          const outputs = ['dresidual', 'dinp'] as const;
          for (const where of places(device)) {
            const found = await run(
              BACKWARD,
              where,
              {
                ...live.tensors,
                ...Object.fromEntries(Object.entries(norm).map(([name, values]) => [`norm_${name}`, values])),
                ...Object.fromEntries(outputs.map((name) => [`norm_${name}`, garbage(count * k)])),
              },
              live.sizes,
            );
            const { dinp: dout, ...sums } = await run(BACKWARD, where, live.tensors, live.sizes);
            const { seed, dropout_step, dropout_site, dropout_p, padding_tokens } = live.sizes;
            const own = { rows: count, C: k, seed, dropout_step, dropout_site, dropout_p, padding_tokens };
            const expected = await run(
              'dropout_residual_layernorm_backward',
              where,
              { ...norm, dout: dout!, ...Object.fromEntries(outputs.map((name) => [name, garbage(count * k)])) },
              Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) as Sizes,
            );
            for (const name of ['da', 'db']) expectSameBits({ [name]: found[name]! }, { [name]: sums[name]! }, name);
            for (const name of outputs) expectClose(found[`norm_${name}`]!, expected[name]!, 2 ** -20, name);
          }
        });
      }
    }
  });
}

/** The case with NaN in `padding` more rows of each array of `columns`. */
function padded(item: Case, padding: number, columns: Record<string, number>): Case {
  const tensors = copyTensors(item.tensors);
  for (const [name, count] of Object.entries(columns)) {
    const array = new Float64Array(tensors[name]!.length + padding * count).fill(Number.NaN);
    array.set(tensors[name]!);
    tensors[name] = array;
  }
  return { ...item, tensors, sizes: { ...item.sizes, rows: item.sizes.rows! + padding, padding_tokens: padding } };
}

// The CPU's backend runs batches at the sizes that they have.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  describe(`rows behind those of the batch on ${device.device}`, () => {
    for (const [rows, n, k, r] of [
      [17, 24, 40, 8],
      [16, 33, 35, 3],
      [5, 33, 35, 40],
    ] as const) {
      for (const [name, item, columns, zero] of [
        [FORWARD, forwardCase('', [rows, n, k, r], { dropout_p: 0.1 }), { inp: k, h: r, out: n }, ['h']],
        [BACKWARD, backwardCase('', [rows, n, k, r], { dropout_p: 0.1 }), { dout: n, inp: k, h: r, dinp: k }, []],
      ] as const) {
        it(`of ${name}, (${rows}, ${n}, ${k}, ${r})`, async () => {
          const longer = padded(item, 40, columns);
          for (const where of places(device)) {
            const expected = await run(name, where, item.tensors, item.sizes);
            const found = await run(name, where, longer.tensors, longer.sizes);
            for (const [array, values] of Object.entries(expected)) {
              const behind = found[array]!.slice(values.length);
              const left = (zero as readonly string[]).includes(array) ? 0 : Number.NaN;
              expectSameBits({ [array]: found[array]!.slice(0, values.length) }, { [array]: values }, where.precision);
              expect(Array.from(behind), array).to.deep.equal(new Array(behind.length).fill(left));
            }
          }
        });
      }
    }
  });
}
