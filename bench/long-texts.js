// What becomes of long texts, and what it costs: for texts of sixteen sentences each, the accuracy on held-out texts and the
// seconds of training where they are cut in each way, read as they are, or in windows.
//
//   node bench/long-texts.js                             (needs npm run build; about half an hour on two cores)
//   ... --sets spread,start,end,ends --ways head,tail --length 64 --train 600 --steps 600 --seeds 42,43,44 --json results.json
//
// A text's label is the emotion of four comments of goemotions6 in it; the other twelve sentences are of a log that tells nothing.
// `spread`: the four stand anywhere; `start`, `end`: they come first, last; `ends`: two first, two last.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { full, loadDataset, TextClassifier, Trainer } from '../dist/index.js';
import { runMain } from './support/main.js';
import { Lines } from './support/print.js';
import { randomNumbers, sum } from './support/statistics.js';

const OPTIONS = {
  sets: { type: 'string', default: 'spread,end' },
  ways: { type: 'string' },
  length: { type: 'string', default: '64' },
  train: { type: 'string', default: '600' },
  test: { type: 'string', default: '600' },
  steps: { type: 'string', default: '600' },
  seeds: { type: 'string', default: '42' },
  threads: { type: 'string' },
  json: { type: 'string' },
};

const OWN = 4;
const OTHERS = 12;
const ENTRIES = [
  'the meeting was moved to',
  'the next delivery is due on',
  'the office will be closed from',
  'a copy of the report went out on',
  'the train to the city leaves at',
  'the second part of the order came on',
  'the room on the third floor is free from',
  'the new version was installed on',
];
const TIMES = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

/** Where the comments that tell the label stand among the entries. */
const PLACES = {
  spread: (own, others, shuffle) => shuffle([...own, ...others]),
  start: (own, others) => [...own, ...others],
  end: (own, others) => [...others, ...own],
  ends: (own, others) => [...own.slice(0, 2), ...others, ...own.slice(2)],
};

/** What to do with a text that is longer than `length` tokens. */
const WAYS = (length) => ({
  head: { maxLength: length, truncation: 'head' },
  tail: { maxLength: length, truncation: 'tail' },
  'head-tail': { maxLength: length, truncation: 'head-tail' },
  halves: { maxLength: length, truncation: 'halves' },
  whole: {},
  'windows-mean': { maxLength: length, stride: Math.floor(length / 4) },
  'windows-max': { maxLength: length, stride: Math.floor(length / 4), windowPooling: 'max' },
});

/** A split of `count` long texts, made of the comments of a split. */
function longSplit(split, place, count, seed) {
  const next = randomNumbers(seed);
  const below = (most) => Math.floor(next() * most);
  const shuffle = (items) => {
    for (let i = items.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  };
  const byLabel = split.labelNames.map((_, label) => split.texts.filter((_text, i) => split.labels[i] === label));
  const draw = (label) => byLabel[label][below(byLabel[label].length)];
  const texts = [];
  const labels = Int32Array.from({ length: count }, () => below(byLabel.length));
  for (const label of labels) {
    const entry = () => `${ENTRIES[below(ENTRIES.length)]} ${TIMES[below(TIMES.length)]}.`;
    const own = Array.from({ length: OWN }, () => draw(label));
    texts.push(PLACES[place](own, Array.from({ length: OTHERS }, entry), shuffle).join(' '));
  }
  return { ...split, texts, labels };
}

/** Trains once and measures. */
async function run(data, way, seed, { steps, threads }) {
  const model = await TextClassifier.load('bert-mini', {
    labels: data.train.labelNames,
    seed,
    ...(threads && { threads: Number(threads) }),
  });
  try {
    const trainer = new Trainer(model, { method: full(), maxSteps: Number(steps), seed, ...way });
    const { runtime } = await trainer.train(data.train);
    const { accuracy, runtime: evaluation } = await trainer.evaluate(data.test);
    return { accuracy, seconds: runtime, evaluation, peak: model.memory().peak };
  } finally {
    await model.dispose();
  }
}

const mean = (values) => sum(values) / values.length;

async function main() {
  const { values } = parseArgs({ options: OPTIONS });
  const { train, test } = await loadDataset('goemotions6');
  const ways = WAYS(Number(values.length));
  const wanted = values.ways?.split(',') ?? Object.keys(ways);
  const unknown = wanted.find((way) => !ways[way]);
  if (unknown) throw new Error(`Expected ${Object.keys(ways).join(', ')} for --ways but received ${unknown}`);
  const seeds = values.seeds.split(',').map(Number);
  const table = new Lines([
    ['set', -8],
    ['', -14],
    ['accuracy', 9],
    ['train s', 9],
    ['evaluate s', 11],
    ['peak MiB', 9],
  ]);
  table.printHead();
  const rows = [];
  for (const set of values.sets.split(',')) {
    if (!PLACES[set]) throw new Error(`Expected ${Object.keys(PLACES).join(', ')} for --sets but received ${set}`);
    const data = {
      train: longSplit(train, set, Number(values.train), 1),
      test: longSplit(test, set, Number(values.test), 2),
    };
    for (const way of wanted) {
      const runs = [];
      for (const seed of seeds) runs.push(await run(data, ways[way], seed, values));
      const of = (name) => mean(runs.map((each) => each[name]));
      rows.push({
        set,
        way,
        accuracies: runs.map(({ accuracy }) => accuracy),
        seconds: of('seconds'),
        peak: of('peak'),
      });
      table.print([
        ...[set, way, of('accuracy').toFixed(3), of('seconds').toFixed(1), of('evaluation').toFixed(1)],
        (of('peak') / 2 ** 20).toFixed(0),
      ]);
      if (values.json) writeFileSync(values.json, `${JSON.stringify({ settings: values, rows }, null, 1)}\n`);
    }
  }
}

await runMain(main);
