// Bertune and PyTorch on the CPU, side by side: training the embedded model in full and by LoRA (r=32), and predicting
// with it, on the same batches and threads. The two take turns, block by block, so that both see the same machine.
//
//   node bench/peers/cpu.js --python .venv/bin/python        (needs bench/peers/requirements.txt there, and npm run build)
//   ... --threads 2 --blocks 7 --steps 40 --data assets/data/goemotions6 --json results.json
//   ... --precision bf16     both in bf16, PyTorch by autocast (default: fp32)
//
// Both sides get token ids and start their clocks behind tokenizing. PyTorch pads each batch to its longest text, as
// Trainer does, before its clock starts; Bertune packs while its own runs.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { load } from '../support/library.js';

const { full, loadDataset, lora, TextClassifier } = await load('index');
const { planFor, retarget } = await load('model/retarget');
const { loadNative } = await load('native/index');
const { randomOrder } = await load('order');
const { Tokenizer } = await load('tokenizer/index');

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const METHODS = ['full', 'lora', 'predict'];
const BATCH_SIZE = 16;
const MAX_LENGTH = 512;
const WARM_UP_STEPS = 10;
const SEED = 42;

/** The packed examples in the order in which they are trained on: batch i is examples [16 i, 16 i + 16). */
async function readExamples(model, data) {
  const { train, labels } = await loadDataset(data);
  const order = randomOrder(SEED, train.texts.length);
  const used = order.subarray(0, order.length - (order.length % BATCH_SIZE));
  const tokenizer = await Tokenizer.load(model);
  const texts = Array.from(used, (i) => train.texts[i]);
  const { ids, offsets } = await tokenizer.encodeTexts(texts, MAX_LENGTH);
  return { ids, offsets, labels: Int32Array.from(used, (i) => train.labels[i]), names: labels };
}

/** The same as the file that torch_cpu.py reads. */
function batchesFile({ ids, offsets, labels, names }) {
  const batches = [];
  for (let begin = 0; begin < labels.length; begin += BATCH_SIZE) {
    const rows = Array.from({ length: BATCH_SIZE }, (_, i) => begin + i);
    batches.push({
      ids: rows.map((row) => Array.from(ids.subarray(offsets[row], offsets[row + 1]))),
      labels: rows.map((row) => labels[row]),
    });
  }
  return JSON.stringify({ labels: names.length, batches });
}

/** One method on a model of its own. Block n runs batches n·steps onward, from the start again after the last. */
class Runner {
  static async create(method, { model, threads, steps, precision }, examples) {
    const runner = new Runner();
    runner.method = method;
    runner.steps = steps;
    runner.batches = examples.labels.length / BATCH_SIZE;
    runner.next = 0;
    runner.done = 0;
    runner.classifier = await TextClassifier.load(model, { labels: examples.names, device: 'cpu', threads, precision });
    const { classifier } = runner;
    if (method !== 'predict') {
      const chosen = method === 'full' ? full() : lora({ rank: 32, alpha: 128, dropout: 0.1 });
      await retarget(classifier, chosen, planFor(classifier, chosen), SEED, false);
    }
    runner.session = classifier.session;
    runner.dataset = await runner.session.use((native) => native.addDataset(examples));
    await runner.run(WARM_UP_STEPS);
    runner.next = 0;
    return runner;
  }

  /** Runs the next batches and resolves to steps a second. */
  async run(steps) {
    const batches = Array.from({ length: steps }, (_, i) => (this.next + i) % this.batches);
    this.next += steps;
    const order = Int32Array.from(
      batches.flatMap((b) => Array.from({ length: BATCH_SIZE }, (_, i) => b * BATCH_SIZE + i)),
    );
    const start = performance.now();
    await this.session.use((native) =>
      this.method === 'predict' ? this.predict(native, order) : this.train(native, order),
    );
    return steps / ((performance.now() - start) / 1000);
  }

  predict(native, order) {
    const starts = Int32Array.from({ length: order.length / BATCH_SIZE + 1 }, (_, i) => i * BATCH_SIZE);
    return native.forward(this.dataset, order, starts);
  }

