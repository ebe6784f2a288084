import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { type DatasetOptions, datasetFromRows, loadDataset, type TextDataset } from '../../lib/data/dataset.js';
import { summarize } from '../../lib/data/summary.js';
import { summaryLines } from '../../lib/report/run-lines.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { bundled } from '../bundled.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { itMeasured } from './measured.js';

const BERT_MINI = fileURLToPath(new URL('../../assets/models/bert-mini', import.meta.url));
const CSV = 'text,label\na,x\nb,y\n';

type Content = string | Uint8Array;

describe('dataset files', () => {
  const directory = useTemporaryDirectory();

  async function write(files: Record<string, Content>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      const path = directory.path(name);
      await mkdir(path.slice(0, path.lastIndexOf('/')), { recursive: true });
      await writeFile(path, content);
    }
  }

  async function load(name: string, content: Content, options: DatasetOptions = {}): Promise<TextDataset> {
    await write({ [name]: content });
    return loadDataset(directory.path(name), options);
  }

  const parquet = (columnData: ColumnSource[], options: object = {}) =>
    new Uint8Array(parquetWriteBuffer({ columnData, ...options }));
  const texts = (data: string[]): ColumnSource => ({ name: 'text', data, type: 'STRING' });
  const classLabel = (names: string[]) => ({
    kvMetadata: [
      {
        key: 'huggingface',
        value: JSON.stringify({ info: { features: { label: { names, _type: 'ClassLabel' } } } }),
      },
    ],
  });

  describe('Parquet', () => {
    const three = ['a', '', 'é 😀'];

    it('is read by row groups, with integers, names or booleans as labels', async () => {
      for (const [type, data, labels] of [
        ['INT64', [2n, 0n, 2n], ['0', '2']],
        ['INT32', [2, 0, 2], ['0', '2']],
        ['STRING', ['sad', 'joy', 'sad'], ['joy', 'sad']],
        ['BOOLEAN', [true, false, true], ['false', 'true']],
      ] as const) {
        const columns: ColumnSource[] = [
          { name: 'id', data: [1, 2, 3], type: 'INT32' },
          texts(three),
          { name: 'label', data: [...data], type },
        ];
        const read = await load('train.parquet', parquet(columns, { rowGroupSize: 2 }));
        expect(read.train!.texts, type).to.deep.equal(three);
        expect(read.labels, type).to.deep.equal(labels);
        expect([...read.train!.labels], type).to.deep.equal([1, 0, 1]);
      }
    });

    it('names its classes where Hugging Face wrote it, and they find their place among other labels', async () => {
      const label: ColumnSource = { name: 'label', data: [1n, 2n], type: 'INT64' };
      const content = parquet([texts(['a', 'b']), label], classLabel(['sad', '2', '1']));
      expect(await load('a.parquet', content)).to.deep.include({ labels: ['sad', '2', '1'] });
      expect([...(await load('a.parquet', content)).train!.labels]).to.deep.equal([1, 2]);
      const other = await load('a.parquet', content, { labels: ['1', '2', 'sad'] });
      expect([...other.train!.labels]).to.deep.equal([1, 0]);
      const renamed = load('a.parquet', content, { labels: ['x', 'y', 'z'] });
      await expectRefusal(renamed, 'INVALID_DATA', 'Unknown label "2" in', 'row 1: expected one of x, y, z');
      const beyond = parquet([texts(['a']), { ...label, data: [3n] }], classLabel(['sad', 'glad']));
      await expectRefusal(load('a.parquet', beyond), 'INVALID_DATA', 'Unknown label "3"', 'a.parquet, row 1');
    });

    describe('names classes', () => {
      const NAMES = ['no', 'maybe', 'yes'];
      const labels = ['no', 'yes', 'maybe', 'yes'];
      const rows = labels.map((_, i) => `text ${i}`);
      /** The labels as integers that count `names`. */
      const numbered = (names: string[], metadata = classLabel(names)) => {
        const data = labels.map((label) => BigInt(names.indexOf(label)));
        return parquet([texts(rows), { name: 'label', data, type: 'INT64' }], metadata);
      };
      const csv = (values: readonly unknown[]) => `text,label\n${values.map((value) => `a,${value}\n`).join('')}`;
      const card = (names: string[]) =>
        `---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names: ${JSON.stringify(names)}\n---\n`;
      const TURNED = ['yes', 'no', 'maybe'];
      const numbers = labels.map((label) => NAMES.indexOf(label));

      const read = async (files: Record<string, Content>, options: DatasetOptions = {}, folder = false) => {
        await write(files);
        const [train, ...more] = Object.keys(files).map((name) => directory.path(name));
        const source = folder ? directory.path('') : { train: train!, ...(more.length > 0 && { test: more }) };
        const data = await loadDataset(source, options);
        const namesOf = (split: typeof data.train) => split && [...split.labels].map((label) => data.labels[label]);
        return { labels: data.labels, train: namesOf(data.train), test: namesOf(data.test), notes: data.notes };
      };

      it('for the rows of each file alone', async () => {
        const files = { 'a.parquet': numbered(NAMES), 'b.parquet': numbered(TURNED), 'c.csv': csv(labels) };
        const data = await read(files);
        expect(data).to.deep.include({ labels: NAMES, train: labels, test: [...labels, ...labels] });
        expect((await read({ 'c.csv': csv(labels), 'b.parquet': numbered(TURNED) })).test).to.deep.equal(labels);
        const one = await loadDataset({ train: ['b.parquet', 'a.parquet'].map((name) => directory.path(name)) });
        expect([...one.train!.labels].map((label) => one.labels[label])).to.deep.equal([...labels, ...labels]);
      });

      it('and what integers of other files count has to be said', async () => {
        const files = { 'a.parquet': numbered(TURNED), 'b.csv': csv(numbers) };
        await expectRefusal(
          read(files),
          'INVALID_DATA',
          'Unknown label "0" in',
          'b.csv, line 2',
          'in two ways',
          'count with labels, the names of 0, 1',
        );
        const said = await read(files, { labels: NAMES });
        expect(said).to.deep.include({ labels: NAMES, train: labels, test: labels });
        const both = ['b.csv', 'a.parquet'].map((name) => directory.path(name));
        const one = await loadDataset({ train: both }, { labels: NAMES });
        expect([...one.train!.labels].map((label) => NAMES[label])).to.deep.equal([...labels, ...labels]);
        await expectRefusal(
          read({ 'b.csv': csv(numbers), 'c.csv': csv(labels) }),
          'INVALID_DATA',
          'Unknown label "no"',
          'in two ways',
        );
      });

      it('unless the card names them, or they are only numbered', async () => {
        const files = { 'train.parquet': numbered(TURNED), 'test.parquet': numbered(TURNED), 'README.md': card(NAMES) };
        const byCard = await read(files, {}, true);
        const turned = labels.map((label) => NAMES[TURNED.indexOf(label)]);
        expect(byCard).to.deep.include({ labels: NAMES, train: turned, test: turned });
        expect(byCard.notes?.[0])
          .to.contain('train.parquet')
          .and.contain('yes, no, maybe')
          .and.contain('no, maybe, yes');
        const counted = await read({ ...files, 'README.md': card(['0', '1', '2']) }, {}, true);
        expect(counted).to.deep.include({ labels: TURNED, train: labels, notes: undefined });

        const plain = { 'a.parquet': numbered(NAMES, classLabel(['0', '1', '2', '3'])) };
        expect((await read(plain)).labels).to.deep.equal(['0', '1', '2', '3']);
        expect(await read(plain, { labels: NAMES })).to.deep.include({ labels: NAMES, train: labels });
      });
    });

    it('is refused where it is broken, or not what it is called', async () => {
      const label: ColumnSource = { name: 'label', data: ['x', 'y', 'x'], type: 'STRING' };
      const good = Buffer.from(parquet([texts(three), label]));
      const cases: [Content, string][] = [
        ['', 'it is empty'],
        [CSV, 'does not start with PAR1'],
        [good.subarray(0, good.length - 20), 'cut short'],
        [Buffer.concat([Buffer.from('PARE'), good.subarray(4)]), 'not encrypted'],
        [
          Buffer.concat([good.subarray(0, good.length - 8), Buffer.from([255, 255, 255, 127]), Buffer.from('PAR1')]),
          'metadata',
        ],
        [Buffer.concat([good.subarray(0, 4), Buffer.alloc(60, 0xff), good.subarray(64)]), 'cannot read'],
      ];
      for (const [content, pattern] of cases) {
        await expectRefusal(load('a.parquet', content), 'INVALID_DATA', 'a.parquet', pattern);
      }
      await expectRefusal(loadDataset({ train: directory.path('none.parquet') }), 'NOT_FOUND', 'none.parquet');
    });

    it('is refused with columns that cannot be used', async () => {
      const label: ColumnSource = { name: 'label', data: ['x'], type: 'STRING' };
      const number: ColumnSource = { name: 'text', data: [1.5], type: 'DOUBLE' };
      await expectRefusal(
        load('a.parquet', parquet([number, label])),
        'INVALID_DATA',
        'a string',
        'row 1',
        'found 1.5',
      );
      const bytes: ColumnSource = { name: 'text', data: [Uint8Array.of(0xff, 0xfe)], type: 'BYTE_ARRAY' };
      await expectRefusal(
        load('a.parquet', parquet([bytes, label])),
        'INVALID_DATA',
        'row 1',
        'bytes that are not UTF-8',
      );
      const time: ColumnSource = { name: 'label', data: [new Date(0)], type: 'TIMESTAMP' };
      await expectRefusal(load('a.parquet', parquet([texts(['a']), time])), 'INVALID_DATA', 'row 1', 'the time 1970');
      await expectRefusal(load('a.parquet', parquet([texts(['a'])])), 'NOT_FOUND', 'a label column', '"text"');
      const holes: ColumnSource = { name: 'text', data: ['a', null], type: 'STRING', nullable: true };
      const two: ColumnSource = { name: 'label', data: ['x', 'y'], type: 'STRING' };
      await expectRefusal(load('a.parquet', parquet([holes, two])), 'INVALID_DATA', 'a string for text', 'row 2');
      const list = {
        columnData: [
          { name: 'text', data: [['a']] },
          { name: 'label', data: ['x'] },
        ],
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'text', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
          { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
          { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          { name: 'label', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        ],
      } as unknown as Parameters<typeof parquetWriteBuffer>[0];
      await expectRefusal(load('a.parquet', new Uint8Array(parquetWriteBuffer(list))), 'INVALID_DATA', 'found ["a"]');
    });
  });

  describe('gzip', () => {
    it('is unpacked, whatever text is in it', async () => {
      for (const [name, content] of [
        ['train.csv.gz', CSV],
        ['train.tsv.gz', CSV.replaceAll(',', '\t')],
        ['train.txt.gz', CSV],
        ['train.jsonl.gz', '{"text":"a","label":"x"}\n{"text":"b","label":"y"}'],
        ['TRAIN.NDJSON.GZ', '{"text":"a","label":"x"}\n{"text":"b","label":"y"}'],
      ] as const) {
        expect((await load(name, gzipSync(content))).train!.texts, name).to.deep.equal(['a', 'b']);
      }
    });

    it('is refused where it is cut short, is none, or holds no UTF-8', async () => {
      const packed = gzipSync(CSV + 'c,x\n'.repeat(5000));
      await expectRefusal(load('a.csv.gz', packed.subarray(0, packed.length - 9)), 'INVALID_DATA', 'cut short');
      await expectRefusal(load('a.csv.gz', CSV), 'INVALID_DATA', 'gzip in', 'a.csv.gz');
      const latin1 = Buffer.from('text,label\na,x\n\xfc,y\n', 'latin1');
      await expectRefusal(load('a.csv.gz', gzipSync(latin1)), 'INVALID_DATA', 'byte 15 (line 3)');
      await expectRefusal(loadDataset({ train: directory.path('no.csv.gz') }), 'NOT_FOUND', 'no.csv.gz');
    });
  });

  describe('JSON', () => {
    it('is an array of objects, alone or as data, or a line each', async () => {
      const objects = [
        { text: 'a "}]" \\', label: 1, more: { list: [{}, '['] } },
        { text: 'b', label: 0 },
      ];
      for (const content of [
        JSON.stringify(objects),
        ` \n${JSON.stringify(objects, null, 2)}\n`,
        JSON.stringify({ version: '1', data: objects }),
        objects.map((object) => JSON.stringify(object)).join('\n'),
      ]) {
        const { train } = await load('a.json', content);
        expect(train!.texts, content).to.deep.equal([objects[0]!.text, 'b']);
        expect([...train!.labels]).to.deep.equal([1, 0]);
      }
    });

    it('is read across the pieces of a file', async () => {
      const objects = Array.from({ length: 3000 }, (_, i) => ({ text: `${i} {"é`.repeat(10), label: i % 2 }));
      const { train } = await load('a.json', JSON.stringify(objects));
      expect(train!.texts).to.deep.equal(objects.map(({ text }) => text));
    });

    it('is JSON lines where the first line is an object of its own, whatever its first column', async () => {
      const lines = ['{"data":[{"text":"inner","label":"a"}],"text":"outer","label":"b"}', '{"text":"o2","label":"a"}'];
      for (const content of [lines.join('\n'), `\n${lines.join('\r\n\r\n')}\n`]) {
        expect((await load('a.json', content)).train!.texts).to.deep.equal(['outer', 'o2']);
      }
      const data = '{"data":[{"text":"a","label":1},\n{"text":"b","label":0}]\n,"version": 1.0}\n\n';
      expect((await load('a.json', data)).train!.texts).to.deep.equal(['a', 'b']);
    });

    it('is refused where anything but white space follows its array', async () => {
      const row = '{"text":"a","label":1}';
      const array = `[${row}]`;
      expect((await load('a.json', `${array}${'\n '.repeat(50_000)}`)).train!.texts).to.deep.equal(['a']);
      for (const tail of ['garbage', row, `,${row}`, array, ']', '}', '[]']) {
        const refusal = load('a.json', `${array}\n${' '.repeat(20_000)}${tail}`);
        await expectRefusal(refusal, 'INVALID_DATA', 'a.json', 'line 2', 'nothing after the array', `found ${tail}`);
      }
      for (const tail of ['}x', `}${row}`, ',"more":5', ']']) {
        const refusal = load('a.json', `{"data":${array}\n${tail}`);
        await expectRefusal(refusal, 'INVALID_DATA', 'a.json', 'line 2', 'the end of the object', `found ${tail}`);
      }
      await expectRefusal(load('a.json', `{"data":${array}`), 'INVALID_DATA', 'a closing }');
    });

    it('is the one array of objects in an object, with a note on what else that has', async () => {
      const row = '{"text":"a","label":1}';
      for (const [content, names] of [
        [`{"count": 1, "next": null, "meta": {"rows": [1]}, "rows": [${row}]}`, '"count", "next", "meta"'],
        [`{"label_names": ["x", "}y"],\n"items":\n[${row}]\n, "more": {"a": "]"}\n}\n`, '"label_names", "more"'],
        [`{"version": "2", "data": [${row}], "text": "${'x'.repeat(100_000)}"}`, '"version", "text"'],
      ] as const) {
        const { train, notes } = await load('a.json', content);
        expect(train!.texts, content.slice(0, 60)).to.deep.equal(['a']);
        expect(notes!.join()).to.contain(`${names} beside it are left out`);
      }
      for (const content of [
        `{"train": [${row}], "test": [${row}]}`,
        `{"train": [${row}], "n": 5, "test": [${row}]}`,
      ]) {
        await expectRefusal(load('a.json', content), 'INVALID_DATA', 'one array of objects', '"train" and "test"');
      }
    });

    it('is refused where its objects are not separated by one comma each', async () => {
      const row = '{"text":"a","label":1}';
      for (const rows of [`${row}${row}`, `${row} ${row}`]) {
        await expectRefusal(load('a.json', `[${rows}]`), 'INVALID_DATA', 'line 1', 'a comma or a closing ]');
      }
      for (const rows of [`,${row}`, `${row},`, `${row},,${row}`]) {
        await expectRefusal(load('a.json', `[${rows}]`), 'INVALID_DATA', 'line 1', 'a JSON object');
      }
    });

    it('is refused with its line', async () => {
      await expectRefusal(load('a.json', '[\n{"text":"a","label":1},\n5]'), 'INVALID_DATA', 'line 3', 'found 5');
      await expectRefusal(load('a.json', '[\n{"text":"a","label":1},\n'), 'INVALID_DATA', 'line 3', 'closing ]');
      await expectRefusal(load('a.json', '[\n\n{"text":"a" "label":1}]'), 'INVALID_DATA', 'line 3', 'broken JSON');
      await expectRefusal(load('a.json', '[]'), 'INVALID_DATA', 'at least one row');
    });
  });

  describe('several files a split', () => {
    it('become one split', async () => {
      await write({ 'a.csv': CSV, 'b.jsonl': '{"text":"c","label":"x"}', 'c.csv': CSV });
      const { train } = await loadDataset({ train: ['a.csv', 'b.jsonl'].map((name) => directory.path(name)) });
      expect(train!.texts).to.deep.equal(['a', 'b', 'c']);
      expect([...train!.labels]).to.deep.equal([0, 1, 0]);
    });

    it('are refused where they do not fit each other', async () => {
      await write({
        'a.csv': CSV,
        'b.csv': 'text,class\nc,x\n',
        'c.csv': 'text,label\nc,1\n',
        'd.csv': 'text,label\n',
        'e.csv': 'text,label\nd,z\n\n',
      });
      const both = (...names: string[]) => loadDataset({ train: names.map((name) => directory.path(name)) });
      await expectRefusal(both('a.csv', 'b.csv'), 'INVALID_DATA', 'the column label in', 'b.csv', '"class"');
      await expectRefusal(both('a.csv', 'c.csv'), 'INVALID_DATA', 'names as labels', '"1" in', 'c.csv, line 2');
      await expectRefusal(both('a.csv', 'd.csv'), 'INVALID_DATA', 'at least one row', 'd.csv');
      await expectRefusal(both('a.csv', 'a.csv'), 'INVALID_DATA', 'found it twice');
      await expectRefusal(loadDataset({ train: [] }), 'INVALID_OPTION', 'source.train');
    });
  });

  describe('rows without labels', () => {
    it('make a test split of a folder fall away, with a note', async () => {
      const labels: ColumnSource = { name: 'label', data: [-1n, -1n], type: 'INT64' };
      for (const [name, test] of [
        ['test.parquet', parquet([texts(['a', 'b']), labels])],
        ['test.csv', 'text,label\na,\nb,\n'],
        ['test.csv', 'id,text\n1,a\n'],
        ['test.jsonl', '{"text":"a","label":null}'],
      ] as const) {
        await write({ 'train.csv': CSV, [name]: test });
        const data = await loadDataset(directory.path());
        expect(data.test, name).to.equal(undefined);
        expect(data.notes!.join(), name).to.include('no labels').and.include(name);
        await rm(directory.path(name));
      }
    });

    it('are refused in a file that was named, or beside labelled ones', async () => {
      await write({ 'train.csv': CSV, 'test.csv': 'text,label\na,-1\n' });
      const [train, test] = [directory.path('train.csv'), directory.path('test.csv')];
      await expectRefusal(loadDataset({ train, test }), 'INVALID_DATA', 'Expected labels in', 'test.csv');
      await expectRefusal(
        load('a.jsonl', '{"text":"a","label":1}\n{"text":"b","label":null}'),
        'INVALID_DATA',
        'line 2',
      );
    });
  });

  describe('pairs', () => {
    it('are found by their usual columns where there is no other text, or named', async () => {
      for (const header of ['premise,hypothesis', 'sentence1,sentence2', 'question,sentence', 'Text1,Text2']) {
        const { train } = await load('a.csv', `${header},label\na,b,x\n`);
        expect([train!.texts, train!.pairs], header).to.deep.equal([['a'], ['b']]);
      }
      const single = await load('a.csv', 'text,premise,hypothesis,label\na,b,c,x\n');
      expect(single.train!.pairs).to.equal(undefined);
      const named = await load('a.csv', 'title,text,label\na,b,x\n', { textColumn: 'title', textPairColumn: 'text' });
      expect([named.train!.texts, named.train!.pairs]).to.deep.equal([['a'], ['b']]);
      await expectRefusal(
        load('a.csv', CSV, { textPairColumn: 'txt' }),
        'NOT_FOUND',
        'a column txt',
        'did you mean text?',
      );
    });

    it('come from every kind of file', async () => {
      const row = { premise: 'a', hypothesis: 'b', label: 'x' };
      const column = (name: string, value: string): ColumnSource => ({ name, data: [value], type: 'STRING' });
      for (const [name, content] of [
        ['a.jsonl', JSON.stringify(row)],
        ['a.json', JSON.stringify([row])],
        ['a.parquet', parquet(Object.entries(row).map(([key, value]) => column(key, value)))],
      ] as const) {
        expect((await load(name, content)).train!.pairs, name).to.deep.equal(['b']);
      }
      const memory = datasetFromRows({ train: [{ text: 'a', pair: 'b', label: 'x' }] });
      expect(memory.train!.pairs).to.deep.equal(['b']);
      const mixed = [
        { text: 'a', pair: 'b', label: 'x' },
        { text: 'a', label: 'x' },
      ];
      await expectRefusal(() => datasetFromRows({ train: mixed }), 'INVALID_DATA', '{ text, pair, label }', 'index 1');
    });

    it('are refused beside single texts', async () => {
      await write({ 'train.csv': 'premise,hypothesis,label\na,b,x\n', 'test.csv': CSV });
      await expectRefusal(loadDataset(directory.path()), 'INVALID_DATA', 'pairs of texts in', 'test.csv');
    });
  });

  describe('splits by fraction', () => {
    const rows = (counts: Record<string, number>) =>
      Object.entries(counts).flatMap(([label, count]) =>
        Array.from({ length: count }, (_, i) => ({ text: `${label}${i}`, label })),
      );
    const count = (labels: Int32Array | Float32Array, label: number) =>
      [...labels].filter((each) => each === label).length;

    it('give every class its share, the same for the same seed, and lose no row', () => {
      const train = rows({ a: 100, b: 50, c: 2, d: 1 });
      const make = (seed: number) => datasetFromRows({ train }, { split: { validation: 0.1, test: 0.2, seed } });
      const data = make(1);
      const splits = [data.train!, data.validation!, data.test!];
      expect(splits.map(({ texts }) => texts.length)).to.deep.equal([107, 15, 31]);
      expect(splits.flatMap(({ texts }) => [...texts]).sort()).to.deep.equal(train.map(({ text }) => text).sort());
      expect(count(data.validation!.labels, 0)).to.be.within(9, 11);
      expect(count(data.test!.labels, 1)).to.be.within(9, 11);
      expect([0, 1, 2, 3].map((label) => count(data.train!.labels, label) > 0)).to.not.include(false);
      for (const { texts, labels } of splits) {
        texts.forEach((text, i) => {
          expect(text[0]).to.equal('abcd'[labels[i]!]);
        });
      }
      expect(make(1)).to.deep.equal(data);
      expect(make(2).test!.texts).to.not.deep.equal(data.test!.texts);
    });

    it('draw from all rows alike where they are not stratified, and keep pairs together', () => {
      const train = rows({ a: 40, b: 4 }).map((row) => ({ ...row, pair: `${row.text}!` }));
      const data = datasetFromRows({ train }, { split: { validation: 0.5, stratify: false } });
      expect(data.validation!.texts).to.have.length(22);
      expect(data.validation!.pairs).to.deep.equal(data.validation!.texts.map((text) => `${text}!`));
    });

    it('are refused where they make no sense', async () => {
      const train = rows({ a: 3, b: 3 });
      for (const split of [
        {},
        { validation: 0 },
        { test: 1 },
        { validation: 0.5, test: 0.5 },
        { seed: 1 },
        { val: 0.1 },
      ]) {
        await expectRefusal(() => datasetFromRows({ train }, { split }), 'INVALID_OPTION');
      }
      const twice = () => datasetFromRows({ train, test: train }, { split: { test: 0.5 } });
      await expectRefusal(twice, 'INVALID_OPTION', 'split.test');
      await expectRefusal(() => datasetFromRows({ train }, { split: { test: 0.01 } }), 'INVALID_DATA', 'gives none');
      await expectRefusal(() => datasetFromRows({ test: train }, { split: { validation: 0.1 } }), 'NOT_FOUND');
    });
  });

  describe('summary', () => {
    it('counts rows, labels, tokens and what training and test share', async () => {
      const data = datasetFromRows({
        train: [
          { text: 'one two three', label: 'x' },
          { text: 'one', label: 'y' },
          { text: 'one', label: 'y' },
        ],
        test: [
          { text: 'one', label: 'x' },
          { text: 'two', label: 'x' },
        ],
      });
      const summary = await summarize(data, { tokenizer: await Tokenizer.load(BERT_MINI), maxLength: 2 });
      expect(summary.splits.train!.labels).to.deep.equal([
        { label: 'x', count: 1, share: 1 / 3 },
        { label: 'y', count: 2, share: 2 / 3 },
      ]);
      const { cut, ...lengths } = summary.splits.train!.tokens!;
      expect(lengths).to.deep.equal({ min: 1, median: 1, p95: 3, max: 3, maxLength: 2, sample: 3 });
      expect(cut).to.be.closeTo(1 / 3, 1e-9);
      const lines = summaryLines(summary).join('\n');
      expect(lines)
        .to.include('train: 3 texts; x 1 (33.33 %), y 2 (66.67 %)')
        .and.include('33.3 % of texts are longer than 2');
      expect(lines).to.include('1 of 2 test texts is a training text too');
    });
  });

  itMeasured('of 50,000 rows take little more memory than their texts', async () => {
    const program = await bundled('dataset-memory.ts', import.meta.url);
    const run = async (...args: string[]) => (await promisify(execFile)(process.execPath, [program, ...args])).stdout;
    for (const name of ['rows.csv', 'rows.jsonl.gz', 'rows.parquet']) {
      const path = directory.path(name);
      await run('write', path, '50000');
      const { rows, bytes, grown } = JSON.parse(await run('read', path)) as Record<string, number>;
      expect(rows).to.equal(50_000);
      expect(grown, `bytes that ${name} took, of ${bytes} of texts`).to.be.below(2.5 * bytes! + 64 * 2 ** 20);
      await rm(path);
    }
  });
});
