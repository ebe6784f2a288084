import { expect } from 'chai';
import {
  type Case,
  devices,
  expectSameBits,
  garbage,
  places,
  Random,
  run,
  type Sizes,
  starts,
  type Tensors,
} from './harness.js';

/*
 * A device may run a batch at larger sizes than it has (Backend::pad). Whatever lies in the rows behind those of the
 * batch, an operation gives the same bits for the rows that count, sums over them alone, and leaves zeros in the rest.
 */

interface Padded extends Case {
  operation: string;
  /** Arrays that have a row a token, or a sequence, and the columns of each. The others have no padding. */
  tokens: Record<string, number>;
  sequences?: Record<string, number>;
  /** Of these, arrays whose padding is left alone. */
  kept?: string[];
  padding?: { tokens: number; sequences: number };
}

const random = new Random(17);

function normals(sizes: Record<string, number>): Tensors {
  return Object.fromEntries(Object.entries(sizes).map(([name, count]) => [name, random.normal(count)]));
}

function outputs(sizes: Record<string, number>): Tensors {
  return Object.fromEntries(Object.entries(sizes).map(([name, count]) => [name, garbage(count)]));
}

const dropout = { dropout_p: 0.2, dropout_site: 4, seed: 8 };

function layernormForward(rows: number, C: number): Padded {
  const n = rows * C;
  return {
    operation: 'dropout_residual_layernorm_forward',
    title: `(${rows}, ${C})`,
    tensors: {
      ...normals({ inp: n, residual: n, gamma: C, beta: C }),
      ...outputs({ sum: n, mean: rows, rstd: rows, out: n }),
    },
    sizes: { rows, C, eps: 1e-12, ...dropout },
    tokens: { inp: C, residual: C, sum: C, mean: 1, rstd: 1, out: C },
  };
}

function layernormOfFirst(C: number): Padded {
  const { tensors, ...item } = layernormForward(T, C);
  const first = garbage(B * C);
  return {
    ...item,
    title: `${item.title} with first rows`,
    tensors: { ...tensors, cu_seqlens: starts(lengths), first },
    sequences: { first: C },
  };
}

function layernormBackward(rows: number, C: number): Padded {
  const n = rows * C;
  return {
    operation: 'dropout_residual_layernorm_backward',
    title: `(${rows}, ${C})`,
    tensors: {
      ...normals({ dout: n, sum: n, mean: rows, rstd: rows, gamma: C }),
      ...outputs({ dresidual: n, dinp: n, dgamma: C, dbeta: C }),
    },
    sizes: { rows, C, ...dropout },
    tokens: { dout: C, sum: C, mean: 1, rstd: 1, dresidual: C, dinp: C },
  };
}

const lengths = [5, 1, 9, 3];
const T = lengths.reduce((sum, length) => sum + length);
const B = lengths.length;
const [V, types, positions] = [11, 2, 12];

function batch(): Tensors {
  return { cu_seqlens: starts(lengths), ids: random.integers(T, V), token_types: random.integers(T, types) };
}

function embeddingForward(C: number): Padded {
  return {
    operation: 'embedding_forward',
    title: `${C} columns`,
    tensors: {
      ...batch(),
      ...normals({ word: V * C, token_type: types * C, position: positions * C, gamma: C, beta: C }),
      ...outputs({ sum: T * C, mean: T, rstd: T, out: T * C }),
    },
    sizes: { V, C, P: 2, eps: 1e-12, ...dropout },
    tokens: { sum: C, mean: 1, rstd: 1, out: C },
  };
}

function embeddingBackward(C: number): Padded {
  return {
    operation: 'embedding_backward',
    title: `${C} columns`,
    tensors: {
      ...batch(),
      ...normals({ sum: T * C, mean: T, rstd: T, gamma: C, dout: T * C }),
      ...outputs({
        dsum: T * C,
        dword: V * C,
        dtoken_type: types * C,
        dposition: positions * C,
        dgamma: C,
        dbeta: C,
      }),
    },
    sizes: { V, C, P: 2, types, positions, ...dropout },
    tokens: { sum: C, mean: 1, rstd: 1, dout: C, dsum: C },
  };
}

function rowsOf(operation: string, names: string[], sizes: Record<string, number>, rows: number, n: number): Padded {
  const out = names.at(-1)!;
  return {
    operation,
    title: `(${rows}, ${n})`,
    tensors: { ...normals(Object.fromEntries(names.map((name) => [name, rows * n]))), [out]: garbage(rows * n) },
    sizes: { rows, n, ...sizes },
    tokens: Object.fromEntries(names.map((name) => [name, n])),
  };
}

function firstRowsForward(C: number): Padded {
  return {
    operation: 'first_rows_forward',
    title: `${C} columns`,
    tensors: { cu_seqlens: starts(lengths), ...normals({ inp: T * C }), ...outputs({ out: B * C }) },
    sizes: { C },
    tokens: { inp: C },
    sequences: { out: C },
  };
}

function firstRowsBackward(C: number, add: number): Padded {
  return {
    operation: 'first_rows_backward',
    title: `${C} columns${add ? ', added to' : ''}`,
    tensors: { cu_seqlens: starts(lengths), ...normals({ dout: B * C, dinp: T * C }) },
    sizes: { C, add_to_dinp: add },
    tokens: { dinp: C },
    sequences: { dout: C },
    kept: add ? ['dinp'] : [],
  };
}

