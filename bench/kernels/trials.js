// What is timed: a row an operation and shape, in the notation of arrays.js. Bytes are those that have to be read and
// written once, workspaces left out; flops are those of the products.
//
// over: 'tokens' the batches of --tokens · 'texts' those that differ in their number of texts · 'lengths' texts of one
// length · 'once'
import { ADAPTERS_IN_BATCH } from './arrays.js';
import { GEMM_TRIALS } from './gemm-trials.js';

const DROPOUT = { dropout_p: 0.1, dropout_site: 3 };
const BATCH = { cu_seqlens: 'int B+1 given' };
const GELU = 1;
const TANH = 2;
const RELU = 3;

const GATHER = {
  dataset_ids: 'int T read',
  dataset_offsets: 'int B+1 read',
  dataset_labels: 'int B read',
  order: 'int B read',
  ids: 'int T write',
  token_types: 'int T write',
  positions: 'int T write',
  labels: 'int B write',
  cu_seqlens: 'int B+1 write',
  tokens_by_id: 'int T write',
  tokens_by_position: 'int T write',
};

const INPUT_TRIALS = [
  { name: 'gather', operation: 'gather_batch', over: 'tokens', arrays: GATHER, sizes: { sort_tokens: 0 } },
  { name: 'gather, sorted', operation: 'gather_batch', over: 'tokens', arrays: GATHER, sizes: { sort_tokens: 1 } },
  {
    name: 'embedding',
    operation: 'embedding_forward',
    over: 'tokens',
    sizes: { V: 'V', C: 'C', eps: 1e-12, ...DROPOUT },
    arrays: {
      ...BATCH,
      ids: 'int T read',
      word: 'real V,C read as T,C',
      token_type: 'real 2,C read as C',
      position: 'real M,C read as T,C',
      gamma: 'real C read',
      beta: 'real C read',
      sum: 'real T,C write',
      mean: 'acc T write',
      rstd: 'acc T write',
      out: 'real T,C write',
    },
  },
  {
    name: 'embedding',
    operation: 'embedding_backward',
    over: 'tokens',
    sizes: { V: 'V', C: 'C', types: 2, positions: 'M', padding_id: 0, ...DROPOUT },
    arrays: {
      ...BATCH,
      ids: 'int T read',
      sum: 'real T,C read',
      mean: 'acc T read',
      rstd: 'acc T read',
      gamma: 'real C read',
      dout: 'real T,C read',
      dsum: 'real T,C write',
      dword: 'acc V,C write',
      dtoken_type: 'acc 2,C write',
      dposition: 'acc M,C write',
      dgamma: 'acc C write',
      dbeta: 'acc C write',
    },
  },
];

const NORM_TRIALS = [
  { name: 'residual norm', p: 0.1, over: 'tokens', rows: 'T', row_kind: 0 },
  { name: 'residual norm, evaluation', p: 0, over: 'tokens', rows: 'T', row_kind: 0 },
  { name: 'residual norm, [CLS]', p: 0.1, over: 'texts', rows: 'B', row_kind: 1 },
].flatMap(({ name, p, over, rows, row_kind }) => [
  {
    name,
    operation: 'dropout_residual_layernorm_forward',
    over,
    sizes: { row_kind, C: 'C', eps: 1e-12, ...DROPOUT, dropout_p: p },
    arrays: {
      ...BATCH,
      inp: `real ${rows},C read`,
      residual: `real ${rows},C read`,
      gamma: 'real C read',
      beta: 'real C read',
      sum: `real ${rows},C write`,
      mean: `acc ${rows} write`,
      rstd: `acc ${rows} write`,
      out: `real ${rows},C write`,
    },
  },
  ...(p === 0
    ? []
    : [
        {
          name,
          operation: 'dropout_residual_layernorm_backward',
          over,
          sizes: { row_kind, C: 'C', ...DROPOUT, dropout_p: p },
          arrays: {
            ...BATCH,
            dout: `real ${rows},C read`,
            sum: `real ${rows},C read`,
            mean: `acc ${rows} read`,
            rstd: `acc ${rows} read`,
            gamma: 'real C read',
            dresidual: `real ${rows},C write`,
            dinp: `real ${rows},C write`,
            dgamma: 'acc C write',
            dbeta: 'acc C write',
          },
        },
      ]),
]);

