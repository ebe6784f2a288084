import { expect } from 'chai';
import { datasetFromRows, type TextDataset, type TextRow } from '../../lib/data/dataset.js';
import { type Finding, type FindingKind, summarize } from '../../lib/data/summary.js';
import { summaryLines } from '../../lib/report/run-lines.js';

const rows = (counts: Record<string, number>, text = (label: string, i: number) => `${label} ${i}`): TextRow[] =>
  Object.entries(counts).flatMap(([label, count]) =>
    Array.from({ length: count }, (_, i) => ({ text: text(label, i), label })),
  );
const findings = async (data: TextDataset) => (await summarize(data)).findings;
async function found(kind: FindingKind, ...data: Parameters<typeof datasetFromRows>): Promise<Finding[]> {
  return (await findings(datasetFromRows(...data))).filter((finding) => finding.kind === kind);
}
const numbered = (_: string, i: number) => `text ${i}`;

describe('findings', () => {
  it('are none in data that are in order', async () => {
    const train = rows({ a: 20, b: 30 });
    expect(await findings(datasetFromRows({ train }, { holdout: true }))).to.deep.equal([]);
  });

  it('say that there is one class', async () => {
    const [one] = await found('one-class', { train: rows({ praise: 40 }) }, { holdout: true });
    expect(one).to.include({ count: 40, total: 40 });
    expect(one!.text).to.equal(
      'all 40 rows of the train rows are labeled "praise": a classifier needs at least two classes',
    );
    expect(await found('one-class', { train: rows({ a: 1, b: 1 }), test: rows({ a: 2 }) })).to.deep.equal([]);
    expect(await found('one-class', { test: rows({ a: 2 }) })).to.deep.equal([]);
  });

  it('name classes that differ by case or spaces alone, which --labels merges', async () => {
    const train = rows({ Spam: 30, spam: 12, 'not  spam': 11, 'not spam': 13, other: 20 });
    const [spelling] = await found('label-spelling', { train });
    expect(spelling).to.include({ count: 4, total: 5 });
    expect(spelling!.text).to.include('"Spam" (30 rows) and "spam" (12); "not spam" (13 rows) and "not  spam" (11)');
    const labels = ['spam', 'not spam', 'other'];
    const merged = datasetFromRows({ train: rows({ Spam: 30, spam: 12, 'not spam': 13, other: 20 }) }, { labels });
    expect(merged.train!.labels.filter((label) => label === 0)).to.have.length(42);
  });

  it('count labels and texts that look missing', async () => {
    const train = rows({ 'N/A': 15, '?': 12, nanny: 40 }, (label, i) =>
      label === 'nanny' && i < 5 ? ['NaN', 'N/A', 'null', '', '  \n '][i]! : `${label} ${i} banana`,
    );
    const labels = await found('label-missing', { train });
    expect(labels.map(({ count, total, examples }) => [count, total, ...examples])).to.deep.equal([
      [27, 67, 'N/A', '?'],
    ]);
    expect(labels[0]!.text).to.match(/^27 of 67 rows are labeled "N\/A" \(15\), "\?" \(12\), which look like missing/);
    const [texts] = await found('text-missing', { train });
    expect(texts!.text).to.match(/^5 of 67 texts are empty or look like missing values \(empty 2, "NaN" 1, /);
    const pairs = [
      { text: 'a', pair: ' ', label: 'x' },
      { text: 'b', pair: 'c', label: 'y' },
    ];
    expect((await found('text-missing', { train: pairs }))[0]).to.include({ count: 1, total: 2 });
  });

  it('name rare classes, the rarest first, and an imbalance beyond 10 to 1', async () => {
    const train = rows({ big: 2000, fine: 20, few: 9, fewer: 2, small: 15 });
    const [rare] = await found('rare-class', { train }, { labels: ['big', 'fine', 'few', 'fewer', 'small', 'absent'] });
    expect(rare).to.include({ count: 4, total: 6 });
    expect(rare!.text).to.match(
      /^4 of 6 classes have fewer than 20 training rows: "absent" \(0\), "fewer" \(2\), "few" \(9\), "small" \(15\)\./,
    );
    const [imbalance] = await found('imbalance', { train });
    expect(imbalance).to.include({ count: 2, total: 2046 });
    expect(imbalance!.text)
      .to.include('"big" has 2,000 of 2,046 training rows, "fewer" 2')
      .and.include("classWeights: 'balanced'");
    expect(await found('imbalance', { train: rows({ a: 100, b: 10 }) })).to.deep.equal([]);
    expect(await found('imbalance', { train: rows({ a: 101, b: 10 }) })).to.have.length(1);
    expect(await found('rare-class', { train: rows({ a: 100, b: 10 }) })).to.deep.equal([]);
  });

  it('name classes that validation or test have no rows of, the rarest first', async () => {
    const train = rows({ a: 30, fraud: 20, rare: 12 });
    const [none, ...others] = await found('unmeasured-class', { train, test: rows({ a: 3 }), validation: train });
    expect(others).to.deep.equal([]);
    expect(none).to.deep.include({ splits: ['test'], count: 2, total: 3, examples: ['rare', 'fraud'] });
    expect(none!.text).to.equal(
      '"rare", "fraud" have no rows in test: nothing is known there about how well they are found',
    );
    expect(await found('unmeasured-class', { train })).to.deep.equal([]);
  });

  it('count texts with several labels, within splits and across', async () => {
    const train = [...rows({ a: 20, b: 20 }), { text: 'a 1', label: 'b' }, { text: 'a 1', label: 'a' }];
    const test = [
      { text: 'b 7', label: 'a' },
      { text: 'new', label: 'a' },
    ];
    const [conflict] = await found('conflicting-labels', { train, test });
    expect(conflict).to.include({ count: 5, total: 44 });
    expect(conflict!.text).to.equal(
      '2 texts have different labels in different rows (5 of 44 rows), e.g. "a 1" as "a" and "b": decide on one',
    );
    const pairs = (pair: string, label: string) => ({ text: 'same', pair, label });
    expect(await found('conflicting-labels', { train: [pairs('x', 'a'), pairs('y', 'b')] })).to.deep.equal([]);
  });

  it('count copies within each split, and across every two', async () => {
    const train = [...rows({ a: 20, b: 20 }), { text: 'a 1', label: 'a' }, { text: 'a 1', label: 'a' }];
    const validation = [
      { text: 'a 1', label: 'a' },
      { text: ' A  2', label: 'a' },
      { text: 'new', label: 'a' },
    ];
    const test = [
      { text: 'NEW', label: 'a' },
      { text: 'b 1', label: 'b' },
      { text: 'b 1', label: 'b' },
    ];
    const data = { train, validation, test };
    const [copies] = await found('repeated-texts', data);
    expect(copies).to.deep.include({ count: 3, total: 45, splits: ['train', 'test'] });
    expect(copies!.text).to.match(
      /^2 of 42 training, 1 of 3 test texts repeat earlier ones of their split, e\.g\. "a 1" 3 times/,
    );
    const shared = await found('shared-texts', data);
    expect(shared.map(({ splits, count, text }) => [...splits, count, text.split(', e.g.')[0]])).to.deep.equal([
      ['train', 'validation', 2, '1 of 3 validation texts is a training text too, 1 more but for case and spaces'],
      ['train', 'test', 2, '2 of 3 test texts are training texts too'],
      ['validation', 'test', 1, '1 of 3 test texts is a validation text but for case and spaces'],
    ]);
    expect(
      await found('shared-texts', { train: rows({ a: 1, b: 1 }), test: rows({ c: 2 }) }, { labels: ['a', 'b', 'c'] }),
    ).to.deep.equal([]);
  });

  it('say when texts hold the names of their labels', async () => {
    const leaking = rows({ sport: 20, politics: 20, art: 20 }, (label, i) => `[${label.toUpperCase()}] text ${i}`);
    expect((await found('label-in-text', { train: leaking }))[0]).to.include({ count: 60, total: 60 });
    const some = rows({ sport: 20, politics: 20, art: 20 }, (label, i) => (i < 10 ? label : `text ${label[0]} ${i}`));
    expect(await found('label-in-text', { train: some })).to.deep.equal([]);
    expect(await found('label-in-text', { train: rows({ 0: 20, 1: 20, 2: 20 }) })).to.deep.equal([]);
  });

  it('stand in the lines of a summary, whose labels begin with the rarest where they are cut', async () => {
    const counts = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`class ${i + 10}`, 40 - i]));
    const summary = await summarize(datasetFromRows({ train: rows(counts) }));
    const [line] = summaryLines(summary);
    expect(line).to.match(/^train: 469 texts; rarest first: class 23 27 \(.*, class 12 38 \([^,]*, 2 larger$/);
    const alone = await summarize(datasetFromRows({ train: rows({ only: 3 }, numbered) }));
    expect(summaryLines(alone)).to.include(`note: ${alone.findings[0]!.text}`);
  });

  it('leave the event loop free', async function () {
    this.timeout(120_000);
    const train = rows(
      { a: 80_000, b: 20_000 },
      (label, i) => `${label} ${i % 18_000} is what somebody wrote about it`,
    );
    const data = datasetFromRows({ train });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const [copies] = (await findings(data)).filter(({ kind }) => kind === 'repeated-texts');
    clearInterval(timer);
    expect(copies).to.include({ count: 64_000, total: 100_000 });
    expect(turns).to.be.greaterThan(5);
    const stopped = summarize(data, { signal: AbortSignal.timeout(5) });
    expect(
      await stopped.then(
        () => 'done',
        ({ code }) => code,
      ),
    ).to.equal('ABORTED');
  });
});
