import { expect } from 'chai';
import {
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
  unalignedCases,
} from './harness.js';
import { dot } from './reference.js';

/*
 * Batches of several adapters. Slot 0 has no update; slot i + 1 has the factors a.i, b.i (weight.i, bias.i) of the case.
 */

/** The slot of each row. */
function slotsOfRows(starts: Int32Array, slots: Int32Array, first: number, tokens: boolean): number[] {
  const sequences = [...slots.subarray(first, first + starts.length - 1)];
  return tokens ? sequences.flatMap((slot, b) => new Array<number>(starts[b + 1]! - starts[b]!).fill(slot)) : sequences;
}

const lora: Operation = {
  name: 'mixed_lora_forward_add',
  formula(args, round) {
    const [n, k] = [args.size('n'), args.size('k')];
    const [inpStride, outStride] = [args.size('inp_stride', k), args.size('out_stride', n)];
    const inp = args.floats('inp');
    const out = args.output('out', 0);
    const tokens = args.size('row_kind', 0) === 0;
    const rows = slotsOfRows(args.ints('cu_seqlens'), args.ints('slots'), args.size('order_begin', 0), tokens);
    for (const [row, slot] of rows.entries()) {
      if (slot === 0) continue;
      const [a, b] = [args.floats(`a.${slot - 1}`), args.floats(`b.${slot - 1}`)];
      const r = args.size(`r.${slot - 1}`);
      const scaling = round(args.size(`scaling.${slot - 1}`));
      const h = Float64Array.from({ length: r }, (_, i) =>
        dot(
          k,
          (p) => inp[row * inpStride + p]!,
          (p) => a[i * k + p]!,
          round,
        ),
      );
      for (let j = 0; j < n; j++) {
        const product = dot(
          r,
          (i) => h[i]!,
          (i) => b[j * r + i]!,
          round,
        );
        out[row * outStride + j] = round(out[row * outStride + j]! + round(scaling * product));
      }
    }
    return { out };
  },
};

const linear: Operation = {
  name: 'mixed_linear_forward',
  formula(args, round) {
    const [n, k] = [args.size('n'), args.size('k')];
    const stride = args.size('out_stride', n);
    const inp = args.floats('inp');
    const out = args.output('out', 0);
    const rows = slotsOfRows(args.ints('cu_seqlens'), args.ints('slots'), args.size('order_begin', 0), false);
    for (const [row, slot] of rows.entries()) {
      if (slot === 0) continue;
      const [weight, bias] = [args.floats(`weight.${slot - 1}`), args.floats(`bias.${slot - 1}`)];
      for (let j = 0; j < n; j++) {
        const sum = () =>
          dot(
            k,
            (p) => inp[row * k + p]!,
            (p) => weight[j * k + p]!,
            round,
          );
        out[row * stride + j] = j < bias.length ? round(sum() + bias[j]!) : 0;
      }
    }
    return { out };
  },
};

/** Texts of many lengths, and which adapter each is given to: runs that begin and end within a kernel's tile of rows. */
const BATCHES: Record<string, [lengths: number[], slots: number[]]> = {
  'one text': [[5], [1]],
  'one text without an adapter': [[5], [0]],
  'each its own': [
    [3, 1, 17, 16, 15, 2, 40, 1],
    [1, 0, 2, 3, 0, 1, 2, 3],
  ],
  'sorted by adapter': [
    [9, 8, 1, 30, 2, 33, 16, 16],
    [0, 0, 1, 1, 1, 2, 3, 3],
  ],
  'one adapter': [
    [20, 20, 20],
    [2, 2, 2],
  ],
  'many short texts': [Array.from({ length: 70 }, (_, i) => 1 + (i % 3)), Array.from({ length: 70 }, (_, i) => i % 4)],
};

const total = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);

function spread(rows: number, columns: number, stride: number | undefined): number {
  return (rows - 1) * (stride ?? columns) + columns;
}

function loraCase(title: string, batch: string, n: number, k: number, ranks: number[], sizes: Sizes = {}): Case {
  const random = new Random(n + k + total(ranks));
  const [lengths, slots] = BATCHES[batch]!;
  const rows = sizes.row_kind === 1 ? lengths.length : total(lengths);
  const tensors: Tensors = { cu_seqlens: starts(lengths), slots: Int32Array.from(slots) };
  const own: Sizes = { n, k };
  for (const [i, r] of ranks.entries()) {
    tensors[`a.${i}`] = random.normal(r * k, 0.5);
    tensors[`b.${i}`] = random.normal(n * r, 0.5);
    Object.assign(own, { [`r.${i}`]: r, [`scaling.${i}`]: 0.5 + i });
  }
  tensors.inp = random.normal(spread(rows, k, sizes.inp_stride));
  tensors.out = random.normal(spread(rows, n, sizes.out_stride));
  return { title: `${title || batch}, (${n}, ${k}), ranks ${ranks}`, tensors, sizes: { ...own, ...sizes } };
}