const ELEMENTWISE_TRIALS = [
  ...[
    { name: 'GELU', activation: GELU, over: 'tokens', rows: 'T', row_kind: 0, n: 'F' },
    { name: 'tanh', activation: TANH, over: 'texts', rows: 'B', row_kind: 1, n: 'C' },
    { name: 'ReLU', activation: RELU, over: 'texts', rows: 'B', row_kind: 1, n: 'C/2' },
  ].flatMap(({ name, activation, over, rows, row_kind, n }) => [
    {
      name,
      operation: 'activation_forward',
      over,
      sizes: { row_kind, n, activation },
      arrays: { ...BATCH, inp: `real ${rows},${n} read`, out: `real ${rows},${n} write` },
    },
    {
      name,
      operation: 'activation_backward',
      over,
      sizes: { row_kind, n, activation },
      arrays: {
        ...BATCH,
        saved: `real ${rows},${n} read`,
        dout: `real ${rows},${n} read`,
        dinp: `real ${rows},${n} write`,
      },
    },
  ]),
  {
    name: 'dropout, pooled',
    operation: 'dropout_apply',
    over: 'texts',
    sizes: { row_kind: 1, n: 'C', ...DROPOUT },
    arrays: { ...BATCH, inp: 'real B,C read', out: 'real B,C write' },
  },
  {
    name: 'prompt to compute',
    operation: 'cast_to_real',
    over: 'once',
    arrays: { inp: 'acc P,2,L,C read', out: 'real P,2,L,C write' },
  },
];

const ROW_TRIALS = [
  {
    name: '[CLS]',
    operation: 'first_rows_forward',
    over: 'tokens',
    sizes: { C: 'C' },
    arrays: { ...BATCH, inp: 'real T,C read as B,C', out: 'real B,C write' },
  },
  {
    name: '[CLS], zeros elsewhere',
    operation: 'first_rows_backward',
    over: 'tokens',
    sizes: { C: 'C', add_to_dinp: 0 },
    arrays: { ...BATCH, dout: 'real B,C read', dinp: 'real T,C write' },
  },
  {
    name: '[CLS], added',
    operation: 'first_rows_backward',
    over: 'tokens',
    sizes: { C: 'C', add_to_dinp: 1 },
    arrays: { ...BATCH, dout: 'real B,C read', dinp: 'real T,C update as B,C' },
  },
];

function normedLinear(i, n, k) {
  return {
    [`dout.${i}`]: `real B,${n} read`,
    [`weight.${i}`]: `real ${n},${k} read`,
    [`sum.${i}`]: `real B,${k} read`,
    [`mean.${i}`]: 'acc B read',
    [`rstd.${i}`]: 'acc B read',
    [`gamma.${i}`]: `real ${k} read`,
    [`beta.${i}`]: `real ${k} read`,
    [`dweight.${i}`]: `acc ${n},${k} write`,
    [`dbias.${i}`]: `acc ${n} write`,
    [`dgamma.${i}`]: `acc ${k} write`,
    [`dbeta.${i}`]: `acc ${k} write`,
  };
}

