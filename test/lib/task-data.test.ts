import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { type DatasetOptions, datasetFromRows, loadDataset, type TextDataset } from '../../lib/data/dataset.js';
import { alignSplit } from '../../lib/data/split.js';
import { summarize } from '../../lib/data/summary.js';
import type { Split } from '../../lib/data/types.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

describe('labels of the tasks', () => {
  const directory = useTemporaryDirectory();

  async function write(name: string, content: string | Uint8Array): Promise<string> {
    const path = directory.path(name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    return path;
  }

  async function load(name: string, content: string | Uint8Array, options: DatasetOptions = {}): Promise<TextDataset> {
    return loadDataset(await write(name, content), options);
  }

  /** The labels of each row by name. */
  function namesOf({ labels, labelNames }: Split): string[][] {
    const width = labelNames.length;
    return Array.from({ length: labels.length / width }, (_, row) =>
      labelNames.filter((_, i) => labels[row * width + i] === 1),
    );
  }

  const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

  describe('several labels a row', () => {
    const rows = [
      { text: 'a', labels: ['joy', 'anger'] },
      { text: 'b', labels: [] },
      { text: 'c', labels: ['fear'] },
    ];
    const expected = [['anger', 'joy'], [], ['fear']];

    it('are lists in JSON lines and arrays, with the names in order', async () => {
      for (const [name, content] of [
        ['a.jsonl', lines(rows)],
        ['a.json', JSON.stringify(rows)],
      ] as const) {
        const data = await load(name, content);
        expect(data.task).to.equal('multi-label');
        expect(data.labels).to.deep.equal(['anger', 'fear', 'joy']);
        expect(data.train!.task).to.equal('multi-label');
        expect(data.train!.labels).to.deep.equal(Float32Array.of(1, 0, 1, 0, 0, 0, 0, 1, 0));
        expect(namesOf(data.train!)).to.deep.equal(expected);
      }
    });

    it('are columns of 0 and 1, in the order in which they are named', async () => {
      const content = 'text,joy,anger,fear\na,1,TRUE,0\nb,0,false,0.0\nc,0,0,1.0\n';
      const data = await load('a.csv', content, { labelColumns: ['joy', 'anger', 'fear'] });
      expect(data.labels).to.deep.equal(['joy', 'anger', 'fear']);
      expect(namesOf(data.train!)).to.deep.equal([['joy', 'anger'], [], ['fear']]);
      const json = lines([{ text: 'a', joy: true, anger: 0 }]);
      expect((await load('a.jsonl', json, { labelColumns: ['joy', 'anger'] })).train!.labels).to.deep.equal(
        Float32Array.of(1, 0),
      );
      for (const [content, pattern] of [
        ['text,joy,anger\na,1,0\nb,2,0\n', /Expected 0 or 1 for joy in .*line 3, but found "2"/],
        ['text,joy,anger\na,1,\n', /Expected 0 or 1 for anger in .*line 2, but found ""/],
      ] as const) {
        await expectRefusal(load('a.csv', content, { labelColumns: ['joy', 'anger'] }), 'INVALID_DATA', pattern);
      }
      const misspelt = load('a.csv', content, { labelColumns: ['joy', 'angr'] });
      await expectRefusal(misspelt, 'NOT_FOUND', 'did you mean anger?');
    });

    it('are what a separator divides; nothing is no label', async () => {
      const content = 'text,label\na,joy| anger\nb,\nc,fear\n';
      const data = await load('a.csv', content, { labelSeparator: '|' });
      expect(data.labels).to.deep.equal(['anger', 'fear', 'joy']);
      expect(namesOf(data.train!)).to.deep.equal(expected);
    });

    it('are indices of the classes that the data name, or the caller', async () => {
      const numbered = lines(rows.map(({ text }, i) => ({ text, labels: [[0, 2], [], [1]][i] })));
      const given = await load('a.jsonl', numbered, { labels: ['anger', 'fear', 'joy'] });
      expect(namesOf(given.train!)).to.deep.equal(expected);
      const names = "\n        names:\n          '0': anger\n          '1': fear\n          '2': joy";
      for (const type of ['sequence', 'list']) {
        await write('folder/train.jsonl', numbered);
        await write(
          'folder/README.md',
          `---\ndataset_info:\n  features:\n  - name: labels\n    ${type}:\n      class_label:${names}\n---\n`,
        );
        const data = await loadDataset(directory.path('folder'));
        expect(data.labels).to.deep.equal(['anger', 'fear', 'joy']);
        expect(namesOf(data.train!)).to.deep.equal(expected);
      }
    });

    it('are lists in Parquet, of names or of indices that the metadata name', async () => {
      const column = (element: object, data: unknown[], features?: unknown) =>
        new Uint8Array(
          parquetWriteBuffer({
            columnData: [
              { name: 'text', data: ['a', 'b', 'c'] },
              { name: 'labels', data },
            ],
            schema: [
              { name: 'root', num_children: 2 },
              { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
              { name: 'labels', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
              { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
              { name: 'element', repetition_type: 'OPTIONAL', ...element },
            ],
            kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features: { labels: features } } }) }],
          } as unknown as Parameters<typeof parquetWriteBuffer>[0]),
        );
      const names = rows.map(({ labels }) => labels);
      const written = await load('a.parquet', column({ type: 'BYTE_ARRAY', converted_type: 'UTF8' }, names));
      expect(namesOf(written.train!)).to.deep.equal(expected);
      const feature = { names: ['joy', 'fear', 'anger'], _type: 'ClassLabel' };
      const indices = names.map((each) => each.map((name) => BigInt(feature.names.indexOf(name))));
      for (const features of [{ feature, _type: 'Sequence' }, { feature, _type: 'List' }, [feature]]) {
        const numbered = await load('a.parquet', column({ type: 'INT64' }, indices, features));
        expect(numbered.labels).to.deep.equal(feature.names);
        expect(namesOf(numbered.train!)).to.deep.equal([['joy', 'anger'], [], ['fear']]);
      }
    });

    it('are rows in memory', () => {
      const train = rows.map(({ text, labels }) => ({ text, label: labels }));
      expect(namesOf(datasetFromRows({ train }).train)).to.deep.equal(expected);
      const one = datasetFromRows({ train: [{ text: 'a', label: 'joy' }] }, { task: 'multi-label' });
      expect(one.train.labels).to.deep.equal(Float32Array.of(1));
    });

    it('are refused where a split has labels that training does not know, or some rows none', async () => {
      const train = await write('train.jsonl', lines(rows));
      const test = await write('test.jsonl', lines([rows[0], { text: 'd', labels: ['joy', 'jo'] }]));
      await expectRefusal(loadDataset({ train, test }), 'INVALID_DATA', 'Unknown label "jo"', 'test.jsonl, line 2');
      await expectRefusal(
        load('a.jsonl', lines([rows[0], { text: 'd', labels: null }])),
        'INVALID_DATA',
        'Expected a label in',
        'line 2',
      );
      const fewer = await write('test.jsonl', lines([{ text: 'd', labels: ['joy'] }]));
      expect((await loadDataset({ train, test: fewer })).test!.labels).to.deep.equal(Float32Array.of(0, 0, 1));
    });

    it('are not 0 and 1 for each label', async () => {
      await expectRefusal(
        load(
          'a.jsonl',
          lines([
            { text: 'a', labels: [1, 0] },
            { text: 'b', labels: [0.0, 0.0, 1.0] },
          ]),
        ),
        'INVALID_DATA',
        'line 2',
        'found 0 or 1 for each label ([0, 0, 1])',
      );
    });

    it('do not mix with single ones, unless the task is asked for', async () => {
      const mixed = lines([rows[0], { text: 'b', labels: 'joy' }]);
      await expectRefusal(load('a.jsonl', mixed), 'INVALID_DATA', 'line 2', "task: 'multi-label'");
      expect(namesOf((await load('a.jsonl', mixed, { task: 'multi-label' })).train!)).to.deep.equal([
        ['anger', 'joy'],
        ['joy'],
      ]);
      const single = load('a.jsonl', lines(rows), { task: 'single-label' });
      await expectRefusal(single, 'INVALID_DATA', 'line 1', 'the task is single-label', "task: 'multi-label'");
    });
  });

  describe('numbers', () => {
    it('are values where some are not integers, or where regression is asked for', async () => {
      const halves = await load('a.csv', 'text,score\na,1.5\nb,-2\nc,1e-1\n');
      expect([halves.task, halves.labels]).to.deep.equal(['regression', ['score']]);
      expect(halves.train!.labels).to.deep.equal(Float32Array.of(1.5, -2, 0.1));
      expect(halves.notes!.join()).to.include('regression').and.include("task: 'single-label'");
      const whole = 'text,stars\na,1\nb,5.0\n';
      expect((await load('a.csv', whole)).task).to.equal('single-label');
      expect((await load('a.csv', whole, { task: 'regression' })).train!.labels).to.deep.equal(Float32Array.of(1, 5));
      const split = await write('a.csv', 'text,stars\na,1\nb,2\n');
      const test = await write('b.csv', 'text,stars\na,1.5\n');
      expect((await loadDataset({ train: split, test })).task).to.equal('regression');
      const rows = [
        { text: 'a', label: 0.5 },
        { text: 'b', label: 1 },
      ];
      expect(datasetFromRows({ train: rows }).train.labels).to.deep.equal(Float32Array.of(0.5, 1));
    });

    it('are several in columns or lists', async () => {
      const content = 'text,x,y\na,1,2\nb,3,4.5\n';
      const data = await load('a.csv', content, { labelColumns: ['y', 'x'], task: 'regression' });
      expect(data.labels).to.deep.equal(['y', 'x']);
      expect(data.train!.labels).to.deep.equal(Float32Array.of(2, 1, 4.5, 3));
      const lists = datasetFromRows({
        train: [
          { text: 'a', label: [0.5, 0.5] },
          { text: 'b', label: [1, 0] },
        ],
      });
      expect(lists.train.labels).to.deep.equal(Float32Array.of(0.5, 0.5, 1, 0));
      const uneven = lines([
        { text: 'a', label: [0.5, 1] },
        { text: 'b', label: [1.5] },
      ]);
      await expectRefusal(load('a.jsonl', uneven), 'INVALID_DATA', 'Expected 2 values', 'line 2');
    });

    it('are refused where they are none, or not finite, with file, line and value', async () => {
      const options = { task: 'regression' } as const;
      for (const value of ['joy', '1,5', 'nan', 'inf', '1e39', '0x10']) {
        const content = `text;score\na;1\nb;${value}\n`;
        const found = `found ${JSON.stringify(value)}`;
        await expectRefusal(load('a.csv', content, options), 'INVALID_DATA', 'Expected a number', 'line 3', found);
      }
      await expectRefusal(
        load('a.csv', 'text,x,y\na,1,2\nb,3,\n', { ...options, labelColumns: ['x', 'y'] }),
        'INVALID_DATA',
        /Expected a number for y in .*line 3/,
      );
    });
  });

  it('are said in one way', async () => {
    const path = await write('a.csv', 'text,a,b\nx,1,0\n');
    const refusals: [DatasetOptions, string][] = [
      [{ labelColumns: ['a'], labelColumn: 'b' }, 'Set either labelColumns or labelColumn, not both'],
      [{ labelColumns: ['a'], labelSeparator: '|' }, 'Set either labelColumns or labelSeparator, not both'],
      [{ labelColumns: ['a'], task: 'single-label' }, 'labelColumns is for several'],
      [{ labelSeparator: '|', task: 'single-label' }, 'labelSeparator is for several'],
      [{ task: 'ranking' as 'regression' }, 'one of single-label, multi-label, regression for task'],
    ];
    for (const [options, message] of refusals) {
      await expectRefusal(loadDataset(path, options), 'INVALID_OPTION', message);
    }
  });

  describe('that are divided', () => {
    const random = (seed: number) => () => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed / 2 ** 31;
    };

    it('give every part its share of each label, down to the rarest', () => {
      const next = random(7);
      const shares = { common: 0.5, some: 0.1, rare: 0.02 };
      const train = Array.from({ length: 1000 }, (_, i) => ({
        text: `text ${i}`,
        label: Object.entries(shares).flatMap(([name, share]) => (next() < share ? [name] : [])),
      }));
      const data = datasetFromRows({ train }, { split: { validation: 0.2, test: 0.2 } });
      const count = (split: Split, name: string) => namesOf(split).filter((names) => names.includes(name)).length;
      for (const name of Object.keys(shares)) {
        const all = train.filter(({ label }) => label.includes(name)).length;
        for (const split of [data.validation!, data.test!]) {
          expect(count(split, name), name).to.be.closeTo(0.2 * all, name === 'rare' ? 1 : 0.1 * 0.2 * all + 1);
        }
      }
      const split = [data.train, data.validation!, data.test!].flatMap((each) =>
        each.texts.map((text, row) => [text, namesOf(each)[row]!.toSorted()]),
      );
      const sorted = train.map(({ text, label }) => [text, label.toSorted()]);
      expect(split.sort()).to.deep.equal(sorted.sort());
    });

    it('give every part its share of each range of values', () => {
      const next = random(3);
      const train = Array.from({ length: 500 }, (_, i) => ({ text: `text ${i}`, label: next() ** 3 }));
      const data = datasetFromRows({ train }, { split: { test: 0.2 } });
      const sorted = train.map(({ label }) => label).sort((a, b) => a - b);
      for (let tenth = 0; tenth < 10; tenth++) {
        const [from, to] = [sorted[50 * tenth]!, sorted[50 * tenth + 50] ?? 2];
        const inRange = [...data.test!.labels].filter((value) => value >= Math.fround(from) && value < Math.fround(to));
        expect(inRange.length, `range ${tenth}`).to.be.within(9, 11);
      }
      for (const { texts, labels } of [data.train, data.test!]) {
        texts.forEach((text, row) => {
          expect(labels[row]).to.equal(Math.fround(train[Number(text.slice(5))]!.label));
        });
      }
    });
  });

  it('come into the order of a model by name', () => {
    const { train } = datasetFromRows({
      train: [
        { text: 'a', label: ['x', 'y'] },
        { text: 'b', label: ['y'] },
      ],
    });
    const { split } = alignSplit('train', train, ['y', 'z', 'x']);
    expect(split.labels).to.deep.equal(Float32Array.of(1, 0, 1, 1, 0, 0));
    expect(() => alignSplit('train', train, ['y', 'z'])).to.throw('no class for the labels x of the train split');
    const values = datasetFromRows({ train: [{ text: 'a', label: 0.5 }] }).train;
    expect(alignSplit('train', values, ['LABEL_0']).split).to.deep.include({ labelNames: ['LABEL_0'] });
    expect(() => alignSplit('train', values, ['a', 'b'])).to.throw('Expected 2 values per row (a, b)');
  });

  describe('that are summarized', () => {
    it('are counted by label, and contradictions found', async () => {
      const label = (i: number) => (i % 2 === 0 ? ['joy', 'all'] : ['all']);
      const train = Array.from({ length: 40 }, (_, i) => ({ text: `text ${i}`, label: label(i) }));
      train.push({ text: 'text 0', label: ['all', 'anger'] }, { text: 'text 1', label: ['all'] });
      const { task, splits, findings } = await summarize(datasetFromRows({ train }));
      expect(task).to.equal('multi-label');
      expect(splits.train!.labels.map(({ label, count }) => [label, count])).to.deep.equal([
        ['all', 42],
        ['anger', 1],
        ['joy', 20],
      ]);
      const byKind = new Map(findings.map((finding) => [finding.kind, finding]));
      expect(byKind.get('constant-label')?.examples).to.deep.equal(['all']);
      expect(byKind.get('rare-class')?.examples).to.deep.equal(['anger']);
      expect(byKind.get('conflicting-labels')?.text).to.include('as "all" + "joy" and "all" + "anger"');
      expect(byKind.get('conflicting-labels')?.count).to.equal(2);
    });

    it('are described by range and mean, and contradict where they are far apart', async () => {
      const train = [0.5, 1, 1.5, 5].map((value, i) => ({ text: `text ${i}`, label: value }));
      const close = datasetFromRows({ train: [...train, { text: 'text 0', label: 1 }] });
      const { splits, findings } = await summarize(close);
      const [score] = splits.train!.values!;
      expect(score).to.deep.include({ name: 'label', min: 0.5, max: 5 });
      expect(score!.mean).to.be.closeTo(1.8, 1e-6);
      expect(splits.train!.labels).to.deep.equal([]);
      expect(findings.map(({ kind }) => kind)).to.deep.equal(['repeated-texts']);
      const far = await summarize(datasetFromRows({ train: [...train, { text: 'text 0', label: 4 }] }));
      expect(far.findings[0]).to.deep.include({ kind: 'conflicting-labels', count: 2 });
      expect(far.findings[0]!.text).to.include('as 0.5 and 4');
    });
  });
});
