import { expect } from 'chai';
import {
  Arguments,
  type Case,
  devices,
  expectSameBits,
  garbage,
  type Operation,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  type Sizes,
  starts,
  type Tensors,
} from './harness.js';
import { attentionFactor, type Round, stridedDot } from './reference.js';

const FORWARD = 'attention_forward';
const BACKWARD = 'attention_backward';

/** One head's attention from the queries of a sequence, to the prefix and to the sequence. */
interface Head {
  sequence: number;
  /** Its first column in a row of q, k, v and out. */
  column: number;
  /** Rows of q, out and lse. */
  rows: number[];
  /** Elements of lse, one a row; the rows of dropout's draws too. */
  lse: number[];
  /** Keys, those of the prefix first. */
  keys: number;
  /** Where key j, which is not of the prefix, begins in `k` and `v`. */
  at(j: number): number;
}

function headsOf(args: Arguments): Head[] {
  const [C, NH, P] = [args.size('C'), args.size('NH'), args.size('P', 0)];
  const stride = args.size('kv_stride', C);
  const cuSeqlens = args.ints('cu_seqlens');
  const firstOnly = args.size('first_only', 0) === 1;
  const list: Head[] = [];
  for (let sequence = 0; sequence + 1 < cuSeqlens.length; sequence++) {
    const begin = cuSeqlens[sequence]!;
    const length = cuSeqlens[sequence + 1]! - begin;
    const rows = firstOnly ? [sequence] : Array.from({ length }, (_, i) => begin + i);
    for (let head = 0; head < NH; head++) {
      const column = (head * C) / NH;
      const at = (j: number) => (begin + j - P) * stride + column;
      list.push({ sequence, column, rows, lse: rows.map((row) => row * NH + head), keys: P + length, at });
    }
  }
  return list;
}

/** Keys or values of a head, those of the prefix first: (keys, HS) */
function read(args: Arguments, name: 'k' | 'v', { column, keys, at }: Head): Float64Array {
  const [C, P] = [args.size('C'), args.size('P', 0)];
  const HS = C / args.size('NH');
  const prefixStride = args.size('prefix_stride', C);
  const values = new Float64Array(keys * HS);
  for (let j = 0; j < keys; j++) {
    const [array, first] =
      j < P ? [args.floats(`prefix_${name}`), j * prefixStride + column] : [args.floats(name), at(j)];
    values.set(array.subarray(first, first + HS), j * HS);
  }
  return values;
}

/** Scores of a head's keys for the query that begins at `at` of q. */
function scores(HS: number, q: Float64Array, at: number, k: Float64Array, round: Round): Float64Array {
  const scale = round(1 / Math.sqrt(HS));
  const row = new Float64Array(k.length / HS);
  for (let j = 0; j < row.length; j++) row[j] = round(stridedDot(HS, [q, at, 1], [k, j * HS, 1], round) * scale);
  return row;
}

const forward: Operation = {
  name: FORWARD,
  formula(args, round) {
    const C = args.size('C');
    const HS = C / args.size('NH');
    const qStride = args.size('q_stride', C);
    const factor = attentionFactor(args.dropout, round);
    const q = args.floats('q');
    const out = args.output('out', 0);
    const lse = args.output('lse', 0);
    for (const head of headsOf(args)) {
      const [k, v] = [read(args, 'k', head), read(args, 'v', head)];
      for (const [i, row] of head.rows.entries()) {
        const weights = scores(HS, q, row * qStride + head.column, k, round);
        const most = Math.max(...weights);
        let sum = 0;
        for (let j = 0; j < head.keys; j++) {
          weights[j] = round(Math.exp(round(weights[j]! - most)));
          sum = round(sum + weights[j]!);
        }
        const at = head.lse[i]!;
        for (let j = 0; j < head.keys; j++) weights[j] = round(round(weights[j]! / sum) * factor(at, j));
        lse[at] = round(most + round(Math.log(sum)));
        for (let c = 0; c < HS; c++) {
          out[row * C + head.column + c] = stridedDot(head.keys, [weights, 0, 1], [v, c, HS], round);
        }
      }
    }
    return { out, lse };
  },
};

