import { expect } from 'chai';
import type { NativePrecision } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { expectClose, expectSameBits, Random, run, type Sizes, type Tensors } from './harness.js';
import { exact, rounding } from './reference.js';

/*
 * The products of the CPU's linear operations that are made in another element type than the scalars around them, or
 * from weights that were laid out beforehand. Sizes are those that oneDNN takes: 64 inputs and outputs and more.
 */

const cpu = devices().filter(({ device }) => device === 'cpu');
const has = (precision: NativePrecision) => cpu.some(({ precisions }) => precisions.includes(precision));
const place = (precision: NativePrecision, threads: number) => ({ device: 'cpu', precision, threads });

interface Shape {
  rows: number;
  n: number;
  k: number;
}

const SHAPES: Shape[] = [
  { rows: 1, n: 64, k: 64 },
  { rows: 7, n: 96, k: 72 },
  { rows: 33, n: 200, k: 136 },
  { rows: 150, n: 128, k: 320 },
  { rows: 530, n: 70, k: 66 },
];

/** Tensors in fp32, as the operations are given them. */
function draw({ rows, n, k }: Shape): Record<'inp' | 'weight' | 'bias' | 'dout', Float64Array> {
  const random = new Random(rows + 3 * n + 5 * k);
  const singles = (values: Float64Array) => values.map(Math.fround);
  return {
    inp: singles(random.normal(rows * k)),
    weight: singles(random.normal(n * k, 0.1)),
    bias: singles(random.normal(n)),
    dout: singles(random.normal(rows * n)),
  };
}

const forward = (where: ReturnType<typeof place>, shape: Shape, { inp, weight, bias }: Tensors) =>
  run('linear_forward', where, { inp: inp!, weight: weight!, bias: bias!, out: zeros(shape.rows * shape.n) }, {
    ...shape,
  } as Sizes);

const zeros = (count: number) => new Float64Array(count);

/** a (rows,depth) · bᵀ (columns,depth), in double. */
function multiply(rows: number, columns: number, depth: number, a: Float64Array, b: Float64Array): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let p = 0; p < depth; p++) sum += a[row * depth + p]! * b[column * depth + p]!;
    return sum;
  });
}

/** values (rows,columns), the other way round. */
const transposed = (rows: number, columns: number, values: Float64Array) =>
  Float64Array.from({ length: rows * columns }, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);

/** With 17 significant bits. */
const short = (scale: number) => {
  const bits = new Int32Array(Float32Array.of(scale).buffer);
  bits[0] = (bits[0]! + 64) & ~127;
  return new Float32Array(bits.buffer)[0]!;
};

/** The nearest values that bytes can tell, for each row by its own range. */
function throughBytes(rows: number, columns: number, values: Float64Array, isWeight: boolean): Float64Array {
  const out = zeros(rows * columns);
  for (let row = 0; row < rows; row++) {
    const of = values.subarray(row * columns, (row + 1) * columns);
    const [low, high] = [Math.min(0, ...of), Math.max(0, ...of)];
    const scale = isWeight ? short(Math.max(high, -low) / 127) : (high - low) / 255;
    const zero = isWeight ? 0 : Math.round(-low / scale);
    for (let i = 0; i < columns; i++) out[row * columns + i] = scale * (Math.round(of[i]! / scale + zero) - zero);
  }
  return out;
}