function linearCase(batch: string, n: number, k: number, labels: number[], sizes: Sizes = {}): Case {
  const random = new Random(n + k);
  const [lengths, slots] = BATCHES[batch]!;
  const tensors: Tensors = { cu_seqlens: starts(lengths), slots: Int32Array.from(slots) };
  for (const [i, count] of labels.entries()) {
    tensors[`weight.${i}`] = random.normal(count * k);
    tensors[`bias.${i}`] = random.normal(count);
  }
  tensors.inp = random.normal(lengths.length * k);
  tensors.out = garbage(spread(lengths.length, n, sizes.out_stride));
  return { title: `${batch}, ${labels} labels of ${n}, k ${k}`, tensors, sizes: { n, k, ...sizes } };
}

/** The case in the second half of an order. */
function later(item: Case): Case {
  const slots = item.tensors.slots as Int32Array;
  return {
    title: `${item.title}, later in the order`,
    tensors: { ...item.tensors, slots: Int32Array.from([2, 0, 1, ...slots]) },
    sizes: { ...item.sizes, order_begin: 3 },
  };
}

const vectors = loraCase('', 'each its own', 40, 48, [8, 4, 16]);
const loraCases = [
  ...Object.keys(BATCHES).flatMap((batch) => [
    loraCase('', batch, 31, 33, [8, 3, 17]),
    loraCase('', batch, 40, 64, [4, 8, 16]),
  ]),
  vectors,
  ...unalignedCases(vectors, ['inp', 'out', 'a.1', 'b.1']),
  later(vectors),
  loraCase('', 'each its own', 136, 304, [40, 8, 5]),
  loraCase('rows apart', 'sorted by adapter', 40, 48, [8, 4, 16], { inp_stride: 56, out_stride: 64 }),
  loraCase('rows oddly apart', 'sorted by adapter', 40, 48, [8, 4, 16], { inp_stride: 51, out_stride: 45 }),
  loraCase('a row a text', 'many short texts', 40, 48, [8, 4, 16], { row_kind: 1 }),
  loraCase('a row a text', 'each its own', 31, 33, [1, 2, 3], { row_kind: 1 }),
];
const linearCases = [
  ...Object.keys(BATCHES).map((batch) => linearCase(batch, 9, 33, [2, 9, 5])),
  linearCase('many short texts', 28, 64, [3, 28, 6], { out_stride: 40 }),
  linearCase('each its own', 4, 1, [1, 4, 2]),
  later(linearCase('sorted by adapter', 8, 40, [8, 8, 8])),
];

proveValues(lora, loraCases);
proveValues(linear, linearCases);

// The CPU's backend runs batches at the sizes that they have.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  describe(`rows of several adapters behind those of the batch on ${device.device}`, () => {
    for (const [operation, item, columns] of [
      [lora, loraCase('', 'each its own', 33, 40, [8, 3, 17]), { inp: 40, out: 33 }],
      [lora, loraCase('', 'each its own', 33, 40, [8, 3, 17], { row_kind: 1 }), { inp: 40, out: 33 }],
      [linear, linearCase('each its own', 9, 33, [2, 9, 5]), { inp: 33, out: 9 }],
    ] as const) {
      it(`are left alone by ${operation.name}, ${item.sizes.row_kind === 1 ? 'a row a text' : 'tokens'}`, async () => {
        const padding = { padding_tokens: 20, padding_sequences: 20 };
        const tensors: Tensors = { ...item.tensors };
        for (const [name, count] of Object.entries(columns)) {
          const array = new Float64Array(tensors[name]!.length + 20 * count).fill(Number.NaN);
          array.set(tensors[name]!);
          tensors[name] = array;
        }
        for (const where of places(device)) {
          const expected = await run(operation.name, where, item.tensors, item.sizes);
          const { out } = await run(operation.name, where, tensors, { ...item.sizes, ...padding });
          const live = expected.out!.length;
          expectSameBits({ out: out!.slice(0, live) }, { out: expected.out! }, where.precision);
          expect(Array.from(out!.slice(live)), where.precision).to.deep.equal(Array.from(tensors.out!.slice(live)));
        }
      });
    }
  });
}
