import { expect } from 'chai';
import {
  type Arguments,
  type Case,
  devices,
  garbage,
  type Operation,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  type Sizes,
  starts,
  unalignedCases,
} from './harness.js';
import { dropoutFactor, layernorm, layernormBackward } from './reference.js';

/** The position of every token: the case's own, or the place within the sequence. */
function positionsOf(args: Arguments): ArrayLike<number> {
  if (args.has('positions')) return args.ints('positions');
  const cuSeqlens = args.ints('cu_seqlens');
  const list: number[] = [];
  for (let b = 0; b + 1 < cuSeqlens.length; b++) {
    for (let place = 0; place < cuSeqlens[b + 1]! - cuSeqlens[b]!; place++) list.push(place);
  }
  return list;
}

const forward: Operation = {
  name: 'embedding_forward',
  formula(args, round) {
    const C = args.size('C');
    const ids = args.ints('ids');
    const T = ids.length;
    const positions = positionsOf(args);
    const factor = dropoutFactor(args.dropout, round);
    const sum = new Float64Array(T * C).map((_, i) => {
      const [t, c] = [Math.floor(i / C), i % C];
      const type = args.has('token_types') ? args.ints('token_types')[t]! : 0;
      const word = args.floats('word')[ids[t]! * C + c]!;
      const row = positions[t] === -1 ? args.size('padding_position') : args.size('P', 0) + positions[t]!;
      const position = args.floats('position')[row * C + c]!;
      return round(
        args.has('token_type') ? round(word + args.floats('token_type')[type * C + c]!) + position : word + position,
      );
    });
    const { mean, rstd, out } = layernorm(
      sum,
      T,
      C,
      args.size('eps'),
      args.floats('gamma'),
      args.floats('beta'),
      round,
    );
    return { sum, mean, rstd, out: out.map((x, i) => round(x * factor(Math.floor(i / C), i % C))) };
  },
};

const backward: Operation = {
  name: 'embedding_backward',
  formula(args, round) {
    const C = args.size('C');
    const ids = args.ints('ids');
    const T = ids.length;
    const positions = positionsOf(args);
    const factor = dropoutFactor(args.dropout, round);
    const dnormed = args.floats('dout').map((x, i) => round(x * factor(Math.floor(i / C), i % C)));
    const { dsum, dgamma, dbeta } = layernormBackward(args, dnormed, T, C, round);
    // Rows are summed in token order, then added to what was there.
    const table = (name: string, rows: number, row: (t: number) => number, skip: number): Float64Array => {
      const sums = new Float64Array(rows * C);
      for (let t = 0; t < T; t++) {
        for (let c = 0; c < C && row(t) !== skip; c++) {
          sums[row(t) * C + c] = round(sums[row(t) * C + c]! + dsum[t * C + c]!);
        }
      }
      if (args.size('accumulate', 0) === 0) return sums;
      return args.output(name, rows * C).map((x, i) => round(x + sums[i]!));
    };
    const type = (t: number) => (args.has('token_types') ? args.ints('token_types')[t]! : 0);
    return {
      dsum,
      dword: table('dword', args.size('V'), (t) => ids[t]!, args.size('padding_id', -1)),
      dtoken_type: table('dtoken_type', args.size('types'), type, -1),
      dposition: table(
        'dposition',
        args.size('positions'),
        (t) => (positions[t] === -1 ? -1 : args.size('P', 0) + positions[t]!),
        -1,
      ),
      dgamma,
      dbeta,
    };
  },
};

interface Dimensions {
  lengths: number[];
  V: number;
  C: number;
  types: number;
  positions: number;
}