function biasGradient(rows: number, n: number): Padded {
  return {
    operation: 'linear_backward_weight',
    title: `${rows} rows of ${n} columns`,
    tensors: { ...normals({ dout: rows * n }), ...outputs({ dbias: n }) },
    sizes: { rows, n, k: 1 },
    tokens: { dout: n },
  };
}

function gather(title: string, own: Tensors = {}, NC?: number): Padded {
  const examples = [4, 1, 19, 7, 2];
  const order = [3, 0, 4];
  const count = examples.reduce((sum, length) => sum + length);
  const tokens = order.reduce((sum, example) => sum + examples[example]!, 0);
  const unset = (size: number) => new Int32Array(size).fill(-7);
  return {
    operation: 'gather_batch',
    title,
    tensors: {
      dataset_ids: random.integers(count, 4),
      dataset_token_types: random.integers(count, 2),
      dataset_offsets: starts(examples),
      dataset_labels: random.integers(examples.length, 6),
      order: Int32Array.from(order),
      ids: unset(tokens),
      token_types: unset(tokens),
      positions: unset(tokens),
      labels: unset(order.length),
      cu_seqlens: unset(order.length + 1),
      tokens_by_id: unset(tokens),
      tokens_by_position: unset(tokens),
      ...own,
    },
    sizes: { sort_tokens: 1, ...(NC && { NC }) },
    tokens: { ids: 1, token_types: 1, positions: 1, tokens_by_id: 1, tokens_by_position: 1 },
    sequences: { labels: 1, cu_seqlens: 1, ...(NC && { targets: NC }) },
    padding: { tokens: 40, sequences: 6 },
  };
}

const cases = [
  ...[63, 264].flatMap((C) => [layernormForward(7, C), layernormBackward(7, C)]),
  layernormForward(8, 1028),
  layernormOfFirst(63),
  layernormOfFirst(264),
  layernormBackward(8, 1028),
  ...[31, 264].flatMap((C) => [embeddingForward(C), embeddingBackward(C)]),
  ...[17, 64].flatMap((n) => [
    rowsOf('dropout_apply', ['inp', 'out'], dropout, 9, n),
    rowsOf('activation_forward', ['inp', 'out'], { activation: 1 }, 9, n),
    rowsOf('activation_backward', ['saved', 'dout', 'dinp'], { activation: 1 }, 9, n),
  ]),
  ...[5, 264].flatMap((C) => [firstRowsForward(C), firstRowsBackward(C, 0), firstRowsBackward(C, 1)]),
  biasGradient(30, 33),
  { ...biasGradient(1100, 40), padding: { tokens: 50, sequences: 0 } },
  { ...biasGradient(1030, 32), padding: { tokens: 600, sequences: 0 } },
  gather('three examples'),
  gather('three examples with targets', { dataset_targets: random.normal(15), targets: garbage(9) }, 3),
  gather('three examples with positions', { dataset_positions: random.integers(33, 4).map((x) => x - 1) }),
];

/** The array with `count` more elements, which nothing should make anything of. */
function longer(array: Float64Array | Int32Array, count: number): Float64Array | Int32Array {
  const copy =
    array instanceof Int32Array
      ? new Int32Array(array.length + count).fill(-9)
      : new Float64Array(array.length + count).fill(Number.NaN);
  copy.set(array as Float64Array & Int32Array);
  return copy;
}

function pad(item: Padded, padding: { tokens: number; sequences: number }): Case {
  const tensors = { ...item.tensors };
  for (const [name, columns] of Object.entries(item.tokens)) {
    tensors[name] = longer(tensors[name]!, columns * padding.tokens);
  }
  for (const [name, columns] of Object.entries(item.sequences ?? {})) {
    tensors[name] = longer(tensors[name]!, columns * padding.sequences);
  }
  const sizes: Sizes = { ...item.sizes, padding_tokens: padding.tokens, padding_sequences: padding.sequences };
  if (sizes.rows !== undefined) sizes.rows += padding.tokens;
  return { title: item.title, tensors, sizes };
}

function expectPadding(item: Padded, name: string, behind: Float64Array | Int32Array, last: number): void {
  const isInput = item.operation.endsWith('forward') ? ['inp', 'residual'] : ['inp', 'saved', 'dout'];
  if (isInput.includes(name) || (item.operation.endsWith('backward') && ['sum', 'mean', 'rstd'].includes(name))) return;
  if (item.operation.startsWith('linear')) return;
  const value = name === 'cu_seqlens' ? last : item.kept?.includes(name) ? Number.NaN : 0;
  for (const found of behind) expect(found, `padding of ${name}`).to.deep.equal(value);
}

// The CPU's backend runs batches at the sizes that they have.
for (const device of devices().filter((item) => item.device !== 'cpu')) {
  describe(`padding on ${device.device}`, () => {
    for (const item of cases) {
      it(`of ${item.operation}, ${item.title}`, async () => {
        for (const where of places(device)) {
          const padded = pad(item, item.padding ?? { tokens: 6, sequences: 5 });
          const expected = await run(item.operation, where, item.tensors, item.sizes);
          const found = await run(item.operation, where, padded.tensors, padded.sizes);
          for (const [name, array] of Object.entries(expected)) {
            const [live, behind] = [found[name]!.slice(0, array.length), found[name]!.slice(array.length)];
            expectSameBits({ [name]: live }, { [name]: array.slice() }, where.precision);
            expectPadding(item, name, behind, array.at(-1)!);
          }
        }
      });
    }
  });
}