const LOSS_TRIALS = [
  {
    name: 'loss',
    operation: 'cross_entropy',
    over: 'texts',
    sizes: { NC: 'NC' },
    arrays: {
      ...BATCH,
      labels: 'int B read',
      logits: 'real B,NC read',
      loss: 'acc 1 write',
      predictions: 'int B write',
      dlogits: 'real B,NC write',
    },
  },
  {
    name: 'loss',
    operation: 'binary_cross_entropy',
    over: 'texts',
    sizes: { NC: 'NC' },
    arrays: {
      ...BATCH,
      targets: 'acc B,NC read',
      logits: 'real B,NC read',
      loss: 'acc 1 write',
      right: 'int B write',
      dlogits: 'real B,NC write',
    },
  },
  {
    name: 'loss',
    operation: 'mean_squared_error',
    over: 'texts',
    sizes: { NC: 'NC' },
    arrays: {
      ...BATCH,
      targets: 'acc B,NC read',
      logits: 'real B,NC read',
      loss: 'acc 1 write',
      dlogits: 'real B,NC write',
    },
  },
  {
    name: "a probe's classifier, loss and way back",
    operation: 'normed_classifier',
    over: 'texts',
    sizes: { k: 'C/2', NC: 'NC', eps: 1e-5, ...DROPOUT },
    flops: '4,B,NC,C/2',
    arrays: {
      ...BATCH,
      labels: 'int B read',
      inp: 'real B,C/2 read',
      gamma: 'real C/2 read',
      beta: 'real C/2 read',
      weight: 'real NC,C/2 read',
      bias: 'real NC read',
      sum: 'real B,C/2 write',
      mean: 'acc B write',
      rstd: 'acc B write',
      logits: 'real B,NC write',
      loss: 'acc 1 write',
      predictions: 'int B write',
      dlogits: 'real B,NC write',
      dinp: 'real B,C/2 write',
    },
  },
  {
    name: "a probe's gradients",
    operation: 'normed_linear_gradients',
    over: 'texts',
    sizes: { rows: 'B', row_kind: 1, linears: 2, 'n.0': 'C/2', 'k.0': 'C', 'n.1': 'NC', 'k.1': 'C/2' },
    flops: '2,B,C,C/2',
    arrays: {
      ...BATCH,
      ...normedLinear(0, 'C/2', 'C'),
      ...normedLinear(1, 'NC', 'C/2'),
    },
  },
  {
    name: 'results of a step',
    operation: 'keep_step',
    over: 'texts',
    arrays: {
      ...BATCH,
      labels: 'int B read',
      predictions: 'int B read',
      loss: 'acc 1 read',
      norm: 'acc 1 read',
      losses: 'acc 1 write',
      norms: 'acc 1 write',
      correct: 'int 1 write',
    },
  },
  {
    name: 'logits of a batch',
    operation: 'keep_logits',
    over: 'texts',
    sizes: { NC: 'NC' },
    arrays: { ...BATCH, logits: 'real B,NC read', kept_logits: 'acc B,NC write' },
  },
];

const QKV = {
  q: 'real T,3C read as T,C in qkv at 0',
  k: 'real T,3C read as T,C in qkv at C',
  v: 'real T,3C read as T,C in qkv at 2C',
};
const DQKV = {
  dq: 'real T,3C write as T,C in dqkv at 0',
  dk: 'real T,3C write as T,C in dqkv at C',
  dv: 'real T,3C write as T,C in dqkv at 2C',
};
const Q_KV = { q: 'real B,C read', k: 'real T,2C read as T,C in kv at 0', v: 'real T,2C read as T,C in kv at C' };
const DQ_DKV = {
  dq: 'real B,C write',
  dk: 'real T,2C write as T,C in dkv at 0',
  dv: 'real T,2C write as T,C in dkv at C',
};
const PROMPT = {
  prefix_k: 'real P,2,L,C read as P,C in prompt at 0',
  prefix_v: 'real P,2,L,C read as P,C in prompt at C',
};
const DPROMPT = {
  dprefix_k: 'acc P,2,L,C write as P,C in dprompt at 0',
  dprefix_v: 'acc P,2,L,C write as P,C in dprompt at C',
};

// Two products of queries and keys in forward, five in backward.
const ATTENTION_TRIALS = [
  ...[0, 0.1].flatMap((p) => [false, true].map((prefix) => ({ over: 'lengths', p, prefix, first_only: 0 }))),
  { over: 'tokens', p: 0.1, prefix: false, first_only: 0 },
  { over: 'tokens', p: 0.1, prefix: true, first_only: 0 },
  { over: 'tokens', p: 0.1, prefix: false, first_only: 1 },
].flatMap(({ over, p, prefix, first_only }) => {
  const rows = first_only ? 'B' : 'T';
  const products = first_only ? 'K,C' : 'S,C';
  const name = ['attention', p > 0 && 'dropout', prefix && 'prefix', first_only && '[CLS] only']
    .filter(Boolean)
    .join(', ');
  const sizes = {
    C: 'C',
    NH: 'NH',
    first_only,
    kv_stride: first_only ? '2C' : '3C',
    ...(!first_only && { q_stride: '3C' }),
    ...DROPOUT,
    dropout_p: p,
    ...(prefix && { P: 'P', prefix_stride: '2,L,C' }),
  };
  const inputs = { ...BATCH, ...(first_only ? Q_KV : QKV), ...(prefix && PROMPT) };
  const about = { dropout_p: p, prefix, first_only: first_only === 1 };
  return [
    {
      name,
      operation: 'attention_forward',
      over,
      about,
      flops: `4,${products}`,
      sizes,
      arrays: { ...inputs, out: `real ${rows},C write`, lse: `acc ${rows},NH write` },
    },
    {
      name,
      operation: 'attention_backward',
      over,
      about,
      flops: `10,${products}`,
      sizes: { ...sizes, ...(prefix && { dprefix_stride: '2,L,C' }) },
      arrays: {
        ...inputs,
        out: `real ${rows},C read`,
        lse: `acc ${rows},NH read`,
        dout: `real ${rows},C read`,
        ...(first_only ? DQ_DKV : DQKV),
        ...(prefix && DPROMPT),
      },
    },
  ];
});