const tiny: Dimensions = { lengths: [3, 1, 2], V: 5, C: 6, types: 2, positions: 8 };
const small: Dimensions = { lengths: [17, 1, 9, 30, 4], V: 40, C: 31, types: 2, positions: 36 };
/** Few ids, so that many tokens share one; in two parts of the columns on CUDA. */
const repeated: Dimensions = { lengths: [...new Array(33).fill(2), 60], V: 3, C: 264, types: 1, positions: 60 };
/** An id, and a position, of exactly 32 tokens. */
const even: Dimensions = { lengths: new Array(32).fill(1), V: 1, C: 8, types: 5, positions: 1 };
/** An id of more tokens than a warp adds up on CUDA, in rounds of all warps of a block; a position of as many as one does. */
const hot: Dimensions = { lengths: [...new Array(63).fill(2), 1075], V: 2, C: 264, types: 1, positions: 1075 };
/** A position of one more. */
const warm: Dimensions = { lengths: new Array(65).fill(1), V: 3, C: 8, types: 1, positions: 1 };
const wide: Dimensions = { lengths: [40, 23], V: 300, C: 128, types: 2, positions: 64 };

function batchOf({ lengths, V, types }: Dimensions, random: Random): Case['tensors'] {
  const T = lengths.reduce((sum, length) => sum + length);
  return { cu_seqlens: starts(lengths), ids: random.integers(T, V), token_types: random.integers(T, types) };
}

/** The case with positions of its own: some −1, none above its token's place. */
function positioned(item: Case, of: Dimensions): Case {
  const random = new Random(of.C);
  const positions = of.lengths.flatMap((length) =>
    Array.from({ length }, (_, place) => random.integers(1, place + 2)[0]! - 1),
  );
  return { ...item, tensors: { ...item.tensors, positions: Int32Array.from(positions) } };
}

function forwardCase(title: string, of: Dimensions, sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(of.V + of.C);
  const batch = batchOf(of, random);
  const T = batch.ids!.length;
  const tensors: Case['tensors'] = {
    ...batch,
    word: random.normal(of.V * of.C),
    token_type: random.normal(of.types * of.C),
    position: random.normal(of.positions * of.C),
    gamma: random.normal(of.C),
    beta: random.normal(of.C),
    sum: garbage(T * of.C),
    mean: garbage(T),
    rstd: garbage(T),
    out: garbage(T * of.C),
  };
  for (const name of omit) delete tensors[name];
  return { title, tensors, sizes: { V: of.V, C: of.C, eps: 1e-12, seed: 3, dropout_site: 0, ...sizes } };
}

const forwardCases = [
  forwardCase('one token', { ...tiny, lengths: [1] }),
  forwardCase('some tokens', tiny),
  forwardCase('some sequences', small),
  forwardCase('wide rows with dropout', wide, { dropout_p: 0.1 }),
  forwardCase('rows of two vectors a lane', { ...tiny, C: 264 }, { dropout_p: 0.1 }),
  ...unalignedCases(forwardCase('8 columns', { ...tiny, C: 8 }), [
    'word',
    'token_type',
    'position',
    'gamma',
    'beta',
    'sum',
    'out',
  ]),
  forwardCase('positions behind a prefix', small, { P: 6, dropout_p: 0.1 }),
  forwardCase('without token types', small, {}, ['token_types']),
  ...[small, wide].map((of) =>
    forwardCase(`without a table of token types, ${of.C} columns`, of, {}, ['token_types', 'token_type']),
  ),
  positioned(forwardCase('positions of their own', small, { P: 2, padding_position: 1 }), small),
  positioned(forwardCase('positions of their own in whole vectors', wide, { P: 9, padding_position: 1 }), wide),
];

function backwardCase(title: string, of: Dimensions, sizes: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(of.V + of.C);
  const batch = batchOf(of, random);
  const T = batch.ids!.length;
  const before = (count: number) => (sizes.accumulate ? random.normal(count) : garbage(count));
  const tensors: Case['tensors'] = {
    ...batch,
    sum: random.normal(T * of.C, 2),
    mean: random.normal(T),
    rstd: random.normal(T).map(Math.abs),
    gamma: random.normal(of.C),
    dout: random.normal(T * of.C),
    dsum: garbage(T * of.C),
    dword: before(of.V * of.C),
    dtoken_type: before(of.types * of.C),
    dposition: before(of.positions * of.C),
    dgamma: before(of.C),
    dbeta: before(of.C),
  };
  for (const name of omit) delete tensors[name];
  const { V, C, types, positions } = of;
  return { title, tensors, sizes: { V, C, types, positions, seed: 3, ...sizes } };
}