const backward: Operation = {
  name: BACKWARD,
  formula(args, round) {
    const [C, P] = [args.size('C'), args.size('P', 0)];
    const HS = C / args.size('NH');
    const qStride = args.size('q_stride', C);
    const dprefixStride = args.size('dprefix_stride', C);
    const factor = attentionFactor(args.dropout, round);
    const scale = round(1 / Math.sqrt(HS));
    const [q, dout, out, lse] = ['q', 'dout', 'out', 'lse'].map((name) => args.floats(name)) as [
      ...[Float64Array, Float64Array, Float64Array, Float64Array],
    ];
    const dq = args.output('dq', q.length);
    const dk = args.output('dk', args.floats('k').length);
    const dv = args.output('dv', args.floats('v').length);
    const prefixLength = P === 0 ? 0 : (P - 1) * dprefixStride + C;
    const dprefix_k = args.output('dprefix_k', prefixLength);
    const dprefix_v = args.output('dprefix_v', prefixLength);
    const accumulate = args.size('accumulate', 0) === 1;
    // The gradients of a head's keys or values, which are sums over the sequence's queries; the prefix's are summed over the
    // sequences too.
    const write = (own: Float64Array, prefix: Float64Array, head: Head, sums: Float64Array) => {
      for (let j = 0; j < head.keys; j++) {
        for (let c = 0; c < HS; c++) {
          const sum = sums[j * HS + c]!;
          if (j >= P) {
            own[head.at(j) + c] = sum;
          } else {
            const at = j * dprefixStride + head.column + c;
            prefix[at] = round((head.sequence > 0 || accumulate ? prefix[at]! : 0) + sum);
          }
        }
      }
    };
    for (const head of headsOf(args)) {
      const [k, v] = [read(args, 'k', head), read(args, 'v', head)];
      const [ks, vs] = [new Float64Array(k.length), new Float64Array(v.length)];
      for (const [i, row] of head.rows.entries()) {
        const at = row * C + head.column;
        const qAt = row * qStride + head.column;
        const D = stridedDot(HS, [dout, at, 1], [out, at, 1], round);
        const dscores = scores(HS, q, qAt, k, round);
        for (let j = 0; j < head.keys; j++) {
          const p = round(Math.exp(round(dscores[j]! - lse[head.lse[i]!]!)));
          const kept = factor(head.lse[i]!, j);
          const dprob = stridedDot(HS, [dout, at, 1], [v, j * HS, 1], round);
          const weight = round(p * kept);
          dscores[j] = round(round(p * round(round(dprob * kept) - D)) * scale);
          for (let c = 0; c < HS; c++) {
            vs[j * HS + c] = round(vs[j * HS + c]! + round(weight * dout[at + c]!));
            ks[j * HS + c] = round(ks[j * HS + c]! + round(dscores[j]! * q[qAt + c]!));
          }
        }
        for (let c = 0; c < HS; c++) dq[qAt + c] = stridedDot(head.keys, [dscores, 0, 1], [k, c, HS], round);
      }
      write(dk, dprefix_k, head, ks);
      write(dv, dprefix_v, head, vs);
    }
    return P === 0 ? { dq, dk, dv } : { dq, dk, dv, dprefix_k, dprefix_v };
  },
};

interface Dimensions {
  lengths: number[];
  C: number;
  NH: number;
}

function spread(rows: number, columns: number, stride: number | undefined): number {
  return rows === 0 ? 0 : (rows - 1) * (stride ?? columns) + columns;
}

