// Whole training steps of the four methods at BERT-base's dimensions, from random weights, by the calls of Trainer.
//
//   node bench/step.js --device cuda --data assets/data/goemotions6              (needs npm run build)
//   ... --method full,lora,dora,prefix,linear --precision bf16,tf32,fp32 --batch 16 --steps 500 --json step.json
//   ... --method lora4,lora8,lora4+lora8                     ranks of LoRA, and two that train together
//   ... --kernels       what the nodes of a step's graph are, a kernel a line; on the emulated device
//   ... --look-ahead 1  batches whose features linear probing makes at once (default: as Trainer does)
//   ... --length 512 --gradient-checkpointing    texts of that length, layers that run again in the backward pass
//   ... --scale large --batch 32 --length 384    BERT-large on long texts; with --plan, what memory that takes
//   ... --plan          only makes the sessions, reserves memory for the largest batch of 15 epochs and shows what it is
//
// steps/s    over the whole run after a warm-up of the same batches; `median ms` is of the single steps, each taken to be
//            as long as the others of its call (about 0.15 s of steps)
// eval       texts a second through the same session, dropout off, packed into batches of 1024 tokens
// nodes      kernels and copies of the graphs that are launched for a step, on average; without a GPU: --device
//            cuda-emulated --scale deep --steps 4 counts BERT-base's (linear: --steps 16)
// losses     of the first step and of the last; `digest` is of all of them, the same where all are to the bit
// idle       an estimate of the share of a step in which no kernel runs: nodes × the time of a node that does next to
//            nothing (a cast of one element, replayed many times) ÷ the step's time. Kernels that overlap, and gaps that
//            are hidden or longer than those of such a node, are not in it.
// peak MiB   of the session's arenas and workspaces in training; `device` is the whole GPU's, CUDA's own context included
//
// Without --data the lengths of texts are drawn from quantiles of emotion's. --tokenizer names the folder of a tokenizer
// (default: bert-base-uncased's, of the test fixtures).
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { largestBatch, readTexts, statistics } from './step/data.js';
import { KernelList, printKernels } from './step/kernels.js';
import { measureEvaluation, measureTraining } from './step/measure.js';
import { nodeSeconds } from './step/nodes.js';
import { printMemory, printRates, printRatesHead } from './step/report.js';
import { createSession, initialise } from './step/session.js';
import { modelConfig, SCALES } from './support/dimensions.js';
import { load } from './support/library.js';
import { describeMachine, findDevice, findPrecisions } from './support/machine.js';
import { runMain } from './support/main.js';
import { METHODS, methodsOf } from './support/methods.js';
import { digits, printRecord } from './support/print.js';

const { lookAheadOf } = await load('training/look-ahead');

const OPTIONS = {
  device: { type: 'string', default: 'cpu' },
  precision: { type: 'string' },
  threads: { type: 'string', default: String(os.availableParallelism()) },
  method: { type: 'string', default: 'full,lora,prefix,linear' },
  batch: { type: 'string', default: '16' },
  steps: { type: 'string' },
  'warm-up': { type: 'string' },
  eval: { type: 'string' },
  scale: { type: 'string', default: 'base' },
  data: { type: 'string' },
  length: { type: 'string' },
  'gradient-checkpointing': { type: 'boolean', default: false },
  tokenizer: { type: 'string', default: fileURLToPath(new URL('../test/fixtures/bert-base-uncased', import.meta.url)) },
  'look-ahead': { type: 'string' },
  kernels: { type: 'boolean', default: false },
  plan: { type: 'boolean', default: false },
  json: { type: 'string' },
};

/** Steps, steps to warm up (on a GPU all: every size of batch is then recorded, and its products tuned), texts. */
const AMOUNTS = {
  cuda: { steps: 600, warmUp: 600, texts: 2000 },
  cpu: { steps: 20, warmUp: 3, texts: 64 },
  'cuda-emulated': { steps: 4, warmUp: 2, texts: 4 },
};

/** Epochs whose batches a plan has to hold: the notebook's. */
const EPOCHS = 15;

const NODES = { cuda: 2000, 'cuda-emulated': 20 };

