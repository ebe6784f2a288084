// What a data-parallel step costs on n processors, by a model of computing and of adding gradients up; docs/scale.md explains it.
//
//   node bench/scale.js
//   node bench/scale.js --parameters 86e6 --tokens-per-second 1.05e6 --batch-tokens 4096 --bandwidth 350e9 --latency 8e-6
//
// A step computes its share of the batch, adds up 4 bytes a parameter that trains (a ring: 2 (n − 1) / n of them pass each
// processor) and updates. What is added up while the backward pass still runs is hidden behind it, but for the last layer's.
import { parseArgs } from 'node:util';
import { runMain } from './support/main.js';

/** Share of a step's computing that is the backward pass. */
const BACKWARD = 2 / 3;

/** @returns seconds of a step with each processor's batch, and how many times one processor's work is done */
export function stepCost({ processors: n, parameters, tokensPerSecond, batchTokens, bandwidth, latency, layers = 12 }) {
  const compute = batchTokens / tokensPerSecond;
  const bytes = 4 * parameters;
  const sum = n === 1 ? 0 : (2 * (n - 1) * bytes) / n / bandwidth + 2 * Math.ceil(Math.log2(n)) * latency * layers;
  const hidden = Math.min(sum * (1 - 1 / layers), compute * BACKWARD);
  const overlapped = compute + sum - hidden;
  return { compute, sum, plain: compute + sum, overlapped, speedup: (n * compute) / (compute + sum) };
}

const OPTIONS = {
  parameters: { type: 'string' },
  'tokens-per-second': { type: 'string' },
  'batch-tokens': { type: 'string', default: '4096' },
  bandwidth: { type: 'string' },
  latency: { type: 'string', default: '8e-6' },
};

/** BERT's sizes without word embeddings, whose rows are few; tokens a second as published for H100 at 384 tokens per text. */
const MODELS = [
  { name: 'BERT-base, full', parameters: 86e6, tokensPerSecond: 1.05e6, layers: 12 },
  { name: 'BERT-large, full', parameters: 303e6, tokensPerSecond: 334e3, layers: 24 },
  { name: 'BERT-base, LoRA r=8', parameters: 0.3e6, tokensPerSecond: 1.4e6, layers: 12 },
];

/** Bytes a second of a ring through all processors: within a machine, and where there are several. */
const NETWORKS = [
  { name: 'NVLink and 8 × 400 Gb/s', within: 350e9, between: 350e9 },
  { name: 'NVLink and 1 × 100 Gb/s', within: 350e9, between: 12e9 },
];
const PER_MACHINE = 8;
const PROCESSORS = [1, 8, 64, 512];

const milliseconds = (seconds) => (1000 * seconds).toPrecision(3).padStart(9);

function print(title, rows) {
  console.log(`\n${title}\nprocessors  compute ms   sum ms  step ms  overlapped ms  speed-up`);
  for (const { processors, compute, sum, plain, overlapped, speedup } of rows) {
    const figures = [compute, sum, plain].map(milliseconds).join('');
    console.log(
      `${String(processors).padEnd(10)}${figures}      ${milliseconds(overlapped)}  ${speedup.toFixed(1).padStart(8)}`,
    );
  }
}

await runMain(() => {
  const { values } = parseArgs({ options: OPTIONS });
  const [batchTokens, latency] = [Number(values['batch-tokens']), Number(values.latency)];
  const own = values.parameters !== undefined;
  const models = own
    ? [
        {
          name: `${values.parameters} parameters`,
          parameters: Number(values.parameters),
          tokensPerSecond: Number(values['tokens-per-second'] ?? 1e6),
        },
      ]
    : MODELS;
  const networks = values.bandwidth
    ? [{ name: `${values.bandwidth} bytes/s`, within: Number(values.bandwidth), between: Number(values.bandwidth) }]
    : NETWORKS;
  console.log(`${batchTokens} tokens per step and processor`);
  for (const { name, ...model } of models) {
    for (const network of networks) {
      const rows = PROCESSORS.map((processors) => {
        const bandwidth = processors > PER_MACHINE ? network.between : network.within;
        return { processors, ...stepCost({ ...model, processors, batchTokens, bandwidth, latency }) };
      });
      print(`${name}; ${network.name}`, rows);
    }
  }
});