describe('products on the CPU', () => {
  for (const [precision, round] of [
    ['fp32', exact],
    ['bf16', rounding.bf16!],
  ] as const) {
    for (const shape of SHAPES) {
      const { rows, n, k } = shape;
      it(`are of operands in ${precision}, with sums in fp32: (${rows},${k}) · (${k},${n})`, async function () {
        if (!has(precision)) this.skip();
        const given = draw(shape);
        const [inp, weight, dout] = [given.inp, given.weight, given.dout].map((values) => values.map(round)) as [
          Float64Array,
          Float64Array,
          Float64Array,
        ];
        const product = multiply(rows, n, k, inp, weight).map((x, at) => x + given.bias[at % n]!);
        const dinp = multiply(rows, k, n, dout, transposed(n, k, weight));
        const before = new Random(1).normal(rows * k).map(Math.fround);
        const dweight = multiply(n, k, rows, transposed(rows, n, dout), transposed(rows, k, inp));
        for (const threads of [1, 2, 3]) {
          const where = place(precision, threads);
          const { out } = await forward(where, shape, given);
          expectClose(out!, product, 1e-6, `out on ${threads} threads`);
          for (const add of [0, 1]) {
            const tensors = { dout: given.dout, weight: given.weight, dinp: before.slice() };
            const found = await run('linear_backward_input', where, tensors, { ...shape, add_to_dinp: add } as Sizes);
            const expected = dinp.map((x, at) => x + add * before[at]!);
            expectClose(found.dinp!, expected, 1e-6, `dinp on ${threads} threads`);
          }
          const tensors = { dout: given.dout, inp: given.inp, dweight: zeros(n * k) };
          const gradient = await run('linear_backward_weight', where, tensors, { ...shape } as Sizes);
          expectClose(gradient.dweight!, dweight, 2e-6, `dweight on ${threads} threads`);
        }
      });
    }
  }

  for (const shape of SHAPES) {
    const { rows, n, k } = shape;
    it(`are of bytes in int8: (${rows},${k}) · (${k},${n})`, async function () {
      if (!has('int8')) this.skip();
      const given = draw(shape);
      const inp = throughBytes(rows, k, given.inp, false);
      const weight = throughBytes(n, k, given.weight, true);
      const product = multiply(rows, n, k, inp, weight).map((x, at) => x + given.bias[at % n]!);
      const full = multiply(rows, n, k, given.inp, given.weight).map((x, at) => x + given.bias[at % n]!);
      for (const threads of [1, 2, 3]) {
        const { out } = await forward(place('int8', threads), shape, given);
        // A value that lies between two bytes may be rounded either way.
        expectClose(out!, product, 1e-3, `out on ${threads} threads`);
        expectClose(out!, full, 3e-2, `out beside that in fp32 on ${threads} threads`);
      }
    });
  }

  it('have the same bits for a row in any number of rows', async () => {
    const [n, k, most] = [192, 1088, 140];
    const given = draw({ rows: most, n, k });
    for (const precision of (['fp32', 'int8'] as const).filter(has)) {
      const all = await forward(place(precision, 2), { rows: most, n, k }, given);
      for (const rows of [1, 2, 5, 16, 17, 63, 64, 65, 100]) {
        const inp = given.inp.slice(0, rows * k);
        const { out } = await forward(place(precision, 2), { rows, n, k }, { ...given, inp });
        expectSameBits({ out: out! }, { out: all.out!.slice(0, rows * n) }, `${rows} rows in ${precision}`);
      }
    }
  });

  it('let what is not finite through', async () => {
    const shape = { rows: 3, n: 64, k: 64 };
    for (const precision of (['fp32', 'bf16', 'int8'] as const).filter(has)) {
      for (const odd of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const given = draw(shape);
        given.inp[64 + 5] = odd;
        const { out } = await forward(place(precision, 1), shape, given);
        const finite = Array.from({ length: 3 }, (_, row) => Number.isFinite(out![row * 64]!));
        expect(finite, `${odd} in ${precision}`).to.deep.equal([true, false, true]);
        const weights = draw(shape);
        weights.weight[64 * 7 + 3] = odd;
        const columns = (await forward(place(precision, 1), shape, weights)).out!;
        const columnFinite = Array.from({ length: 9 }, (_, column) => Number.isFinite(columns[column]!));
        expect(columnFinite.indexOf(false), `${odd} in a weight in ${precision}`).to.equal(7);
      }
    }
  });
});
