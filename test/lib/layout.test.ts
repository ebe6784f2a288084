import { expect } from 'chai';
import { cardClassNames, readCard } from '../../lib/data/card.js';
import { dataFiles } from '../../lib/data/layout.js';
import { expectRefusal } from './files.js';

const card = (yaml: string) => readCard(`---\n${yaml}\n---\n# A data set\n`);

const EMOTION = card(`
language: [en]
dataset_info:
- config_name: split
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': sadness
          '1': joy
          '10': surprise
          '2': love
- config_name: unsplit
  features: [{name: label, dtype: {class_label: {names: [a, b]}}}]
configs:
- config_name: split
  data_files:
  - split: train
    path: split/train-*
  - split: validation
    path: split/validation-*
  - split: test
    path: split/test-*
  default: true
- config_name: unsplit
  data_files:
  - split: train
    path: unsplit/train-*`);

const EMOTION_PATHS = [
  '.gitattributes',
  'README.md',
  'split/test-00000-of-00001.parquet',
  'split/train-00000-of-00001.parquet',
  'split/validation-00000-of-00001.parquet',
  'unsplit/train-00000-of-00001.parquet',
];

describe('layout of a data set', () => {
  for (const [what, paths, expected] of [
    [
      'files of the splits',
      ['train.csv', 'dev.csv', 'test.csv', 'notes.md'],
      [['train.csv'], ['dev.csv'], ['test.csv']],
    ],
    ['any case and gzip', ['TRAIN.TSV.GZ', 'Valid.tsv'], [['TRAIN.TSV.GZ'], ['Valid.tsv'], []]],
    [
      'shards',
      ['data/train-00001-of-00002.parquet', 'data/train-00000-of-00002.parquet', 'data/test-00000-of-00001.parquet'],
      [
        ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
        [],
        ['data/test-00000-of-00001.parquet'],
      ],
    ],
    [
      'a folder a split',
      ['train/b.csv', 'train/a.csv', 'test/a.csv'],
      [['train/a.csv', 'train/b.csv'], [], ['test/a.csv']],
    ],
    ['a word among others', ['my_train_set.csv', 'my_eval.csv'], [['my_train_set.csv'], [], ['my_eval.csv']]],
    ['no names at all', ['posts.jsonl', 'LICENSE.txt', '.cache/train.csv'], [['posts.jsonl'], [], []]],
    ['words that only contain one', ['constraint.csv', 'contest.csv'], [['constraint.csv', 'contest.csv'], [], []]],
    ['nothing to read', ['README.md', 'dataset_infos.json', 'train.pdf'], [[], [], []]],
  ] as const) {
    it(`is found by names: ${what}`, () => {
      const [train, validation, test] = expected;
      expect(dataFiles(paths, null)).to.deep.equal({ train, validation, test });
    });
  }

  it('is refused where files of a split do not belong together', async () => {
    await expectRefusal(
      () => dataFiles(['val.csv', 'dev.csv'], null),
      'INVALID_DATA',
      'one validation file',
      'dev.csv and val.csv',
    );
    await expectRefusal(() => dataFiles(['train.csv', 'train.csv.gz'], null), 'INVALID_DATA', 'one train file');
    await expectRefusal(() => dataFiles(['train-test.csv'], null), 'INVALID_DATA', 'names train and test');
  });

  it("is what the card's default configuration says, or the one that is asked for", () => {
    expect(dataFiles(EMOTION_PATHS, EMOTION)).to.deep.equal({
      train: ['split/train-00000-of-00001.parquet'],
      validation: ['split/validation-00000-of-00001.parquet'],
      test: ['split/test-00000-of-00001.parquet'],
    });
    expect(dataFiles(EMOTION_PATHS, EMOTION, 'unsplit')).to.deep.equal({
      train: ['unsplit/train-00000-of-00001.parquet'],
      validation: [],
      test: [],
    });
  });

  it('is chosen among configurations by name', async () => {
    const several = card('configs: [{config_name: a, data_files: "*.csv"}, {config_name: b, data_dir: sub}]');
    const paths = ['x.csv', 'sub/train.csv', 'sub/test.csv'];
    await expectRefusal(() => dataFiles(paths, several), 'INVALID_OPTION', 'config', 'a, b');
    await expectRefusal(() => dataFiles(paths, several, 'c'), 'NOT_FOUND', 'a configuration c', 'a, b');
    await expectRefusal(() => dataFiles(paths, null, 'c'), 'NOT_FOUND', 'no configurations');
    expect(dataFiles(paths, several, 'a').train).to.deep.equal(['x.csv']);
    expect(dataFiles(paths, several, 'b')).to.deep.equal({
      train: ['sub/train.csv'],
      validation: [],
      test: ['sub/test.csv'],
    });
  });

  it('takes patterns of every kind', async () => {
    const patterns: readonly (readonly [string, readonly string[]])[] = [
      ['"**/*.csv"', ['a.csv', 'x/b.csv', 'x/y/c.csv']],
      ['"x/**"', ['x/b.csv', 'x/y/c.csv']],
      ['x', ['x/b.csv', 'x/y/c.csv']],
      ['[a.csv, "x/?.csv"]', ['a.csv', 'x/b.csv']],
      ['"x/[!a].[ct]sv"', ['x/b.csv']],
    ];
    for (const [path, expected] of patterns) {
      const config = card(`configs:\n- data_files:\n  - split: train\n    path: ${path}`);
      expect(dataFiles(['a.csv', 'x/b.csv', 'x/y/c.csv'], config).train, path).to.deep.equal(expected);
    }
    const missing = card('configs:\n- data_files:\n  - {split: test, path: "data/test-*"}');
    const lost = card('configs:\n- data_files: ["*.csv", b.csv]');
    await expectRefusal(() => dataFiles(['a.csv'], lost), 'NOT_FOUND', 'b.csv');
    await expectRefusal(() => dataFiles(['a.csv'], missing), 'NOT_FOUND', 'split test', 'data/test-*');
  });

  it('keeps the order in which a card lists files, and sorts those of a pattern', () => {
    const paths = ['a.csv', 'b.csv', 'c/2.csv', 'c/10.csv', 'd.csv'];
    const listed = card('configs:\n- data_files:\n  - split: train\n    path: [d.csv, "c/*", b.csv, "*.csv"]');
    expect(dataFiles(paths, listed).train).to.deep.equal(['d.csv', 'c/10.csv', 'c/2.csv', 'b.csv', 'a.csv']);
  });

  it('is refused where a card lists a split twice', async () => {
    const twice = card('configs:\n- data_files:\n  - {split: train, path: a.csv}\n  - {split: train, path: b.csv}');
    await expectRefusal(() => dataFiles(['a.csv', 'b.csv'], twice), 'INVALID_DATA', 'the split train once');
  });

  it('takes splits under their usual other names', () => {
    const config = card(`configs:
- data_files:
  - {split: train, path: a.csv}
  - {split: unsupervised, path: b.csv}
  - {split: validation_matched, path: c.csv}
  - {split: validation_mismatched, path: d.csv}`);
    expect(dataFiles(['a.csv', 'b.csv', 'c.csv', 'd.csv'], config)).to.deep.equal({
      train: ['a.csv'],
      validation: ['c.csv'],
      test: [],
    });
  });
});

