// What each method reaches with a few texts a class: the mean and standard deviation of accuracy and macro F1 over seeds, on
// the data's own test split. A seed draws the training texts, the new parameters, the order and the dropout.
//
//   node bench/few-examples.js                                  (needs npm run build; goemotions6, about twenty minutes on one core)
//   ... --data DIR --text-column text --label-column label      a data set of your own, with a train and a test split
//   ... --methods logreg,full --counts 8,64 --seeds 1,2,3,4,5
//   ... --options '{"epochs": 20}' --results FILE                other options of a Trainer; a line of JSON a run, which are not run again
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as bertune from '../dist/index.js';
import { runMain } from './support/main.js';
import { Lines } from './support/print.js';
import { randomNumbers, sum } from './support/statistics.js';

const METHODS = {
  logreg: () => bertune.logreg(),
  linear: () => bertune.linear(),
  lora: () => bertune.lora(),
  full: () => bertune.full(),
};

const OPTIONS = {
  data: { type: 'string', default: 'goemotions6' },
  'text-column': { type: 'string' },
  'label-column': { type: 'string' },
  model: { type: 'string', default: 'bert-mini' },
  methods: { type: 'string', default: Object.keys(METHODS).join(',') },
  method: { type: 'string', default: '{}' },
  counts: { type: 'string', default: '8,16,32,64' },
  seeds: { type: 'string', default: '1,2,3' },
  options: { type: 'string', default: '{}' },
  threads: { type: 'string', default: '1' },
  results: { type: 'string' },
};

/** So many rows of every class, drawn without replacement. */
function drawn(rows, count, seed) {
  const random = randomNumbers(seed);
  const shuffled = rows
    .map((row) => ({ row, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ row }) => row);
  const taken = new Map();
  return shuffled.filter(({ label }) => {
    taken.set(label, (taken.get(label) ?? 0) + 1);
    return taken.get(label) <= count;
  });
}

function rowsOf({ texts, labels, labelNames }) {
  return texts.map((text, i) => ({ text, label: labelNames[labels[i]] }));
}

async function run({ train, test, labels }, method, count, seed, { model, threads, options }) {
  const data = bertune.datasetFromRows({ train: drawn(train, count, seed), test }, { labels });
  const classifier = await bertune.TextClassifier.load(model, { labels, seed, threads: Number(threads) });
  try {
    const trainer = new bertune.Trainer(classifier, {
      ...{ method, evaluationStrategy: 'no' },
      ...(method.kind !== 'logreg' && { seed }),
      ...JSON.parse(options),
    });
    const { runtime, steps } = await trainer.train(data.train);
    const { accuracy, f1_macro } = await trainer.evaluate(data.test);
    return { accuracy, f1_macro, steps, seconds: runtime };
  } finally {
    await classifier.dispose();
  }
}

/** `0.512 ± 0.013`: the standard deviation of a sample. */
function spread(values) {
  const mean = sum(values) / values.length;
  const deviation = Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / Math.max(1, values.length - 1));
  return `${mean.toFixed(3)} ± ${deviation.toFixed(3)}`;
}

await runMain(async () => {
  const { values } = parseArgs({ options: OPTIONS });
  const columns = { textColumn: values['text-column'], labelColumn: values['label-column'] };
  const { train, test, labels } = await bertune.loadDataset(values.data, columns);
  const data = { train: rowsOf(train), test: rowsOf(test), labels };
  const known = new Map();
  if (values.results && existsSync(values.results)) {
    const lines = readFileSync(values.results, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    for (const { key, ...result } of lines.map((line) => JSON.parse(line))) known.set(key, result);
  }
  const table = new Lines([
    ['texts a class', 13],
    ['method', -8],
    ['accuracy', 15],
    ['F1 macro', 15],
    ['steps', 6],
    ['seconds', 8],
  ]);
  table.printHead();
  for (const count of values.counts.split(',').map(Number)) {
    for (const name of values.methods.split(',')) {
      const method = { ...METHODS[name](), ...JSON.parse(values.method) };
      const runs = [];
      for (const seed of values.seeds.split(',').map(Number)) {
        const key = [values.data, values.model, JSON.stringify(method), values.options, count, seed].join(' ');
        const result = known.get(key) ?? (await run(data, method, count, seed, values));
        if (values.results && !known.has(key))
          appendFileSync(values.results, `${JSON.stringify({ key, ...result })}\n`);
        runs.push(result);
      }
      const of = (key) => runs.map((result) => result[key]);
      table.print([
        ...[String(count), name, spread(of('accuracy')), spread(of('f1_macro'))],
        ...[String(runs[0].steps), (sum(of('seconds')) / runs.length).toFixed(1)],
      ]);
    }
  }
});