function forwardCase(title: string, { lengths, C, NH }: Dimensions, sizes: Sizes = {}): Case {
  const random = new Random(lengths.length + C + NH);
  const T = lengths.reduce((sum, length) => sum + length);
  const rows = sizes.first_only ? lengths.length : T;
  const P = sizes.P ?? 0;
  const tensors: Tensors = {
    cu_seqlens: starts(lengths),
    q: random.normal(spread(rows, C, sizes.q_stride)),
    k: random.normal(spread(T, C, sizes.kv_stride)),
    v: random.normal(spread(T, C, sizes.kv_stride)),
    out: garbage(rows * C),
    lse: garbage(rows * NH),
  };
  if (P > 0) {
    tensors.prefix_k = random.normal(spread(P, C, sizes.prefix_stride));
    tensors.prefix_v = random.normal(spread(P, C, sizes.prefix_stride));
  }
  return { title, tensors, sizes: { C, NH, seed: 11, dropout_step: 4, dropout_site: 16, ...sizes } };
}

/** Backward of a forward case; out, lse and dout are of sensible size, but any. */
function backwardCase({ title, tensors, sizes }: Case, more: Sizes = {}, omit: string[] = []): Case {
  const random = new Random(title.length);
  const C = sizes.C!;
  const P = sizes.P ?? 0;
  const { out, lse } = forward.formula(new Arguments(tensors, sizes), (x) => x);
  const prefixLength = spread(P, C, more.dprefix_stride);
  const all: Tensors = {
    ...tensors,
    out: out!,
    lse: lse!,
    dout: random.normal(out!.length),
    dq: garbage(tensors.q!.length),
    dk: garbage(tensors.k!.length),
    dv: garbage(tensors.v!.length),
  };
  if (P > 0) {
    all.dprefix_k = more.accumulate ? random.normal(prefixLength) : garbage(prefixLength);
    all.dprefix_v = more.accumulate ? random.normal(prefixLength) : garbage(prefixLength);
  }
  for (const name of omit) delete all[name];
  const what = [...Object.keys(more), ...omit.map((name) => `no ${name}`)].join(', ');
  return { title: what ? `${title}; ${what}` : title, tensors: all, sizes: { ...sizes, ...more } };
}

const tiny: Dimensions = { lengths: [3, 1, 2], C: 6, NH: 2 };
const odd: Dimensions = { lengths: [15, 1, 17, 33, 8], C: 42, NH: 3 };
const usual: Dimensions = { lengths: [22, 7, 64, 16], C: 128, NH: 2 };
const edges: Dimensions = { lengths: [31, 32, 33, 1, 63, 64], C: 32, NH: 1 };
const tiles: Dimensions = { lengths: [65, 127, 1], C: 16, NH: 1 };
const long: Dimensions = { lengths: [257, 2, 128], C: 8, NH: 1 };
const apart = { q_stride: 45, kv_stride: 50, prefix_stride: 47 };
const alignedApart = { q_stride: 136, kv_stride: 264, prefix_stride: 144 };

const behindPrefix = forwardCase('odd sizes behind a prefix', odd, { P: 5, dropout_p: 0.1 });
const behindPrefixApart = forwardCase('odd sizes behind a prefix, rows apart', odd, {
  P: 5,
  ...apart,
  dropout_p: 0.1,
});
const firstBehindPrefix = forwardCase('first query only, behind a prefix, with dropout', odd, {
  first_only: 1,
  P: 5,
  dropout_p: 0.2,
});

