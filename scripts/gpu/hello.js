// The first checks of a GPU: what it is, one element cast, and a product of 128×96×96 in each precision, run once directly and
// once as a replayed graph. Exits with status 1 at the first failure, or if a result differs from the sum in double by more than
// its precision allows.
//   node scripts/gpu/hello.js [--device cuda-emulated]
import { parseArgs } from 'node:util';
import { findDevice } from '../../bench/support/machine.js';
import { runMain } from '../../bench/support/main.js';
import { loadOperations } from '../../bench/support/operations.js';
import { randomNumbers } from '../../bench/support/statistics.js';

const { values: options } = parseArgs({ options: { device: { type: 'string', default: 'cuda' } } });
const [ROWS, N, K] = [128, 96, 96];
/** Enough for the run to be recorded and replayed. */
const REPLAYS = 3;
/** How far off an element may be, relative to the largest: inputs and output are rounded, sums are in float. */
const TOLERANCE = { fp32: 1e-5, tf32: 2e-3, bf16: 2e-2 };

async function runOperation(name, precision, tensors, sizes, repeat) {
  await loadOperations().runOperation(name, { device: options.device, precision, threads: 1 }, tensors, sizes, repeat);
  return tensors;
}

function makeProduct() {
  const next = randomNumbers(1);
  const values = (count) => Float64Array.from({ length: count }, () => 2 * next() - 1);
  const [inp, weight, bias] = [values(ROWS * K), values(N * K), values(N)];
  const out = new Float64Array(ROWS * N);
  for (let row = 0; row < ROWS; row++) {
    for (let j = 0; j < N; j++) {
      let sum = bias[j];
      for (let p = 0; p < K; p++) sum += inp[row * K + p] * weight[j * K + p];
      out[row * N + j] = sum;
    }
  }
  return { inp, weight, bias, out };
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** The error of the device's product, relative to the largest element. */
async function errorOf({ inp, weight, bias, out }, precision, repeat) {
  const tensors = { inp: inp.slice(), weight: weight.slice(), bias: bias.slice(), out: new Float64Array(ROWS * N) };
  const sizes = { rows: ROWS, k: K, n: N };
  const found = await runOperation('linear_forward', precision, tensors, sizes, repeat);
  return largest(found.out.map((value, i) => value - out[i])) / largest(out);
}

await runMain(async () => {
  const device = findDevice(options.device);
  console.log(`${device.name}, ${Math.round(device.totalMemory / 2 ** 20)} MiB, ${device.libraries}`);
  const { out } = await runOperation(
    'cast_to_real',
    'fp32',
    { inp: Float64Array.of(1.5), out: new Float64Array(1) },
    {},
    1,
  );
  if (out[0] !== 1.5) throw new Error(`Expected 1.5 to be cast to itself but it became ${out[0]}`);
  const product = makeProduct();
  for (const precision of ['fp32', 'tf32', 'bf16']) {
    for (const repeat of [1, REPLAYS]) {
      const how = repeat === 1 ? 'run once' : 'replayed';
      const error = await errorOf(product, precision, repeat);
      const line = `product in ${precision}, ${how}: largest error ${error.toExponential(1)}`;
      if (!(error <= TOLERANCE[precision])) throw new Error(`${line}, expected at most ${TOLERANCE[precision]}`);
      console.log(line);
    }
  }
});
