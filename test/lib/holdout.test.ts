import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { datasetFromRows, loadDataset, type Split, type TextDataset, type TextRow } from '../../lib/data/dataset.js';
import { summarize } from '../../lib/data/summary.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

const rows = (counts: Record<string, number>): TextRow[] =>
  Object.entries(counts).flatMap(([label, count]) =>
    Array.from({ length: count }, (_, i) => ({ text: `${label} ${i}`, label })),
  );
const sizes = ({ train, validation, test }: TextDataset) =>
  [train, validation, test].map((split) => split?.texts.length ?? 0);
const held = (train: TextRow[], options: object = { holdout: true }) => datasetFromRows({ train }, options);

describe('holdout', () => {
  const directory = useTemporaryDirectory();

  it('takes a tenth of every class for each split that is missing, and says so', () => {
    const data = held(rows({ a: 100, b: 50, c: 1 }));
    expect(sizes(data)).to.deep.equal([121, 15, 15]);
    expect([...data.train!.labels]).to.include(2);
    expect(data.notes).to.deep.equal([
      'held out of the 151 training rows: 15 for test, 15 for validation (by class, seed 42)',
    ]);
    expect(data.heldOut).to.deep.equal({
      fractions: { test: 0.1, validation: 0.1 },
      seed: 42,
      stratified: true,
      rows: { train: 121, test: 15, validation: 15 },
    });
  });

  it('takes the split that is missing alone, and nothing unasked', () => {
    const train = rows({ a: 30, b: 30 });
    const test = rows({ a: 3, b: 3 });
    expect(sizes(datasetFromRows({ train, test }, { holdout: true }))).to.deep.equal([54, 6, 6]);
    expect(datasetFromRows({ train, test, validation: test }, { holdout: true }).heldOut).to.equal(undefined);
    expect(datasetFromRows({ test }, { holdout: true }).heldOut).to.equal(undefined);
    for (const options of [{}, { holdout: false }]) expect(sizes(held(train, options))).to.deep.equal([60, 0, 0]);
  });

  it('takes nothing of fewer than 20 rows, nor the last rows of a class, and says why', () => {
    const few = held(rows({ a: 10, b: 9 }));
    expect(sizes(few)).to.deep.equal([19, 0, 0]);
    expect(few.notes).to.deep.equal([
      'no rows are held out for validation and test: that takes at least 20 training rows, and there are 19',
    ]);
    expect(sizes(held(rows({ a: 10, b: 10 })))).to.deep.equal([16, 2, 2]);
    const single = held(Array.from({ length: 20 }, (_, i) => ({ text: `text ${i}`, label: `class ${i}` })));
    expect(sizes(single)).to.deep.equal([20, 0, 0]);
    expect(single.heldOut).to.equal(undefined);
    expect(single.notes![0]).to.match(/^no rows are held out for validation and test: too few/);
  });

  it('draws the same rows on every machine, by the seed, whatever the order of the labels', () => {
    const train = rows({ a: 30, b: 20 });
    const drawn = (options: object) => held(train, options).test!.texts;
    // Values of one machine, for all others.
    expect(drawn({ holdout: true })).to.deep.equal(['a 17', 'a 20', 'a 25', 'b 0', 'b 12']);
    expect(drawn({ holdout: true, labels: ['b', 'a'] })).to.deep.equal(drawn({ holdout: true }));
    expect(drawn({ holdout: { seed: 42 } })).to.deep.equal(drawn({ holdout: true }));
    expect(drawn({ holdout: { seed: 7 } })).to.not.deep.equal(drawn({ holdout: true }));
    expect(drawn({ split: { validation: 0.1, test: 0.1 } })).to.deep.equal(drawn({ holdout: true }));
  });

  it('keeps rows of one text on one side, and never a class off the training side', () => {
    // 40 texts three times each, one of them fifty times more, one with labels of both classes.
    const train = Array.from({ length: 120 }, (_, i) => ({ text: `text ${i % 40}`, label: i % 2 === 0 ? 'a' : 'b' }));
    train.push(...Array.from({ length: 50 }, () => ({ text: 'text 0', label: 'a' })), { text: 'text 1', label: 'c' });
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const data = held(train, { holdout: { seed } });
      const sides = [data.train!, data.validation!, data.test!].map(({ texts }) => new Set(texts));
      expect(sides[0]!.size + sides[1]!.size + sides[2]!.size).to.equal(40);
      expect(sizes(data)[1]).to.be.within(12, 18);
      expect(sizes(data)[2]).to.be.within(12, 18);
      expect(new Set(data.train!.labels).size).to.equal(3);
      expect(sides[0]!.has('text 0'), 'a text of 53 rows stays').to.equal(true);
    }
    const pairs = train.map((row, i) => ({ ...row, pair: `pair ${i}` }));
    expect(sizes(held(pairs))).to.deep.equal([137, 17, 17]);
  });

  it('fills a split with many texts rather than with one of many rows', () => {
    const train = [...rows({ a: 100, b: 100 }), ...Array.from({ length: 18 }, () => ({ text: 'ok', label: 'a' }))];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { train: rest } = held(train, { holdout: { seed } });
      expect(rest!.texts).to.include('ok');
    }
  });

  it('gives small classes one row before others give two, and each class to one split at least', () => {
    const counts = ({ labels, labelNames }: Split) =>
      labelNames.map((_, label) => labels.filter((each) => each === label).length);
    const five = held(rows({ a: 12, b: 7, c: 16, d: 9, e: 16 }));
    expect(counts(five.test!)).to.deep.equal([1, 1, 2, 1, 1]);
    expect(counts(five.validation!)).to.deep.equal([1, 1, 1, 1, 2]);
    const ten = held(rows(Object.fromEntries([...'abcdefghij'].map((name) => [name, 9]))));
    const both = counts(ten.test!).map((count, i) => count + counts(ten.validation!)[i]!);
    expect(both.every((count) => count === 1 || count === 2)).to.equal(true);
    expect(sizes(ten)).to.deep.equal([72, 9, 9]);
    const few = held(rows({ a: 60, b: 4 }));
    expect(counts(few.test!)[1]! + counts(few.validation!)[1]!).to.be.at.most(1);
  });

  it('keeps texts together that differ in case or spaces alone', async () => {
    const train = rows({ a: 50, b: 50 }).flatMap(({ text, label }) => [
      { text, label },
      { text: ` ${text.toUpperCase()}`, label },
    ]);
    const { findings } = await summarize(held(train));
    expect(findings.filter(({ kind }) => kind === 'shared-texts')).to.deep.equal([]);
  });

  it('is the same for a file as for its rows', async () => {
    const train = rows({ a: 30, b: 20 });
    const path = directory.path('mine.csv');
    await writeFile(path, `text,label\n${train.map(({ text, label }) => `${text},${label}`).join('\n')}\n`);
    const data = await loadDataset(path, { holdout: true });
    expect(data.heldOut).to.deep.equal(held(train).heldOut);
  });

  it('is refused where it makes no sense', async () => {
    const train = rows({ a: 20, b: 20 });
    for (const holdout of ['yes', 0.1, null, [], { seed: -1 }, { validation: 0.1 }]) {
      await expectRefusal(() => held(train, { holdout }), 'INVALID_OPTION', 'holdout');
    }
    const both = () => held(train, { holdout: true, split: { test: 0.1 } });
    await expectRefusal(both, 'INVALID_OPTION', 'Set either split or holdout, not both');
    await expectRefusal(
      loadDataset('x', { holdout: true, splits: ['train'] }),
      'INVALID_OPTION',
      'Set either splits or holdout, not both',
    );
  });
});