const forwardCases = [
  forwardCase('one token', { lengths: [1], C: 4, NH: 1 }),
  forwardCase('short sequences', tiny),
  forwardCase('odd sizes', odd),
  forwardCase('odd sizes with dropout', odd, { dropout_p: 0.1 }),
  forwardCase('odd sizes, rows apart', odd, { ...apart, dropout_p: 0.1 }),
  behindPrefix,
  behindPrefixApart,
  forwardCase('heads of 32, lengths around tiles', edges, { dropout_p: 0.1 }),
  forwardCase('heads of 40', { lengths: [20, 9], C: 80, NH: 2 }, { P: 1 }),
  forwardCase('heads of 64', usual, { dropout_p: 0.1 }),
  forwardCase('heads of 64 behind a prefix of 20, rows apart', usual, { P: 20, ...alignedApart, dropout_p: 0.1 }),
  forwardCase('heads of 64, a long text', { lengths: [97, 4], C: 64, NH: 1 }, { P: 5, dropout_p: 0.1 }),
  forwardCase('heads of 64, a text of several tiles', { lengths: [190, 2], C: 64, NH: 1 }, { P: 3, dropout_p: 0.1 }),
  forwardCase('heads of 100', { lengths: [12, 3], C: 100, NH: 1 }, { dropout_p: 0.1 }),
  forwardCase('heads of 128', { lengths: [17, 5], C: 128, NH: 1 }, { P: 1, dropout_p: 0.1 }),
  forwardCase('heads of 128, long texts', { lengths: [33, 70], C: 128, NH: 1 }, { dropout_p: 0.1 }),
  forwardCase('more prefix than text', { lengths: [3, 1, 10], C: 32, NH: 2 }, { P: 70, dropout_p: 0.1 }),
  forwardCase('more prefix than fits', { lengths: [3, 33], C: 64, NH: 1 }, { P: 140 }),
  forwardCase('several tiles of queries', tiles, { dropout_p: 0.5 }),
  forwardCase('several tiles of queries, behind a prefix', tiles, { P: 20, dropout_p: 0.1 }),
  forwardCase('a long text', long, { dropout_p: 0.1 }),
  forwardCase('first query only', odd, { first_only: 1 }),
  firstBehindPrefix,
  forwardCase('first query only, heads of 32', { lengths: [140, 3], C: 32, NH: 1 }, { first_only: 1 }),
  forwardCase('first query only, heads of 64', usual, { first_only: 1, P: 20, ...alignedApart, dropout_p: 0.2 }),
  forwardCase('first query only, heads of 100', { lengths: [12, 3], C: 100, NH: 1 }, { first_only: 1, P: 1 }),
  forwardCase('first query only, heads of 128', { lengths: [37, 1], C: 128, NH: 1 }, { first_only: 1 }),
];

const backwardCases = [
  ...forwardCases.map((item) => backwardCase(item)),
  ...['dq', 'dk', 'dv', 'dprefix_k', 'dprefix_v'].map((name) => backwardCase(behindPrefix, {}, [name])),
  ...['dq', 'dk', 'dv'].map((name) => backwardCase(firstBehindPrefix, {}, [name])),
  backwardCase(behindPrefix, {}, ['dprefix_k', 'dprefix_v']),
  backwardCase(firstBehindPrefix, {}, ['dprefix_k', 'dprefix_v']),
  backwardCase(behindPrefix, { accumulate: 1, dprefix_stride: 49 }),
  backwardCase(behindPrefixApart, { dprefix_stride: 49 }),
  backwardCase(firstBehindPrefix, { accumulate: 1 }),
];

proveValues(forward, forwardCases);
proveValues(backward, backwardCases);
proveGradients(
  {
    forward: FORWARD,
    backward: BACKWARD,
    outputs: { out: 'dout' },
    inputs: { dq: 'q', dk: 'k', dv: 'v', dprefix_k: 'prefix_k', dprefix_v: 'prefix_v' },
    backwardCase(after) {
      const zeros = (name: string) => (after.has(name) ? new Float64Array(after.floats(name).length) : undefined);
      const gradients: Tensors = {};
      for (const name of ['q', 'k', 'v', 'prefix_k', 'prefix_v']) {
        const like = zeros(name);
        if (like) gradients[`d${name}`] = like;
      }
      return { tensors: { ...after.tensors, ...gradients }, sizes: after.sizes };
    },
  },
  [
    forwardCase('short sequences', tiny),
    forwardCase('short sequences with dropout', tiny, { dropout_p: 0.3 }),
    forwardCase('short sequences behind a prefix, with dropout', tiny, { P: 3, dropout_p: 0.3 }),
    forwardCase('odd sizes behind a prefix, with dropout', odd, { P: 5, dropout_p: 0.1 }),
    forwardCase('several tiles of queries', { lengths: [63, 65, 129], C: 32, NH: 1 }, { dropout_p: 0.1 }),
    forwardCase('first query only, behind a prefix, with dropout', odd, { first_only: 1, P: 5, dropout_p: 0.2 }),
  ],
);