  async train(native, order) {
    const steps = order.length / BATCH_SIZE;
    const result = await native.train({
      dataset: this.dataset,
      order,
      batchSize: BATCH_SIZE,
      accumulation: 1,
      learningRates: new Float64Array(steps).fill(1e-4),
      firstStep: this.done,
      seed: SEED,
      weightDecay: 0.01,
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      maxGradNorm: 1,
      labelSmoothing: 0,
    });
    if (result.stopped !== 'done') throw new Error(`training stopped: ${result.stopped}`);
    this.done += steps;
  }
}

/** torch_cpu.py under its --interactive protocol: a method's name in, a line of JSON out. */
class Peer {
  constructor(python, file, { model, threads, steps, precision }) {
    const script = path.join(ROOT, 'bench/peers/torch_cpu.py');
    const options = ['--interactive', '--batches', file, '--threads', threads, '--steps', steps, '--model', model];
    options.push('--precision', precision);
    this.process = spawn(python, [script, ...options.map(String)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async read() {
    const { value, done } = await this.lines.next();
    if (done)
      throw new Error('torch_cpu.py ended early; is the Python of --python one with bench/peers/requirements.txt?');
    return JSON.parse(value);
  }

  async run(method) {
    this.process.stdin.write(`${method}\n`);
    return (await this.read()).steps_per_s;
  }

  close() {
    this.process.stdin.end();
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Every block of both, in turns. */
async function measure(runners, peer, blocks) {
  const rates = Object.fromEntries(METHODS.map((method) => [method, { bertune: [], pytorch: [] }]));
  for (let block = 0; block < blocks; block++) {
    for (const runner of runners) {
      rates[runner.method].bertune.push(await runner.run(runner.steps));
      rates[runner.method].pytorch.push(await peer.run(runner.method));
    }
  }
  return rates;
}

function summarise(rates) {
  return METHODS.map((method) => {
    const { bertune, pytorch } = rates[method];
    const ratios = bertune.map((rate, i) => rate / pytorch[i]);
    return {
      method,
      bertune: median(bertune),
      pytorch: median(pytorch),
      ratio: median(ratios),
      least: Math.min(...ratios),
      most: Math.max(...ratios),
    };
  });
}

function print(rows) {
  console.log('median of steps a second (16 texts per step); ratio: median, least and most of the pairs of blocks\n');
  console.log('method     Bertune   PyTorch   ratio');
  for (const { method, bertune, pytorch, ratio, least, most } of rows) {
    const cells = [
      method.padEnd(8),
      bertune.toFixed(1).padStart(9),
      pytorch.toFixed(1).padStart(9),
      ratio.toFixed(2).padStart(7),
    ];
    console.log(`${cells.join(' ')}   (${least.toFixed(2)}–${most.toFixed(2)})`);
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: 'python3' },
      model: { type: 'string', default: path.join(ROOT, 'assets/models/bert-mini') },
      data: { type: 'string', default: path.join(ROOT, 'assets/data/goemotions6') },
      threads: { type: 'string', default: String(os.availableParallelism()) },
      blocks: { type: 'string', default: '7' },
      steps: { type: 'string', default: '40' },
      precision: { type: 'string', default: 'fp32' },
      json: { type: 'string' },
    },
  });
  const { model, precision } = values;
  const options = { model, threads: Number(values.threads), steps: Number(values.steps), precision };
  const examples = await readExamples(options.model, values.data);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bertune-peers-'));
  const file = path.join(folder, 'batches.json');
  writeFileSync(file, batchesFile(examples));
  const peer = new Peer(values.python, file, options);
  try {
    const { ready } = await peer.read();
    const runners = [];
    for (const method of METHODS) runners.push(await Runner.create(method, options, examples));
    const rows = summarise(await measure(runners, peer, Number(values.blocks)));
    const description = {
      ...ready,
      node: process.version,
      blas: loadNative().blas(),
      texts: examples.labels.length,
      tokens_per_text: examples.ids.length / examples.labels.length,
    };
    console.log(`${JSON.stringify(description)}\n`);
    print(rows);
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...description, rows }, null, 2)}\n`);
    for (const { classifier } of runners) await classifier.dispose();
  } finally {
    peer.close();
    rmSync(folder, { recursive: true });
  }
}

await main();