const PREFIX_SUM_TRIALS = [
  {
    name: "every layer's prefix",
    operation: 'sum_prefix_partials',
    over: 'texts',
    sizes: { L: 'L', P: 'P', C: 'C' },
    arrays: { ...BATCH, partials: 'acc L,B,P,2,C read', dprefix: 'acc P,2,L,C write' },
  },
];

const LORA_TRIALS = [4, 8, 16, 32].flatMap((r) => [
  {
    name: `LoRA r=${r}`,
    operation: 'lora_forward_add',
    over: 'tokens',
    flops: `4,T,C,${r}`,
    sizes: { n: 'C', k: 'C', r, out_stride: '3C', scaling: 4, ...DROPOUT },
    arrays: {
      ...BATCH,
      inp: 'real T,C read',
      a: `real ${r},C read`,
      b: `real C,${r} read`,
      h: `real T,${r} write`,
      out: 'real T,3C update as T,C in qkv at 0',
    },
  },
  {
    name: `LoRA r=${r}`,
    operation: 'lora_backward',
    over: 'tokens',
    flops: `8,T,C,${r}`,
    sizes: { n: 'C', k: 'C', r, dout_stride: '3C', scaling: 4, ...DROPOUT },
    arrays: {
      ...BATCH,
      dout: 'real T,3C read as T,C in dqkv at 0',
      inp: 'real T,C read',
      h: `real T,${r} read`,
      a: `real ${r},C read`,
      b: `real C,${r} read`,
      da: `acc ${r},C write`,
      db: `acc C,${r} write`,
      dinp: 'real T,C update',
    },
  },
]);

/** What DoRA adds to LoRA r=8. */
const DORA_TRIALS = [
  {
    name: 'scales of DoRA r=8',
    operation: 'dora_scale',
    over: 'once',
    flops: '18,C,C',
    sizes: { n: 'C', k: 'C', r: 8, scaling: 4 },
    arrays: {
      weight: 'real C,C read',
      a: 'real 8,C read',
      b: 'real C,8 read',
      magnitude: 'acc C read',
      norm: 'acc C write',
      scale: 'acc C write',
      scaled_b: 'real C,8 write',
    },
  },
  {
    name: 'gradients of DoRA r=8',
    operation: 'dora_scale_backward',
    over: 'once',
    sizes: { n: 'C', r: 8 },
    arrays: {
      b: 'real C,8 read',
      norm: 'acc C read',
      scale: 'acc C read',
      dmagnitude: 'acc C update',
      db: 'acc C,8 update',
    },
  },
  {
    name: 'DoRA',
    operation: 'dora_forward',
    over: 'tokens',
    sizes: { n: 'C', out_stride: '3C' },
    arrays: { ...BATCH, scale: 'acc C read', base: 'real T,C read', out: 'real T,3C update as T,C in qkv at 0' },
  },
  {
    name: 'DoRA',
    operation: 'dora_backward',
    over: 'tokens',
    sizes: { n: 'C', dout_stride: '3C' },
    arrays: {
      ...BATCH,
      scale: 'acc C read',
      dout: 'real T,3C read as T,C in dqkv at 0',
      base: 'real T,C read',
      dbase: 'real T,C write',
      dscale: 'acc C write',
    },
  },
];

/** The biases and LayerNorms of an encoder layer. */
const SUM_TRIALS = [
  {
    name: "a layer's biases and LayerNorms",
    operation: 'sum_rows',
    over: 'tokens',
    sizes: { sums: 6, 'n.0': 'C', 'n.1': 'C', 'n.2': 'C', 'n.3': 'C', 'n.4': 'F', 'n.5': '3C' },
    arrays: {
      ...BATCH,
      ...Object.assign(
        {},
        ...[0, 1].map((i) => ({
          [`dout.${i}`]: 'real T,C read',
          [`sum.${i}`]: 'real T,C read',
          [`mean.${i}`]: 'acc T read',
          [`rstd.${i}`]: 'acc T read',
          [`dgamma.${i}`]: 'acc C write',
          [`dbeta.${i}`]: 'acc C write',
        })),
      ),
      'dout.2': 'real T,C read',
      'dbeta.2': 'acc C write',
      'dout.3': 'real T,C read',
      'dbeta.3': 'acc C write',
      'dout.4': 'real T,F read',
      'dbeta.4': 'acc F write',
      'dout.5': 'real T,3C read',
      'dbeta.5': 'acc 3C write',
    },
  },
];