const long64: Dimensions = { lengths: [97, 4], C: 64, NH: 1 };
/** A short text beside one that is not. */
const mixed: Dimensions = { lengths: [22, 140], C: 64, NH: 1 };
const aligned: Dimensions = { lengths: [9, 20, 1], C: 64, NH: 2 };

/** Arrays with a row a token, and with a row a query; the columns of each are C, or NH. */
const TOKEN_ARRAYS = ['k', 'v', 'dk', 'dv'];
const QUERY_ARRAYS = ['q', 'out', 'lse', 'dout', 'dq'];

/** The case with rows of padding: NaN, whatever the array. */
function padded({ tensors, sizes }: Case, tokens: number, sequences: number): Case {
  const C = sizes.C!;
  const longer: Tensors = { ...tensors };
  for (const [name, array] of Object.entries(tensors)) {
    const rows = TOKEN_ARRAYS.includes(name) || !sizes.first_only ? tokens : sequences;
    if (!TOKEN_ARRAYS.includes(name) && !QUERY_ARRAYS.includes(name)) continue;
    const stride = name === 'lse' ? sizes.NH! : (strideOf(name, sizes) ?? C);
    const copy = new Float64Array(array.length + rows * stride).fill(Number.NaN);
    copy.set(array);
    longer[name] = copy;
  }
  return { title: '', tensors: longer, sizes: { ...sizes, padding_tokens: tokens, padding_sequences: sequences } };
}

function strideOf(name: string, sizes: Sizes): number | undefined {
  if (name === 'q' || name === 'dq') return sizes.q_stride;
  return TOKEN_ARRAYS.includes(name) ? sizes.kv_stride : undefined;
}

/** The first text of a case, whose rows are not apart, by itself. */
function firstText({ title, tensors, sizes }: Case): Case {
  const tokens = (tensors.cu_seqlens as Int32Array)[1]!;
  const alone: Tensors = { ...tensors, cu_seqlens: starts([tokens]) };
  for (const name of [...TOKEN_ARRAYS, ...QUERY_ARRAYS]) {
    if (tensors[name]) alone[name] = tensors[name].slice(0, tokens * (name === 'lse' ? sizes.NH! : sizes.C!));
  }
  return { title, tensors: alone, sizes };
}

/** Cases whose padding is tried: what holds the rows that count, and what the padding is. */
const paddedCases: [title: string, item: Case, tokens: number, sequences: number][] = [
  ['odd sizes', forwardCase('', odd, { ...apart, dropout_p: 0.1 }), 11, 3],
  ['behind a prefix', forwardCase('', aligned, { P: 3 }), 34, 4],
  ['of long texts', forwardCase('', long64, { P: 2, dropout_p: 0.1 }), 7, 2],
  ['no sequences', forwardCase('', tiny, { P: 1 }), 5, 0],
  ['no tokens', forwardCase('', tiny, { P: 1 }), 0, 2],
  ['first query only', forwardCase('', odd, { ...apart, first_only: 1, P: 5, dropout_p: 0.1 }), 11, 3],
];