const backwardCases = [
  backwardCase('one token', { ...tiny, lengths: [1] }),
  backwardCase('some tokens', tiny),
  backwardCase('some sequences', small, { padding_id: 0 }),
  backwardCase('wide rows with dropout', wide, { dropout_p: 0.1, padding_id: 7 }),
  backwardCase('tokens that share few ids', repeated, { dropout_p: 0.1 }),
  backwardCase('32 tokens of one id', even, { accumulate: 1 }),
  backwardCase('many tokens of an id, and others left out', hot, { padding_id: 1, accumulate: 1 }),
  backwardCase('65 tokens of a position', warm, { dropout_p: 0.1 }),
  ...unalignedCases(backwardCase('8 columns', { ...tiny, C: 8 }), [
    'sum',
    'gamma',
    'dout',
    'dsum',
    'dword',
    'dposition',
  ]),
  backwardCase('positions behind a prefix', small, { P: 6, dropout_p: 0.1 }),
  backwardCase('accumulated', small, { accumulate: 1, padding_id: 2 }),
  backwardCase('without token types', small, {}, ['token_types']),
  backwardCase('without a table of token types', small, { types: 0 }, ['token_types', 'dtoken_type']),
  positioned(backwardCase('positions of their own', small, { P: 2 }), small),
  positioned(backwardCase('positions of their own, accumulated', wide, { P: 1, accumulate: 1 }), wide),
  ...['dword', 'dtoken_type', 'dposition', 'dgamma', 'dbeta'].map((name) =>
    backwardCase(`without ${name}`, small, {}, [name]),
  ),
  backwardCase('of the word table alone', small, {}, ['dtoken_type', 'dposition', 'dgamma', 'dbeta']),
];

proveValues(forward, forwardCases);
proveValues(backward, backwardCases);
proveGradients(
  {
    forward: 'embedding_forward',
    backward: 'embedding_backward',
    outputs: { out: 'dout' },
    inputs: { dword: 'word', dtoken_type: 'token_type', dposition: 'position', dgamma: 'gamma', dbeta: 'beta' },
    backwardCase(after) {
      const { eps: _, ...sizes } = after.sizes;
      const C = after.size('C');
      const like = (name: string) => garbage(after.floats(name).length);
      return {
        tensors: {
          cu_seqlens: after.ints('cu_seqlens'),
          ids: after.ints('ids'),
          token_types: after.ints('token_types'),
          sum: after.floats('sum'),
          mean: after.floats('mean'),
          rstd: after.floats('rstd'),
          gamma: after.floats('gamma'),
          dsum: like('sum'),
          dword: like('word'),
          dtoken_type: like('token_type'),
          dposition: like('position'),
          dgamma: like('gamma'),
          dbeta: like('beta'),
        },
        sizes: {
          ...sizes,
          types: after.floats('token_type').length / C,
          positions: after.floats('position').length / C,
        },
      };
    },
  },
  [forwardCase('some tokens', tiny), forwardCase('some sequences with dropout', small, { dropout_p: 0.2, P: 6 })],
);

for (const device of devices()) {
  describe(`embedding_forward on ${device.device}`, () => {
    it('may put the sum where the output goes', async () => {
      const { tensors, sizes } = forwardCase('', small, { dropout_p: 0.1 });
      const where = places(device)[0]!;
      const apart = await run('embedding_forward', where, tensors, sizes);
      const together = await run('embedding_forward', where, { ...tensors, sum: tensors.out! }, sizes);
      expect(together.out).to.deep.equal(apart.out);
    });
  });
}