/** Arrays or sizes of each adapter in a batch of several. */
const eachAdapter = (make) =>
  Object.assign({}, ...Array.from({ length: ADAPTERS_IN_BATCH }, (_, index) => make(index)));

const MIXED_TRIALS = [
  {
    name: `LoRA r=8 of ${ADAPTERS_IN_BATCH} adapters`,
    operation: 'mixed_lora_forward_add',
    over: 'tokens',
    flops: '4,T,C,8',
    sizes: { n: 'C', k: 'C', ...eachAdapter((i) => ({ [`r.${i}`]: 8, [`scaling.${i}`]: 4 })) },
    arrays: {
      ...BATCH,
      slots: 'int B read',
      inp: 'real T,C read',
      ...eachAdapter((i) => ({ [`a.${i}`]: 'real 8,C read', [`b.${i}`]: 'real C,8 read' })),
      out: 'real T,C update',
    },
  },
  {
    name: `DoRA of ${ADAPTERS_IN_BATCH} adapters`,
    operation: 'mixed_dora_forward',
    over: 'tokens',
    sizes: { n: 'C', updates: ADAPTERS_IN_BATCH },
    arrays: {
      ...BATCH,
      slots: 'int B read',
      ...eachAdapter((i) => ({ [`scale.${i}`]: 'acc C read' })),
      bias: 'real C read',
      out: 'real T,C update',
    },
  },
  {
    name: `heads of ${ADAPTERS_IN_BATCH} adapters`,
    operation: 'mixed_linear_forward',
    over: 'texts',
    flops: '2,B,NC,C',
    sizes: { n: 'NC', k: 'C' },
    arrays: {
      ...BATCH,
      slots: 'int B read',
      inp: 'real B,C read',
      ...eachAdapter((i) => ({ [`weight.${i}`]: 'real NC,C read', [`bias.${i}`]: 'real NC read' })),
      out: 'real B,NC write',
    },
  },
];

/** Rows whose arrays are a method's trainable parameters. adamw is both: the norm that it clips by is part of it. */
const OPTIMIZER_TRIALS = ['full', 'prefix', 'lora', 'linear'].flatMap((method) => [
  { name: `norm, ${method}`, operation: 'grad_norm', over: 'once', segments: method, arrays: {} },
  { name: `norm and AdamW, ${method}`, operation: 'adamw', over: 'once', segments: method, arrays: {} },
]);

/** What the machine does at best: the rates that the others are held against. Rows of neither kind: no batch is made. */
export const CEILINGS = [
  {
    name: 'copy',
    operation: 'dropout_apply',
    over: 'once',
    sizes: { rows: 'Q', row_kind: 2, n: 'C', dropout_p: 0 },
    arrays: { inp: 'real Q,C read', out: 'real Q,C write' },
  },
  {
    name: 'product',
    operation: 'linear_forward',
    over: 'once',
    flops: '2,G,G,G',
    sizes: { rows: 'G', row_kind: 2, n: 'G', k: 'G' },
    arrays: { inp: 'real G,G read', weight: 'real G,G read', out: 'real G,G write' },
  },
];

/** Rows of the ceilings: larger than any cache. */
export const CEILING_SIZES = {
  cuda: { base: { Q: 87381, G: 8192 }, tiny: { Q: 64, G: 64 } },
  cpu: { base: { Q: 87381, G: 2048 }, tiny: { Q: 64, G: 64 } },
};

export const TRIALS = [
  ...INPUT_TRIALS,
  ...GEMM_TRIALS,
  ...ATTENTION_TRIALS,
  ...NORM_TRIALS,
  ...ELEMENTWISE_TRIALS,
  ...LORA_TRIALS,
  ...DORA_TRIALS,
  ...PREFIX_SUM_TRIALS,
  ...SUM_TRIALS,
  ...MIXED_TRIALS,
  ...ROW_TRIALS,
  ...LOSS_TRIALS,
  ...OPTIMIZER_TRIALS,
];