for (const device of devices()) {
  describe(`attention on ${device.device}`, () => {
    // The CPU's backend runs batches at the sizes that they have.
    for (const [title, item, tokens, sequences] of device.device === 'cpu' ? [] : paddedCases) {
      for (const [operation, whole] of [
        [FORWARD, item],
        [BACKWARD, backwardCase(item)],
      ] as const) {
        it(`leaves zeros in padding and heeds none: ${operation}, ${title}`, async () => {
          const { tensors, sizes } = padded(whole, tokens, sequences);
          const outputs = operation === FORWARD ? ['out', 'lse'] : ['dq', 'dk', 'dv'];
          for (const where of places(device)) {
            const expected = await run(operation, where, whole.tensors, whole.sizes);
            const found = await run(operation, where, tensors, sizes);
            for (const [name, array] of Object.entries(expected)) {
              expectSameBits(
                { [name]: found[name]!.slice(0, array.length) },
                { [name]: array.slice() },
                'with padding',
              );
              if (!outputs.includes(name)) continue;
              const columns = name === 'lse' ? sizes.NH! : sizes.C!;
              const stride = strideOf(name, sizes) ?? columns;
              // The last row of the case ends where its columns do.
              const behind = found[name]!.slice(array.length + stride - columns);
              for (const [at, value] of behind.entries()) {
                if (at % stride < columns) expect(value, `${name} in padding at ${at}`).to.equal(0);
                else expect(value, `${name} between rows at ${at}`).to.be.NaN;
              }
            }
          }
        });
      }
    }

    it('gives a text beside a longer one what it has alone', async () => {
      for (const [operation, item, names] of [
        [FORWARD, forwardCase('', mixed, { P: 3, dropout_p: 0.1 }), ['out', 'lse']],
        [BACKWARD, backwardCase(forwardCase('', mixed, { P: 3, dropout_p: 0.1 })), ['dq', 'dk', 'dv']],
      ] as const) {
        for (const where of places(device)) {
          const alone = firstText(item);
          const expected = await run(operation, where, alone.tensors, alone.sizes);
          const found = await run(operation, where, item.tensors, item.sizes);
          for (const name of names) {
            const array = found[name]!.slice(0, expected[name]!.length);
            expectSameBits({ [name]: array }, { [name]: expected[name]!.slice() }, 'beside a longer text');
          }
        }
      }
    });

    for (const [title, item] of [
      ['', forwardCase('', aligned, { P: 3, dropout_p: 0.1 })],
      [' with the first query only', forwardCase('', aligned, { P: 3, dropout_p: 0.1, first_only: 1 })],
      [' of long texts', forwardCase('', long64, { P: 3 })],
    ] as const) {
      it(`gives the same bits wherever an array starts${title}`, async () => {
        for (const [operation, { tensors, sizes }] of [
          [FORWARD, item],
          [BACKWARD, backwardCase(item)],
        ] as const) {
          for (const where of places(device)) {
            const expected = await run(operation, where, tensors, sizes);
            for (const [name, array] of Object.entries(tensors)) {
              if (array instanceof Int32Array) continue;
              const moved = new Float64Array(array.length + 1).subarray(1);
              moved.set(array);
              const found = await run(operation, where, { ...tensors, [name]: moved }, sizes);
              for (const output of Object.keys(expected)) {
                expectSameBits(
                  { [output]: found[output]!.slice() },
                  { [output]: expected[output]!.slice() },
                  `${name} starts elsewhere`,
                );
              }
            }
          }
        }
      });
    }

    it('takes q, k and v, and gives their gradients, as parts of one buffer', async () => {
      const { tensors, sizes } = backwardCase(forwardCase('', odd, { dropout_p: 0.1 }));
      const C = sizes.C!;
      const T = tensors.q!.length / C;
      const joined = new Float64Array(T * 3 * C);
      const part = (buffer: Float64Array, i: number) => buffer.subarray(i * C, (T - 1) * 3 * C + (i + 1) * C);
      for (const [i, name] of ['q', 'k', 'v'].entries()) {
        for (const [at, value] of tensors[name]!.entries())
          joined[Math.floor(at / C) * 3 * C + i * C + (at % C)] = value;
      }
      const gradient = garbage(joined.length);
      const views: Tensors = {
        ...tensors,
        ...Object.fromEntries(['q', 'k', 'v'].map((name, i) => [name, part(joined, i)])),
        ...Object.fromEntries(['dq', 'dk', 'dv'].map((name, i) => [name, part(gradient, i)])),
      };
      for (const where of places(device)) {
        const separate = await run(BACKWARD, where, tensors, sizes);
        const together = await run(BACKWARD, where, views, { ...sizes, q_stride: 3 * C, kv_stride: 3 * C });
        for (const name of ['dq', 'dk', 'dv']) {
          const dense = separate[name]!.map((_, at) => together[name]![Math.floor(at / C) * 3 * C + (at % C)]!);
          expectSameBits({ [name]: dense }, { [name]: separate[name]! }, 'as parts of one buffer');
        }
      }
    });

    it('gives the same bits on any number of threads', async function () {
      if (device.device !== 'cpu') this.skip();
      const { tensors, sizes } = backwardCase(forwardCase('', odd, { P: 5, dropout_p: 0.1 }));
      for (const precision of ['fp32', 'fp64'] as const) {
        const alone = await run(BACKWARD, { device: 'cpu', precision, threads: 1 }, tensors, sizes);
        for (const threads of [2, 3, 8]) {
          const shared = await run(BACKWARD, { device: 'cpu', precision, threads }, tensors, sizes);
          expectSameBits(shared, alone, `${threads} threads`);
        }
      }
    });

    it('gives finite gradients where all scores are far below zero', async () => {
      const { tensors, sizes } = forwardCase('', usual);
      const q = (tensors.q as Float64Array).map((x) => -30 * Math.abs(x));
      const k = (tensors.k as Float64Array).map(Math.abs);
      const item = backwardCase({ title: '', tensors: { ...tensors, q, k }, sizes });
      for (const where of places(device)) {
        const after = await run(BACKWARD, where, item.tensors, item.sizes);
        for (const name of ['dq', 'dk', 'dv']) expect(after[name]!.every(Number.isFinite), name).to.equal(true);
      }
    });

    it('stays finite where scores are huge', async () => {
      const { tensors, sizes } = forwardCase('', usual);
      const q = (tensors.q as Float64Array).map((x) => x * 1000);
      for (const where of places(device)) {
        const after = await run(FORWARD, where, { ...tensors, q }, sizes);
        expect(after.out!.every(Number.isFinite)).to.equal(true);
        expect(after.lse!.every(Number.isFinite)).to.equal(true);
      }
    });
  });
}

