// Matrix products of one thread by each provider, in GFLOP/s: where native/cpu takes which. `blas` and `onednn` are two that
// make any product; the others want a weight: `plain` as it is, `packed` laid out beforehand, `bf16` and `int8` laid out and
// rounded.
import { loadOperations } from '../support/operations.js';
import { digits, Lines } from '../support/print.js';

const PROVIDERS = ['blas', 'onednn', 'plain', 'packed', 'bf16', 'int8'];

/** Rows of activations: a text, two, a batch of them to predict, a batch to train on, and long ones. */
const ROWS = [1, 12, 24, 64, 275, 1024];

const lines = new Lines([
  ['product', -28],
  ['m', 5],
  ['n', 5],
  ['k', 5],
  ...PROVIDERS.map((name) => [name, 7]),
  ['takes', 8],
]);

/** The products of a model over so many rows: of its Linear modules forward, backward, and of their weights' gradients. */
function productsOf({ C, F, NC }, rows) {
  const modules = [
    ['query, key, value', 3 * C, C],
    ['attention output', C, C],
    ['fc1', F, C],
    ['fc2', C, F],
    ['LoRA A, r=8', 8, C],
    ['LoRA B, r=8', C, 8],
    ['LoRA A, r=32', 32, C],
    ['classifier', NC, C],
  ];
  return [
    ...modules.map(([name, n, k]) => ({ name, m: rows, n, k, transposes: [false, true] })),
    ...modules.map(([name, n, k]) => ({ name: `${name}: inputs`, m: rows, n: k, k: n, transposes: [false, false] })),
    ...modules.map(([name, n, k]) => ({ name: `${name}: weight`, m: n, n: k, k: rows, transposes: [true, false] })),
  ];
}

/**
 * What native/cpu takes in fp32: weight_product.cpp and gemm.cpp. A weight that is trained is not packed where many rows are
 * multiplied with it.
 */
function taken({ m, n, k, transposes }, has) {
  if (!transposes[0] && Math.min(n, k) >= 64 && has('packed')) return m < 32 ? 'packed' : 'plain';
  return m * n * k >= 2 ** 18 && n > 16 && has('onednn') ? 'onednn' : 'blas';
}

/**
 * Times and prints them.
 *
 * @param {{ letters: object, seconds: number }} setting letters: the model's sizes. seconds: for each figure
 * @returns {object[]} rows for --json
 */
export function measureProducts({ letters, seconds }) {
  const { timeProduct } = loadOperations();
  lines.printHead();
  return ROWS.flatMap((rows) => productsOf(letters, rows)).map((product) => {
    const { name, m, n, k, transposes } = product;
    const rates = {};
    for (const provider of PROVIDERS) {
      const time = timeProduct(provider, m, n, k, ...transposes, seconds);
      if (time !== undefined) rates[provider] = (2 * m * n * k) / time / 1e9;
    }
    const takes = taken(product, (provider) => rates[provider] !== undefined);
    lines.print([name, ...[m, n, k].map(String), ...PROVIDERS.map((provider) => digits(rates[provider])), takes]);
    return { name, m, n, k, gflops: rates, takes };
  });
}
