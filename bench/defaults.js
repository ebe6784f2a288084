// What the defaults reach: for each data set and method, the held-out accuracy of the library's defaults beside that of
// other learning rates over as many epochs. The data sets are made of templates, of the kinds that people bring.
//
//   node bench/defaults.js                                    (needs npm run build; about an hour and a half on two cores)
//   ... --sets tickets,imbalanced --methods full,prefix --seeds 42,43,44
//   ... --file mine.csv --text-column t --label-column l      a data set of your own as well
//   ... --factors 0.1,0.3,3 --json results.json
//
// A cell is the mean over the seeds; a seed draws the held-out rows, the new parameters, the order and the dropout.
import { appendFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { datasetFromRows, full, linear, loadDataset, lora, prefix, TextClassifier, Trainer } from '../dist/index.js';
import { MADE, madeRows } from './defaults/made.js';
import { runMain } from './support/main.js';
import { Lines } from './support/print.js';
import { sum } from './support/statistics.js';

const METHODS = { full: full(), lora: lora({ rank: 8 }), prefix: prefix({ virtualTokens: 20 }), linear: linear() };

/** What 0.1.0 did without options: 3 epochs, no warm-up, these rates. */
const BEFORE = { full: 5e-5, lora: 5e-4, prefix: 4e-4, linear: 1e-3 };

const OPTIONS = {
  sets: { type: 'string', default: MADE.join(',') },
  methods: { type: 'string', default: Object.keys(METHODS).join(',') },
  seeds: { type: 'string', default: '42,43,44' },
  factors: { type: 'string', default: '0.1,0.3,3' },
  model: { type: 'string', default: 'bert-mini' },
  file: { type: 'string' },
  'text-column': { type: 'string' },
  'text-pair-column': { type: 'string' },
  'label-column': { type: 'string' },
  delimiter: { type: 'string' },
  threads: { type: 'string' },
  rows: { type: 'string' },
  json: { type: 'string' },
};

/** The sets to train on: name → rows. */
async function readSets(options) {
  const names = options.sets.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !MADE.includes(name));
  if (unknown) throw new Error(`Expected ${MADE.join(', ')} for --sets but received ${unknown}`);
  const sets = new Map(names.map((name) => [name, madeRows(name)]));
  if (options.file) sets.set(basename(options.file), await readRows(options));
  return sets;
}

/** The rows of a file, or as many of its first as are asked for. */
async function readRows(options) {
  const [textColumn, textPairColumn, labelColumn] = ['text-column', 'text-pair-column', 'label-column'].map(
    (name) => options[name],
  );
  const { train } = await loadDataset(options.file, {
    ...(textColumn && { textColumn }),
    ...(textPairColumn && { textPairColumn }),
    ...(labelColumn && { labelColumn }),
    ...(options.delimiter && { delimiter: options.delimiter }),
  });
  const rows = train.texts.map((text, i) => ({
    text,
    ...(train.pairs && { pair: train.pairs[i] }),
    label: train.labelNames[train.labels[i]],
  }));
  return rows.slice(0, options.rows === undefined ? rows.length : Number(options.rows));
}

/** Trains once and measures on all the held-out rows. */
async function run(rows, method, seed, { model, threads }, options) {
  const data = datasetFromRows({ train: rows }, { holdout: { seed } });
  const classifier = await TextClassifier.load(model, {
    labels: data.labels,
    seed,
    ...(threads && { threads: Number(threads) }),
  });
  try {
    const trainer = new Trainer(classifier, { method: METHODS[method], seed, evaluationStrategy: 'no', ...options });
    const began = performance.now();
    const { epochs, steps } = await trainer.train(data.train);
    const seconds = (performance.now() - began) / 1000;
    const measured = [await trainer.evaluate(data.validation), await trainer.evaluate(data.test)];
    const examples = sum(measured.map((result) => result.examples));
    const mean = (name) => sum(measured.map((result) => result[name] * result.examples)) / examples;
    return {
      rate: trainer.settings.learningRate,
      epochs,
      steps,
      seconds,
      accuracy: mean('accuracy'),
      f1_macro: mean('f1_macro'),
    };
  } finally {
    await classifier.dispose();
  }
}

await runMain(async () => {
  const { values } = parseArgs({ options: OPTIONS });
  const sets = await readSets(values);
  const methods = values.methods.split(',');
  const seeds = values.seeds.split(',').map(Number);
  const factors = values.factors
    .split(',')
    .filter((text) => text !== '')
    .map(Number);
  if (values.json) rmSync(values.json, { force: true });
  const lines = new Lines([
    ['set', -12],
    ['method', -7],
    ['rate', 8],
    ['epochs', 6],
    ['s', 5],
    ['0.1.0', 7],
    ['default', 7],
    ['F1', 6],
    ['best', 7],
    ['its rate', 9],
    ['short by', 8],
  ]);
  lines.printHead();
  for (const [set, rows] of sets) {
    for (const method of methods) {
      const measure = async (variant, optionsOf) => {
        const runs = [];
        for (const seed of seeds) {
          const result = await run(rows, method, seed, values, optionsOf());
          runs.push(result);
          if (values.json)
            appendFileSync(values.json, `${JSON.stringify({ set, method, variant, seed, ...result })}\n`);
        }
        const mean = (name) => sum(runs.map((result) => result[name])) / runs.length;
        return { ...runs[0], accuracy: mean('accuracy'), f1_macro: mean('f1_macro'), seconds: mean('seconds') };
      };
      const before = await measure('0.1.0', () => ({ learningRate: BEFORE[method], epochs: 3, warmupRatio: 0 }));
      const chosen = await measure('default', () => ({}));
      const others = [];
      for (const factor of factors) {
        const learningRate = Number((chosen.rate * factor).toPrecision(2));
        const options = { learningRate, epochs: chosen.epochs, warmupRatio: 0.1 };
        others.push(await measure(`x${factor}`, () => options));
      }
      const best = [chosen, ...others].reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
      const percent = (value) => (100 * value).toFixed(1);
      lines.print([
        set,
        method,
        String(chosen.rate),
        String(Math.round(chosen.epochs)),
        chosen.seconds.toFixed(0),
        percent(before.accuracy),
        percent(chosen.accuracy),
        percent(chosen.f1_macro),
        percent(best.accuracy),
        String(best.rate),
        percent(best.accuracy - chosen.accuracy),
      ]);
    }
  }
});