/** Of all layers: (L,B,P,2C) → (P,L,2C). */
const sumPrefixPartials: Operation = {
  name: 'sum_prefix_partials',
  formula(args, round) {
    const [L, P, C2] = [args.size('L'), args.size('P'), 2 * args.size('C')];
    const B = args.ints('cu_seqlens').length - 1;
    const partials = args.floats('partials');
    const accumulate = args.size('accumulate', 0) === 1;
    const dprefix = args.output('dprefix', P * L * C2).map((before, at) => {
      const [p, l, c] = [Math.floor(at / (L * C2)), Math.floor(at / C2) % L, at % C2];
      let sum = accumulate ? before : 0;
      for (let b = 0; b < B; b++) sum = round(sum + partials[((l * B + b) * P + p) * C2 + c]!);
      return sum;
    });
    return { dprefix, dprefix_real: dprefix };
  },
};

function partialsCase(title: string, L: number, B: number, P: number, C: number, accumulate = 0): Case {
  const random = new Random(L + B + P + C);
  return {
    title,
    tensors: {
      cu_seqlens: starts(new Array(B).fill(2)),
      partials: random.normal(L * B * P * 2 * C),
      dprefix: accumulate ? random.normal(P * L * 2 * C) : garbage(P * L * 2 * C),
      ...(P > 1 && { dprefix_real: garbage(P * L * 2 * C) }),
    },
    sizes: { L, P, C, accumulate },
  };
}

proveValues(sumPrefixPartials, [
  partialsCase('one of all', 1, 1, 1, 1),
  partialsCase('some of all', 3, 5, 4, 6),
  partialsCase('accumulated', 2, 17, 3, 40, 1),
]);