/** The session of a method with memory for every batch that could come. */
async function planRow(name, where, { config, texts, batchSize, gradientCheckpointing, lookAhead }) {
  const session = await createSession(methodsOf(name), config, where);
  try {
    const together = lookAhead(session);
    const limits = { ...largestBatch(texts.train, batchSize, EPOCHS, together), training: true, gradientCheckpointing };
    return await session.withDataset(texts.train, async (_handle, native) => {
      await native.reserve(limits);
      return {
        method: name,
        precision: where.precision,
        batch_size: batchSize,
        look_ahead: together,
        largest: limits,
        memory: session.memory(),
      };
    });
  } finally {
    await session.retire();
  }
}

async function runRow(name, where, setting) {
  const { config, texts, batchSize, gradientCheckpointing, amounts, node, list, lookAhead } = setting;
  const session = await createSession(methodsOf(name), config, where);
  try {
    await initialise(session);
    const training = await measureTraining(session, texts.train, {
      ...{ ...amounts, batchSize, gradientCheckpointing },
      lookAhead: lookAhead(session),
    });
    const kernels = list?.counts();
    const count = Math.min(amounts.texts, texts.test.offsets.length - 1);
    const evaluation = await measureEvaluation(session, texts.test, count);
    const stepSeconds = training.seconds / training.steps;
    return {
      method: name,
      precision: where.precision,
      batch_size: batchSize,
      ...training,
      ...(kernels && { kernels }),
      evaluation,
      ...(node !== undefined && { idle_share_estimate: (training.nodes_per_step * node) / stepSeconds }),
      peak_with_evaluation: session.memory().peak,
    };
  } finally {
    await session.retire();
  }
}

async function main() {
  const { values } = parseArgs({ options: OPTIONS });
  const { scale, plan } = values;
  if (values.kernels && values.device !== 'cuda-emulated') {
    throw new Error(`Expected --device cuda-emulated with --kernels but received ${values.device}`);
  }
  if (!SCALES.includes(scale)) throw new Error(`Expected ${SCALES.join(', ')} for --scale but received ${scale}`);
  const device = findDevice(values.device);
  const threads = device.device === 'cpu' ? Number(values.threads) : 1;
  const methods = values.method.split(',');
  for (const name of methods) methodsOf(name);
  const config = modelConfig(scale);
  const virtualTokens = methods.includes('prefix') ? METHODS.prefix.virtualTokens : 0;
  const { data: source, tokenizer } = values;
  const length = values.length && Number(values.length);
  const gradientCheckpointing = values['gradient-checkpointing'];
  const texts = await readTexts({ data: source, tokenizer, config, virtualTokens, length });
  const standard = AMOUNTS[device.device];
  const amounts = {
    steps: Number(values.steps ?? standard.steps),
    warmUp: Number(values['warm-up'] ?? values.steps ?? standard.warmUp),
    texts: Number(values.eval ?? standard.texts),
  };
  const machine = describeMachine(device, threads);
  const data = { source: texts.source, ...statistics(texts.train) };
  printRecord({
    ...machine,
    data: `${data.source}: ${data.texts} texts of ${data.least} to ${data.most} tokens, ${digits(data.mean)} on average`,
  });
  const list = values.kernels ? new KernelList() : undefined;
  const rows = [];
  const places = findPrecisions(device, values.precision).map((precision) => ({
    device: device.device,
    precision,
    threads,
  }));
  const nodes = new Map();
  for (const where of plan ? [] : places) {
    nodes.set(where, await nodeSeconds(where, NODES[device.device]));
    if (nodes.get(where) === undefined) continue;
    console.log(`a node that does next to nothing in ${where.precision}: ${digits(nodes.get(where) * 1e6)} µs`);
  }
  console.log('');
  if (!plan) printRatesHead();
  for (const where of places) {
    for (const batchSize of values.batch.split(',').map(Number)) {
      for (const name of methods) {
        const lookAhead = ({ plan: { parameters } }) =>
          Number(values['look-ahead'] ?? lookAheadOf({ parameters }, device.device, 1));
        const batches = { config, texts, batchSize, gradientCheckpointing };
        const setting = { ...batches, amounts, node: nodes.get(where), list, lookAhead };
        rows.push(await (plan ? planRow : runRow)(name, where, setting));
        if (!plan) printRates(rows.at(-1), { device: device.device, scale, length });
        if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, scale, data, rows }, null, 1)}\n`);
      }
    }
  }
  list?.close();
  for (const row of rows) if (row.kernels) printKernels(row, config.layers);
  if (!plan) console.log('\nMiB by arena\n');
  printMemory(rows, { scale, length });
}

await runMain(main);