describe('card of a data set', () => {
  it('names classes, as a map of indices or a list', () => {
    expect(cardClassNames(EMOTION, 'split', 'label')).to.deep.equal(['sadness', 'joy', 'love', 'surprise']);
    expect(cardClassNames(EMOTION, 'unsplit', 'label')).to.deep.equal(['a', 'b']);
    expect(cardClassNames(EMOTION, 'split', 'text')).to.equal(undefined);
    const single = card('dataset_info:\n  features:\n  - name: y\n    dtype: {class_label: {names: [0, 1]}}');
    expect(cardClassNames(single, null, 'y')).to.deep.equal(['0', '1']);
  });

  it('may say nothing', () => {
    for (const text of ['', '# Title\n', '---\nlicense: mit\n---\n', '---\n---\n', '---\n- a\n---']) {
      expect(readCard(text), text).to.deep.equal({ configs: [], classNames: [] });
    }
  });

  it('is refused where its front matter is no YAML', async () => {
    for (const yaml of ['a: [1\nb: "', 'a: 1\na: 2', 'a: 1\n... \nb: 2\n--- ', 'a: !python/object x']) {
      await expectRefusal(() => card(yaml), 'INVALID_DATA', 'README.md');
    }
  });

  it('may say something once and mean it often', () => {
    const { configs } = card(`x: &both {path: a.csv}
configs:
- {config_name: a, data_files: [&train {<<: *both, split: train}]}
- {config_name: b, data_files: [*train]}`);
    const files = [{ split: 'train', patterns: ['a.csv'] }];
    expect(configs.map((config) => config.files)).to.deep.equal([files, files]);
  });
});
