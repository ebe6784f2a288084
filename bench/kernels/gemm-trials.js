// Every product of a BERT layer with a weight, and those around the layers: forward, and backward to input and weight.
const GELU = 1;
const TANH = 2;

const LINEARS = [
  { name: 'qkv', n: '3C', k: 'C' },
  { name: 'kv, last layer', n: '2C', k: 'C' },
  { name: 'out', n: 'C', k: 'C' },
  { name: 'fc1', n: 'F', k: 'C', activation: GELU },
  { name: 'fc2', n: 'C', k: 'F' },
  { name: 'out, [CLS]', n: 'C', k: 'C', rows: 'B' },
  { name: 'fc1, [CLS]', n: 'F', k: 'C', rows: 'B', activation: GELU },
  { name: 'fc2, [CLS]', n: 'C', k: 'F', rows: 'B' },
  { name: 'pooler', n: 'C', k: 'C', rows: 'B', activation: TANH },
  { name: 'classifier', n: 'NC', k: 'C', rows: 'B' },
  { name: 'probe', n: 'C/2', k: 'C', rows: 'B' },
  { name: 'projection 0', n: 'C', k: 'C', rows: 'P', activation: TANH },
  { name: 'projection 2', n: '2,L,C', k: 'C', rows: 'P' },
];

const OVER = { T: 'tokens', B: 'texts', P: 'once' };
const ROW_KIND = { T: 0, B: 1, P: 2 };

export const GEMM_TRIALS = LINEARS.flatMap(({ name, n, k, rows = 'T', activation = 0 }) => {
  const about = { name, over: OVER[rows], flops: `2,${rows},${n},${k}` };
  const sizes = { row_kind: ROW_KIND[rows], n, k, ...(rows === 'P' && { rows }) };
  const batch = rows === 'P' ? {} : { cu_seqlens: 'int B+1 given' };
  return [
    {
      ...about,
      operation: 'linear_forward',
      sizes: { ...sizes, activation },
      arrays: {
        ...batch,
        inp: `real ${rows},${k} read`,
        weight: `real ${n},${k} read`,
        bias: `real ${n} read`,
        ...(activation === GELU && { preactivation: `real ${rows},${n} write` }),
        out: `real ${rows},${n} write`,
      },
    },
    {
      ...about,
      operation: 'linear_backward_input',
      sizes,
      arrays: {
        ...batch,
        dout: `real ${rows},${n} read`,
        weight: `real ${n},${k} read`,
        dinp: `real ${rows},${k} write`,
      },
    },
    {
      ...about,
      operation: 'linear_backward_weight',
      sizes,
      arrays: {
        ...batch,
        dout: `real ${rows},${n} read`,
        inp: `real ${rows},${k} read`,
        dweight: `acc ${n},${k} write`,
        dbias: `acc ${n} write`,
      },
    },
  ];
});
