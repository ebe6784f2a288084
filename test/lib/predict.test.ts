import { readdir, readFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { type AnswerTexts, answered, grouped, ofOneKind } from '../../lib/cli/texts/answers.js';
import { type ColumnOptions, formatOf, PREDICTION_FORMATS } from '../../lib/cli/texts/formats.js';
import { expectOutputFile, writeOutputFile } from '../../lib/cli/texts/output.js';
import { type FileInputOptions, fileInputs, jsonLines } from '../../lib/cli/texts/readers.js';
import { BertuneError } from '../../lib/errors.js';
import { jsonMembers } from '../../lib/files/json.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { TextInput } from '../../lib/model/texts.js';
import type { ClassPrediction } from '../../lib/tasks/index.js';
import type { Prediction } from '../../lib/tasks/prediction.js';
import { ranked } from '../../lib/tasks/uncertainty.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { LABELS, writeTinyCheckpoint } from './tiny-model.js';

const COLUMNS: ColumnOptions = { scores: false, text: true, prefix: 'predicted_' };
const SCORES = { no: 0.25, maybe: 0.5, yes: 0.25 };

/** What a model makes of every text. */
const always: AnswerTexts<Prediction> = async (texts) =>
  texts.map((): Prediction => ({ label: 'maybe', score: 0.5, scores: SCORES }));

/** The same with the likeliest labels. */
const withTop =
  (predict: AnswerTexts<Prediction>, count: number): AnswerTexts<Prediction> =>
  async (texts) =>
    (await predict(texts)).map((each) => ({ ...each, top: ranked(each as ClassPrediction, count) }) as Prediction);

describe('predictions for files', () => {
  const directory = useTemporaryDirectory();

  /** Writes a file's predictions to another. */
  async function predictFile(
    input: string,
    output: string,
    options: {
      columns?: Partial<ColumnOptions>;
      reading?: FileInputOptions;
      predict?: AnswerTexts<Prediction>;
      group?: number;
    } = {},
  ): Promise<string> {
    const { columns, reading = {}, predict = always, group = 2 } = options;
    const format = formatOf(output, { ...COLUMNS, ...columns }, PREDICTION_FORMATS);
    const rows = answered(grouped(fileInputs(directory.path(input), reading), group), predict);
    const pieces = (async function* () {
      for await (const some of rows) yield format.lines(some);
    })();
    await writeOutputFile(directory.path(output), pieces);
    return readFile(directory.path(output), 'utf8');
  }

  const objects = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  const CSV = 'id;text;label\r\n007;"one; two";joy\r\n8;"two\nlines ""here""";\r\n9;;fear\r\n';

  it('are labels with a bar between them, or values, by the task', async () => {
    await writeFile(directory.path('in.csv'), 'text\none\ntwo\n');
    const answers: Prediction[] = [
      { labels: ['joy', 'fear'], scores: { joy: 0.75, anger: 0.25, fear: 0.625 } },
      { labels: [], scores: { joy: 0.125, anger: 0.25, fear: 0 } },
    ];
    const labels: AnswerTexts<Prediction> = async (texts) => texts.map((text) => answers[Number(text === 'two')]!);
    expect(await predictFile('in.csv', 'out.csv', { predict: labels })).to.equal(
      'text,predicted_labels\none,joy|fear\ntwo,\n',
    );
    expect(await predictFile('in.csv', 'out.tsv', { predict: withTop(labels, 1), columns: { scores: true } })).to.equal(
      'text\tpredicted_labels\tpredicted_label\tpredicted_score\tpredicted_scores.joy\tpredicted_scores.anger\tpredicted_scores.fear\n' +
        'one\tjoy|fear\tjoy\t0.75\t0.75\t0.25\t0.625\ntwo\t\tanger\t0.25\t0.125\t0.25\t0\n',
    );
    expect(objects(await predictFile('in.csv', 'out.jsonl', { predict: withTop(labels, 1) }))[0]).to.deep.equal({
      text: 'one',
      predicted_labels: ['joy', 'fear'],
      predicted_top: [{ label: 'joy', score: 0.75 }],
    });
    const value: AnswerTexts<Prediction> = async (texts) => texts.map((): Prediction => ({ value: -1.5 }));
    expect(await predictFile('in.csv', 'one.csv', { predict: value })).to.equal(
      'text,predicted_value\none,-1.5\ntwo,-1.5\n',
    );
    const values: AnswerTexts<Prediction> = async (texts) =>
      texts.map((): Prediction => ({ values: { mood: 1, 'a b': 2 } }));
    expect(await predictFile('in.csv', 'two.csv', { predict: values })).to.equal(
      'text,predicted_values.mood,predicted_values.a b\none,1,2\ntwo,1,2\n',
    );
    expect(objects(await predictFile('in.csv', 'two.jsonl', { predict: values }))[1]).to.deep.equal({
      text: 'two',
      predicted_values: { mood: 1, 'a b': 2 },
    });
  });

  it('keep the columns of a delimited file, and quote as it needs', async () => {
    await writeFile(directory.path('in.csv'), CSV);
    expect(await predictFile('in.csv', 'out.csv')).to.equal(
      'id,text,label,predicted_label,predicted_score\n' +
        '007,"one; two",joy,maybe,0.5\n8,"two\nlines ""here""",,maybe,0.5\n9,,fear,maybe,0.5\n',
    );
    const rows = parse(await predictFile('in.csv', 'out.tsv'), { delimiter: '\t', columns: true }) as object[];
    expect(rows[1]).to.deep.equal({
      ...{ id: '8', text: 'two\nlines "here"', label: '' },
      ...{ predicted_label: 'maybe', predicted_score: '0.5' },
    });
    expect(objects(await predictFile('in.csv', 'out.jsonl'))[0]).to.deep.equal({
      ...{ id: '007', text: 'one; two', label: 'joy', predicted_label: 'maybe', predicted_score: 0.5 },
    });
  });

  it("are the model's own, for every kind of file, whatever the groups", async () => {
    await writeTinyCheckpoint(directory.path('model'));
    await using model = await TextClassifier.load(directory.path('model'), { device: 'cpu' });
    const texts = ['good day', 'never bad', '', 'perhaps we went home with a friend'];
    const expected = (await model.predict(texts)).map(({ label }) => label);
    const lines = texts.map((text) => `${JSON.stringify({ text })}\n`).join('');
    const csv = `text\tn\n${texts.map((text, i) => `${text}\t${i}\n`).join('')}`;
    const columnData = [{ name: 'text', data: texts, type: 'STRING' as const }];
    const files: Record<string, string | Uint8Array> = {
      'in.csv': csv,
      'in.tsv.gz': gzipSync(csv),
      'in.txt': csv,
      'in.jsonl': lines,
      'in.ndjson.gz': gzipSync(lines),
      'in.json': JSON.stringify(texts.map((text) => ({ text }))),
      'in.parquet': new Uint8Array(parquetWriteBuffer({ columnData })),
    };
    for (const [name, content] of Object.entries(files)) {
      await writeFile(directory.path(name), content);
      const shares: number[] = [];
      const written = await predictFile(name, 'out.jsonl', {
        predict: (batch) => model.predict(batch),
        group: 3,
        reading: { onProgress: (share) => shares.push(share) },
      });
      expect(
        objects(written).map((row) => row.predicted_label),
        name,
      ).to.deep.equal(expected);
      expect(
        objects(written).map((row) => row.text),
        name,
      ).to.deep.equal(texts);
      expect(shares.at(-1), name).to.equal(1);
    }
  });

  it('leave JSON as it is written: large numbers, order, what Python writes', async () => {
    const row = '{"text": "a\\u202eb", "2": 1.0, "1": 12345678901234567890, "deep": {"x": [1, 2.50]}}';
    await writeFile(directory.path('in.json'), `[${row},\n {"1": NaN,\n "text": "b", "deep": [-Infinity, "NaN"]}]`);
    const [first, second] = (await predictFile('in.json', 'out.jsonl')).split('\n');
    expect(first).to.equal(
      '{"text":"a\\u202eb","2":1.0,"1":12345678901234567890,"deep":{"x": [1, 2.50]},' +
        '"predicted_label":"maybe","predicted_score":0.5}',
    );
    expect(JSON.parse(second!)).to.deep.include({ 1: null, text: 'b', deep: [null, 'NaN'] });
    const [header, ...rows] = parse(await predictFile('in.json', 'out.csv')) as string[][];
    expect(header).to.deep.equal(['text', '2', '1', 'deep', 'predicted_label', 'predicted_score']);
    expect(rows[0]!.slice(1, 4)).to.deep.equal(['1.0', '12345678901234567890', '{"x": [1, 2.50]}']);
    expect(rows[1]!.slice(0, 3)).to.deep.equal(['b', '', 'NaN']);
  });

  it('write what Parquet has besides', async () => {
    const columnData = [
      { name: 'text', data: ['a'], type: 'STRING' as const },
      { name: 'id', data: [9007199254740993n], type: 'INT64' as const },
      { name: 'at', data: [new Date('2024-01-02T03:04:05Z')], type: 'TIMESTAMP' as const },
      { name: 'none', data: [null], type: 'STRING' as const, nullable: true },
    ];
    await writeFile(directory.path('in.parquet'), new Uint8Array(parquetWriteBuffer({ columnData })));
    expect(await predictFile('in.parquet', 'out.jsonl')).to.contain(
      '"id":9007199254740993,"at":"2024-01-02T03:04:05.000Z","none":null',
    );
    expect(await predictFile('in.parquet', 'out.csv')).to.contain('a,9007199254740993,2024-01-02T03:04:05.000Z,,maybe');
  });

  it('have the best labels, every score, other names or no texts where asked', async () => {
    await writeFile(directory.path('in.csv'), 'text,n\nfine,1\n');
    const asked = { columns: { scores: true, text: false, prefix: 'our_' }, predict: withTop(always, 2) };
    expect(objects(await predictFile('in.csv', 'out.jsonl', asked))).to.deep.equal([
      {
        n: '1',
        our_label: 'maybe',
        our_score: 0.5,
        our_top: [
          { label: 'maybe', score: 0.5 },
          { label: 'no', score: 0.25 },
        ],
        our_scores: SCORES,
      },
    ]);
    expect(await predictFile('in.csv', 'out.csv', asked)).to.equal(
      'n,our_label,our_score,our_label_2,our_score_2,our_scores.no,our_scores.maybe,our_scores.yes\n' +
        '1,maybe,0.5,no,0.25,0.25,0.5,0.25\n',
    );
    expect(LABELS).to.deep.equal(Object.keys(SCORES));
  });

  it('refuse columns that would be lost', async () => {
    await writeFile(directory.path('taken.csv'), 'text,predicted_label\na,b\n');
    for (const output of ['out.csv', 'out.jsonl']) {
      await expectRefusal(predictFile('taken.csv', output), 'INVALID_DATA', '"predicted_label"', 'line 2', '--prefix');
    }
    await writeFile(directory.path('twice.csv'), 'text,a,a\nx,1,2\n');
    await expectRefusal(predictFile('twice.csv', 'out.jsonl'), 'INVALID_DATA', '"a" occurs twice');
    expect(await predictFile('twice.csv', 'out.csv')).to.contain('text,a,a,predicted_label');
    await writeFile(directory.path('more.jsonl'), '{"text":"a","n":1}\n{"text":"b"}\n{"text":"c","m":2}\n');
    await expectRefusal(predictFile('more.jsonl', 'new.csv'), 'INVALID_DATA', 'line 3', '"m"', 'FILE.jsonl');
    expect(await predictFile('more.jsonl', 'out.jsonl')).to.contain('"m":2');
  });

  it('name the line that fails, and leave nothing half-written', async () => {
    await writeFile(directory.path('in.csv'), 'text\nfine\ngood\nbad\nfine\n');
    await writeFile(directory.path('out.csv'), 'old');
    const predict: AnswerTexts<Prediction> = async (texts) => {
      const at = texts.indexOf('bad');
      if (at < 0) return always(texts);
      throw new BertuneError('NON_FINITE_LOGITS', `The model's scores for texts[${at}] are not finite`);
    };
    const failing = predictFile('in.csv', 'out.csv', { predict, group: 3 });
    await expectRefusal(failing, 'NON_FINITE_LOGITS', 'in.csv, line 4: The model');
    await writeFile(directory.path('cut.csv'), 'text,n\na,1\nb\n');
    await expectRefusal(predictFile('cut.csv', 'new.csv', { group: 1 }), 'INVALID_DATA', 'line 3');
    await writeFile(directory.path('none.csv'), 'text,n\n');
    await expectRefusal(predictFile('none.csv', 'new.csv'), 'INVALID_DATA', 'at least one row');
    expect(await readFile(directory.path('out.csv'), 'utf8')).to.equal('old');
    expect((await readdir(directory.path())).sort()).to.deep.equal(['cut.csv', 'in.csv', 'none.csv', 'out.csv']);
  });

  it('leave rows out where asked', async () => {
    await writeFile(directory.path('in.jsonl'), '{"text":"a"}\n{"text":null}\n[1]\n{"text":"b"}\n');
    await expectRefusal(predictFile('in.jsonl', 'out.jsonl'), 'INVALID_DATA', /line [23]/);
    const left: [number, string][] = [];
    const written = await predictFile('in.jsonl', 'out.jsonl', {
      reading: { onInvalid: ({ place, reason }) => left.push([place, reason]) },
    });
    expect(objects(written).map(({ text }) => text)).to.deep.equal(['a', 'b']);
    // The reader is ahead of those who look at the texts.
    expect(left).to.have.deep.members([
      [2, 'without a text'],
      [3, 'without a JSON object'],
    ]);
  });

  it('go to files of known kinds, and over none that is there', async () => {
    expect(() => formatOf('out.xlsx', COLUMNS, PREDICTION_FORMATS)).to.throw(
      BertuneError,
      'ends in .csv, .tsv, .jsonl, .ndjson',
    );
    await writeFile(directory.path('out.csv'), '');
    const path = directory.path('out.csv');
    await expectRefusal(expectOutputFile(path, { overwrite: false }), 'OUTPUT_REFUSED', '--overwrite');
    await expectOutputFile(path, { overwrite: true });
    await expectRefusal(expectOutputFile(directory.path(), { overwrite: true }), 'OUTPUT_REFUSED', 'a directory');
  });

  it('ask for no more rows than are written', async () => {
    let asked = 0;
    const endless = (async function* () {
      for (;;) {
        asked += 1;
        yield [{ place: `line ${asked}`, text: 'a' }];
      }
    })();
    const rows = answered(grouped(endless, 10), always);
    await rows.next();
    expect(asked).to.equal(10);
    await rows.next();
    expect(asked).to.equal(20);
  });
});

describe('lines of JSON', () => {
  const read = async (lines: string[], options: Parameters<typeof jsonLines>[1] = {}) => {
    const inputs: object[] = [];
    const source = (async function* () {
      yield lines;
    })();
    for await (const some of jsonLines(source, options)) {
      inputs.push(...some.map(({ text, pair, row }) => ({ text, pair, columns: row?.record.columns })));
    }
    return inputs;
  };

  it('are texts, pairs or objects', async () => {
    expect(await read(['"a\\nb"', '', ' ["a", "b"]', '{"id": 1, "text": "x", "text_pair": "y"}'])).to.deep.equal([
      { text: 'a\nb', pair: undefined, columns: undefined },
      { text: 'a', pair: 'b', columns: undefined },
      { text: 'x', pair: 'y', columns: ['id', 'text', 'text_pair'] },
    ]);
    expect(await read(['{"a": {"b": "x"}, "c": "y"}'], { textColumn: 'a.b', textPairColumn: 'c' })).to.deep.equal([
      { text: 'x', pair: 'y', columns: ['a', 'c'] },
    ]);
  });

  it('are named where they are none', async () => {
    for (const line of ['5', '["a"]', '["a", 1]', '[["a", "b"]]', '"a', '"\\ud800"', '{"text": 1}']) {
      await expectRefusal(read(['"fine"', line]), 'INVALID_DATA', 'standard input, line 2');
    }
    await expectRefusal(read(['{"a": "x"}']), 'NOT_FOUND', 'text column');
    const left: number[] = [];
    const kept = await read(['["a"]', '"b"', '{', '7'], { onInvalid: ({ place }) => left.push(place) });
    expect(kept).to.have.lengthOf(1);
    expect(left).to.deep.equal([1, 3, 4]);
  });
});

describe('ofOneKind', () => {
  const advice = { pairs: 'GIVE BOTH', single: 'GIVE ONE' };
  const check = async (texts: TextInput[], trained: boolean | null) => {
    const inputs = (async function* () {
      for (const [i, input] of texts.entries()) {
        const [text, pair] = typeof input === 'string' ? [input] : input;
        yield [{ place: `line ${i + 1}`, text, pair }];
      }
    })();
    for await (const _ of ofOneKind(inputs, trained, advice));
  };

  it('lets the kind pass that was trained on, or the first', async () => {
    await check(['a', 'b'], null);
    await check([['a', 'b']], true);
    await check([], true);
    await expectRefusal(check(['a', 'b'], true), 'INVALID_DATA', 'single text in line 1', 'GIVE BOTH');
    await expectRefusal(check([['a', 'b']], false), 'INVALID_DATA', 'found a pair in line 1', 'GIVE ONE');
    await expectRefusal(check(['a', ['a', 'b']], null), 'INVALID_DATA', 'as in line 1', 'a pair in line 2');
  });
});

describe('jsonMembers', () => {
  it('are keys and values as written', () => {
    expect(jsonMembers(' { "a" : [1, {"b": "}"}] ,"b\\"": "x,y" , "":{}}')).to.deep.equal([
      ['a', '[1, {"b": "}"}]'],
      ['b"', '"x,y"'],
      ['', '{}'],
    ]);
    expect(jsonMembers('{}')).to.deep.equal([]);
  });
});
