// Texts of many adapters: mixed on one base, each adapter's by a model of its own, and the base alone.
// node bench/adapters.js [--adapters 8] [--rank 8] [--texts 64] [--seconds 2] [--threads N]
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { load } from './support/library.js';
import { runMain } from './support/main.js';
import { digits, Lines, MiB } from './support/print.js';

const { TextClassifier } = await load('model/classifier');
const { loadDataset } = await load('data/dataset');
const { writeAdapter } = await load('methods/adapter/files');
const { headRows, lowRankRows } = await load('architectures/rows');
const { resolveTargets } = await load('methods/adapter/targets');
const { fromFloat32 } = await load('formats/tensor');

const asset = (name) => fileURLToPath(new URL(`../assets/${name}`, import.meta.url));
const BASE = asset('models/bert-mini');
const LABELS = Array.from({ length: 6 }, (_, i) => `LABEL_${i}`);

/** LoRA of random weights on query and value, with a classifier: speed does not depend on the values. */
async function writeRandomAdapter(directory, config, rank) {
  const updates = resolveTargets({ targets: ['query', 'value'], layers: null, exclude: [] }, config).flatMap((weight) =>
    lowRankRows(weight, rank),
  );
  const rows = [...updates, ...headRows(config, 'classifier', LABELS.length)];
  const random = (count) => Float32Array.from({ length: count }, () => (Math.random() - 0.5) / 10);
  const tensors = new Map(
    rows.map(({ name, shape }) => [name, fromFloat32(random(shape.reduce((a, b) => a * b)), shape)]),
  );
  const settings = { kind: 'lora', rank, alpha: 4 * rank, dropout: 0, targetModules: ['query', 'value'] };
  await writeAdapter(directory, { ...settings, baseModel: BASE, labels: LABELS, tensors });
}

/** Calls a second: the median of repeated ones. */
async function rate(seconds, work) {
  const times = [];
  for (let i = 0; i < 3; i++) await work();
  for (const end = performance.now() + 1000 * seconds; performance.now() < end || times.length < 5; ) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return 1000 / times.sort((a, b) => a - b)[times.length >> 1];
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      adapters: { type: 'string', default: '8' },
      rank: { type: 'string', default: '8' },
      texts: { type: 'string', default: '64' },
      seconds: { type: 'string', default: '2' },
      threads: { type: 'string', default: String(os.availableParallelism()) },
    },
  });
  const {
    adapters: count,
    rank,
    texts: length,
    seconds,
    threads,
  } = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
  const { test } = await loadDataset(asset('data/goemotions6'));
  const texts = test.texts.slice(0, length);
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bertune-adapters-'));
  const options = { device: 'cpu', threads, labels: LABELS };
  const base = await TextClassifier.load(BASE, options);
  const alone = [];
  try {
    const names = Array.from({ length: count }, (_, i) => `adapter-${i}`);
    for (const name of names) {
      await writeRandomAdapter(path.join(directory, name), base.config, rank);
      await base.loadAdapter(name, path.join(directory, name));
      alone.push(await TextClassifier.load(path.join(directory, name), options));
    }
    const adapter = texts.map((_, i) => names[i % count]);
    const parts = names.map((_, a) => texts.filter((_, i) => i % count === a));
    const memory = (models) => MiB(models.reduce((sum, model) => sum + model.memory().total, 0));
    const arms = [
      ['base alone', () => base.predict(texts), () => '-'],
      [`${count} adapters mixed on it`, () => base.predict(texts, { adapter }), () => memory([base])],
      [
        `${count} models in turn`,
        async () => {
          for (const [a, model] of alone.entries()) await model.predict(parts[a]);
        },
        () => memory(alone),
      ],
    ];
    console.log(`bert-mini, ${texts.length} texts, LoRA r ${rank} on query and value, cpu, fp32, ${threads} threads`);
    const lines = new Lines([
      ['', -28],
      ['texts/s', 9],
      ['MiB', 7],
    ]);
    lines.printHead();
    for (const [title, work, taken] of arms) {
      const calls = await rate(seconds, work);
      lines.print([title, digits(calls * texts.length), taken()]);
    }
  } finally {
    for (const model of [base, ...alone]) await model.dispose();
    await rm(directory, { recursive: true, force: true });
  }
});
