import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type DatasetOptions, datasetFromRows, loadDataset, type TextDataset } from '../../lib/data/dataset.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

const GOEMOTIONS = fileURLToPath(new URL('../../assets/data/goemotions6', import.meta.url));

describe('dataset', () => {
  const directory = useTemporaryDirectory();

  async function write(name: string, content: string | Uint8Array): Promise<string> {
    const path = directory.path(name);
    await writeFile(path, content);
    return path;
  }

  /** Writes a training file and reads it. */
  async function load(name: string, content: string | Uint8Array, options: DatasetOptions = {}): Promise<TextDataset> {
    return loadDataset(await write(name, content), options);
  }

  describe('delimited files', () => {
    it('reads comma-separated columns with quotes, delimiters and line ends inside', async () => {
      const { labels, train } = await load(
        'train.csv',
        'id,text,label\n1,plain,joy\n2,"a, b",sad\n3,"say ""hi""",joy\n4,"two\nlines",sad\n5,it is "quoted",joy\n',
      );
      expect(labels).to.deep.equal(['joy', 'sad']);
      expect(train!.texts).to.deep.equal(['plain', 'a, b', 'say "hi"', 'two\nlines', 'it is "quoted"']);
      expect(train!.labels).to.deep.equal(Int32Array.of(0, 1, 0, 1, 0));
      expect(train!.name).to.equal('train');
      expect(train!.source).to.equal(directory.path('train.csv'));
    });

    for (const [what, content] of [
      ['commas', 'text,label\na;b\tc,x\nd,y\n'],
      ['semicolons', 'text;label\na;x\nd;y\n'],
      ['tabs', 'text\tlabel\na, b; c\tx\nd\ty\n'],
    ] as const) {
      it(`finds ${what} in the header line, whatever the file is called`, async () => {
        for (const name of ['data.csv', 'data.tsv', 'data.txt']) {
          expect((await load(name, content)).train!.labels).to.deep.equal(Int32Array.of(0, 1));
        }
      });
    }

    it('takes the delimiter and the columns that are named', async () => {
      const { train } = await load('train.csv', 'Body|Mood|text\nfirst|good|no\nsecond|bad|no\n', {
        delimiter: '|',
        textColumn: 'Body',
        labelColumn: 'Mood',
      });
      expect(train!.texts).to.deep.equal(['first', 'second']);
      expect(train!.labels).to.deep.equal(Int32Array.of(1, 0));
    });

    it('finds the usual column names, in any case', async () => {
      for (const header of ['Text,Label', 'sentence,label_name', 'content,category', 'idx,review,sentiment']) {
        const row = header.split(',').map((_, i) => `v${i}`);
        const { train, labels } = await load('train.csv', `${header}\n${row.join(',')}\n`);
        expect(train!.texts, header).to.deep.equal([row.at(-2)]);
        expect(labels, header).to.deep.equal([row.at(-1)]);
      }
    });

    describe('whose texts hold quotes', () => {
      const GLUE = 'label\ttext\nx\t"Great movie\ny\tbad movie\nx\twas it "good"""\ny\tfine\n';
      const PAIRED = 'text,label\n"Great movie,x\nbad movie,y\ngood stuff",x\nfine,y\n';

      it('is read without quoting where that is asked for', async () => {
        const { train, labels } = await load('a.tsv', GLUE, { quoting: 'none' });
        expect(train!.texts).to.deep.equal(['"Great movie', 'bad movie', 'was it "good"""', 'fine']);
        expect(labels).to.deep.equal(['x', 'y']);
      });

      for (const [what, content] of [
        ['that never close', 'label\ttext\nx\t"Great movie\ny\tbad movie\n'],
        ['that close inside a later text', GLUE],
        ['that close inside a later text, with CRLF', GLUE.replaceAll('\n', '\r\n')],
        ['that close at the end of a later text', GLUE.replace('good"""', 'good"').replace('it "', 'it ')],
        ['that close at the end of a later text, before its label', PAIRED],
        ['that close so, with semicolons and CRLF', PAIRED.replaceAll(',', ';').replaceAll('\n', '\r\n')],
        ['that close so, around an empty line', PAIRED.replace('bad', '\nbad')],
      ] as const) {
        it(`is refused with quotes ${what}, with the line and what to do`, async () => {
          const file = content.includes('\t') ? 'a.tsv' : 'a.csv';
          await expectRefusal(load(file, content), 'INVALID_DATA', `${file}, line 2,`, "quoting: 'none'");
        });
      }

      it('is refused without labels where tabs tell the rows', async () => {
        await write('train.tsv', 'text\tlabel\na\tx\n');
        await write('test.tsv', 'id\ttext\n1\t"Great\n2\tmovie"\n');
        await expectRefusal(loadDataset(directory.path()), 'INVALID_DATA', 'test.tsv, line 2,', "quoting: 'none'");
      });

      it('is taken as one row where it cannot be several, or that is asked for', async () => {
        for (const content of [
          'text,label\n"one, two\nthree, four",x\n',
          'label,text\nx,"one, two\nthree"\n',
          'label,text\nx,"one\ntwo, three"\ny,four\n',
          'label\ttext\nx\t"one\n\ntwo"\n',
          'text\tlabel\n"""Hi"" said\nshe"\tx\n',
        ]) {
          expect((await load('a.csv', content)).train!.texts[0], content).to.include('\n');
        }
        const paired = await load('a.csv', PAIRED, { quoting: 'standard' });
        expect(paired.train!.texts).to.deep.equal(['Great movie,x\nbad movie,y\ngood stuff', 'fine']);
      });
    });

    it('strips a byte order mark and reads CRLF, empty lines and a last line without an end', async () => {
      const { train } = await load('train.csv', '\ufefftext,label\r\na,x\r\n\r\n"b\r\nc",y\r\n\nd,x');
      expect(train!.texts).to.deep.equal(['a', 'b\r\nc', 'd']);
      expect(train!.labels).to.deep.equal(Int32Array.of(0, 1, 0));
    });

    it('keeps empty texts, and spaces in texts but not around labels', async () => {
      const { labels, train } = await load('train.csv', 'text,label\n,x\n"",y\n  two  , x \n');
      expect(train!.texts).to.deep.equal(['', '', '  two  ']);
      expect(labels).to.deep.equal(['x', 'y']);
    });

    it('reads characters that a piece of the file cuts in two', async () => {
      const text = `${'x'.repeat(65532)}é😀`.repeat(3);
      for (const shift of ['', 'a', 'ab', 'abc']) {
        const { train } = await load('train.csv', `text,label\n${shift}${text},joy\n"${text}\n""${text}",sad\n`);
        expect(train!.texts).to.deep.equal([shift + text, `${text}\n"${text}`]);
      }
    });
  });

  describe('JSON lines', () => {
    it('reads an object a line', async () => {
      const { labels, train } = await load(
        'train.jsonl',
        '\ufeff{"text": "a\\n\\"b\\"", "label": "joy", "id": 1}\r\n\n{"label": "anger", "text": ""}\n{"text":"é","label":"joy"}',
      );
      expect(labels).to.deep.equal(['anger', 'joy']);
      expect(train!.texts).to.deep.equal(['a\n"b"', '', 'é']);
      expect(train!.labels).to.deep.equal(Int32Array.of(1, 0, 1));
    });

    it('reads what Python writes for numbers that are not finite, in columns that are not used', async () => {
      const rows = [
        '{"text": "NaN, \\"Infinity\\": -Infinity", "label": "joy", "score": NaN}',
        '{"text": "\\ud83d\\ude00", "label": "joy", "score": {"of:": [-Infinity, Infinity, {"NaN": NaN}]}}',
      ];
      for (const [name, content] of [
        ['a.jsonl', rows.join('\n')],
        ['a.json', `[${rows.join()}]`],
        ['b.json', `{"data": [${rows.join()}]}`],
      ] as const) {
        const { train } = await load(name, content);
        expect(train!.texts, name).to.deep.equal(['NaN, "Infinity": -Infinity', '😀']);
      }
    });

    it('reads integer labels, written as numbers or as strings', async () => {
      const { labels, train } = await load(
        'train.ndjson',
        '{"sentence":"a","labels":10}\n{"sentence":"b","labels":"2"}\n{"sentence":"c","labels":10}\n',
      );
      expect(labels).to.deep.equal(['2', '10']);
      expect(train!.labels).to.deep.equal(Int32Array.of(1, 0, 1));
    });

    for (const [what, line, pattern] of [
      ['broken JSON', '{"text": "a", "label": ', 'broken JSON'],
      ['no object', '["a", "joy"]', 'a JSON object'],
      ['a text that is no string', '{"text": 5, "label": "joy"}', 'a string for text'],
      ['a text that is missing', '{"label": "joy"}', 'a string for text'],
      ['a label that is an object', '{"text": "a", "label": {"id": 1}}', 'found {"id":1}'],
      ['several labels', '{"text": "a", "label": ["joy", "fear"]}', 'a name or a number for label'],
      ['a label that is a list', '{"text": "a", "label": ["joy"]}', 'as in the rows before, but found ["joy"]'],
      ['a label that is missing', '{"text": "a"}', 'found none'],
      ['an empty label', '{"text": "a", "label": " "}', 'found none'],
      ['a label beyond 2^53', '{"text": "a", "label": 9007199254740993}', 'a name or a number for label'],
      ['a label that is NaN', '{"text": "a", "label": NaN}', 'found a number that is not finite'],
      ['a label that is infinite', '{"text": "a", "label": -Infinity}', 'found a number that is not finite'],
      ['a text that is NaN', '{"text": NaN, "label": "joy"}', 'found a number that is not finite'],
      ['words of JavaScript', '{"text": "a", "label": "joy", "x": undefined}', 'broken JSON'],
      ['a number that runs into NaN', '{"text": "a", "label": "joy", "x": 1NaN}', 'broken JSON'],
      ['a key that occurs twice', '{"text": "a", "label": "joy", "label": "anger"}', 'a key occurs twice'],
      ['half of a surrogate pair in a text', '{"text": "a\\ud83d", "label": "joy"}', 'half of a surrogate pair'],
      ['half of a surrogate pair in a label', '{"text": "a", "label": "\\ude00"}', 'half of a surrogate pair'],
    ] as const) {
      it(`refuses ${what}, with its line`, async () => {
        const content = `{"text": "fine", "label": "joy"}\n\n${line}\n{"text": "fine", "label": "joy"}\n`;
        await expectRefusal(load('train.jsonl', content), 'INVALID_DATA', 'train.jsonl, line 3,', pattern);
      });
    }

    it('refuses a file without the columns, listing those it has', async () => {
      await expectRefusal(
        load('a.jsonl', '{"txt": "a", "lbl": "b"}\n'),
        'NOT_FOUND',
        'a text column',
        'and a label column',
        '"txt", "lbl"',
        'textColumn and labelColumn',
      );
    });
  });

  describe('labels', () => {
    const rows = 'text,label\na,2\nb,0\nc,1\n';

    it('orders integers by value and names by their characters', async () => {
      const numbers = 'text,label\na,10\nb,9\nc,-1\n';
      expect((await load('a.csv', numbers)).labels).to.deep.equal(['-1', '9', '10']);
      expect((await load('a.csv', 'text,label\na,b\nb,B\nc,10\nd,9\n')).labels).to.deep.equal(['10', '9', 'B', 'b']);
    });

    it('takes integers as indices of the classes that are given', async () => {
      const { labels, train } = await load('a.csv', rows, { labels: ['sad', 'glad', 'mad'] });
      expect(labels).to.deep.equal(['sad', 'glad', 'mad']);
      expect(train!.labels).to.deep.equal(Int32Array.of(2, 0, 1));
    });

    it('takes integers as names where the classes that are given are integers', async () => {
      const stars = await load('a.csv', 'text,label\na,1\nb,3\n', { labels: ['1', '2', '3'] });
      expect(stars.train!.labels).to.deep.equal(Int32Array.of(0, 2));
    });

    it('says what it takes integers for', async () => {
      const { notes } = await load('a.csv', rows, { labels: ['sad', 'glad', 'mad'] });
      expect(notes).to.deep.equal(['The labels are integers without names: 2 is "mad", 0 is "sad", 1 is "glad".']);
    });

    it('reads all splits the same way, and no integers as names and as indices at once', async () => {
      const train = await write('train.csv', 'text,label\na,1\nb,2\n');
      const test = await write('test.csv', 'text,label\nc,0\n');
      const { train: first, test: last } = await loadDataset({ train, test }, { labels: ['x', 'y', 'z'] });
      expect(first!.labels).to.deep.equal(Int32Array.of(1, 2));
      expect(last!.labels).to.deep.equal(Int32Array.of(0));
      const mixed = loadDataset({ train, test }, { labels: ['1', '2', '3'] });
      await expectRefusal(mixed, 'INVALID_DATA', `Unknown label "0" in ${test}, line 2: expected one of 1, 2, 3`);
    });

    it('forgives case and outer spaces where they leave no doubt, and says so', async () => {
      const train = await write('train.csv', 'text,label\na,Joy\nb,anger\n');
      const test = await write('test.csv', 'text,label\nc,ANGER\nd,joy\n');
      const data = await loadDataset({ train, test });
      expect(data.labels).to.deep.equal(['Joy', 'anger']);
      expect(data.test!.labels).to.deep.equal(Int32Array.of(1, 0));
      expect(data.notes).to.deep.equal([
        'Labels are matched whatever their case and outer spaces: "ANGER" is "anger", "joy" is "Joy".',
      ]);
      const both = await write('train.csv', 'text,label\na,Joy\nb,JOY\n');
      await expectRefusal(loadDataset({ train: both, test }, {}), 'INVALID_DATA', 'Unknown label "ANGER"');
    });

    it('gives every split the names, and reads the splits that are asked for alone', async () => {
      const train = await write('train.csv', 'text,label\na,joy\nb,anger\n');
      const test = await write('test.csv', 'text,label\nc,fear\n');
      const data = await loadDataset({ train, test }, { splits: ['test'] });
      expect(data.train).to.equal(undefined);
      expect(data.test!.labelNames).to.deep.equal(['fear']);
      const taken = await loadDataset({ train }, { split: { test: 0.5, stratify: false } });
      expect(taken.test!.labelNames).to.deep.equal(['anger', 'joy']);
      await expectRefusal(loadDataset({ train }, { splits: ['dev' as 'test'] }), 'INVALID_OPTION', 'splits');
      await expectRefusal(loadDataset({ train }, { splits: ['test'] }), 'NOT_FOUND', `a test split in ${train}`);
    });

    it('keeps the order that is given, with classes that do not occur', async () => {
      const given = ['sadness', 'joy', 'love'];
      const { labels, train } = await load('a.csv', 'text,label\na,joy\nb,sadness\n', { labels: given });
      expect(labels).to.deep.equal(given);
      expect(train!.labels).to.deep.equal(Int32Array.of(1, 0));
    });

    it('refuses a label that training does not have, with file, line, label and classes', async () => {
      const train = await write('train.csv', 'text,label\na,joy\nb,anger\n');
      const test = await write('test.csv', 'text,label\n"x\ny",joy\nz,jyo\n');
      await expectRefusal(
        loadDataset({ train, test }),
        'INVALID_DATA',
        `Unknown label "jyo" in ${test}, line 4: expected one of anger, joy (did you mean joy?)`,
      );
      await expectRefusal(loadDataset({ train, validation: test }), 'INVALID_DATA', '"jyo"');
    });

    it('refuses an index beyond the classes', async () => {
      await expectRefusal(
        load('a.csv', rows, { labels: ['no', 'yes'] }),
        'INVALID_DATA',
        'Unknown label "2"',
        'line 2: expected an index in 0..1 of no, yes',
      );
    });

    it('takes the classes of a test split where there is no training split', async () => {
      const test = await write('test.csv', 'text,label\na,y\nb,x\n');
      const data = await loadDataset({ test });
      expect(data.labels).to.deep.equal(['x', 'y']);
      expect(data).to.not.have.property('train');
      expect(data.test!.name).to.equal('test');
    });
  });

  describe('folders', () => {
    const content = 'text,label\na,x\nb,y\n';

    it('finds the splits by their names', async () => {
      for (const name of ['validation', 'valid', 'val', 'dev']) {
        const folder = directory.path(name);
        await mkdir(folder);
        await write(`${name}/train.csv`, content);
        await write(`${name}/${name}.jsonl`, '{"text": "c", "label": "y"}\n');
        await write(`${name}/TEST.TSV`, 'text\tlabel\nd\tx\n');
        await write(`${name}/notes.md`, '');
        const data = await loadDataset(folder);
        expect(data.validation!.texts, name).to.deep.equal(['c']);
        expect(data.validation!.labels, name).to.deep.equal(Int32Array.of(1));
        expect(data.test!.texts, name).to.deep.equal(['d']);
      }
    });

    it('refuses one without a training file, saying what is there', async () => {
      await write('test.csv', content);
      await write('train.pdf', '');
      await expectRefusal(loadDataset(directory.path()), 'NOT_FOUND', 'train.csv', 'found test.csv, train.pdf');
      await mkdir(directory.path('empty'));
      await expectRefusal(loadDataset(directory.path('empty')), 'NOT_FOUND', 'found nothing');
    });

    it('are refused with a folder in them that cannot be read', async function () {
      if (process.platform === 'win32') this.skip();
      const locked = directory.path('folder', 'locked');
      await mkdir(locked, { recursive: true });
      await write('folder/train.csv', 'text,label\na,x\nb,y\n');
      await chmod(directory.path(), 0o755);
      await chmod(locked, 0);
      // Nothing is forbidden to the superuser.
      const isSuperuser = process.geteuid?.() === 0;
      if (isSuperuser) process.seteuid?.(65534);
      try {
        await expectRefusal(
          loadDataset(directory.path('folder')),
          'INVALID_DATA',
          `read ${locked}`,
          'permission denied',
        );
      } finally {
        if (isSuperuser) process.seteuid?.(0);
        await chmod(locked, 0o755);
      }
    });

    it('follows links to folders, but not in circles', async () => {
      await mkdir(directory.path('folder/data'), { recursive: true });
      await mkdir(directory.path('elsewhere'));
      await write('folder/data/train.csv', content);
      await write('elsewhere/test.csv', content);
      await symlink('../elsewhere', directory.path('folder/linked'));
      for (let i = 0; i < 10; i++) {
        await symlink('.', directory.path(`folder/here${i}`));
        await symlink('..', directory.path(`folder/data/above${i}`));
      }
      const { train, test } = await loadDataset(directory.path('folder'));
      expect([train!.source, test!.source]).to.deep.equal(
        ['data/train.csv', 'linked/test.csv'].map((path) => directory.path('folder', path)),
      );
    });

    it('refuses links that make more files than can be looked at', async () => {
      const names = Array.from({ length: 13 }, (_, i) => directory.path(`${i}`));
      for (const name of names) await mkdir(name);
      for (const name of names) {
        for (const other of names) await symlink(other, join(name, basename(other)));
      }
      await expectRefusal(loadDataset(directory.path()), 'INVALID_DATA', 'at most 100000 files');
    }).timeout(60_000);

    it('refuses two files for one split', async () => {
      await write('train.csv', content);
      await write('val.csv', content);
      await write('dev.csv', content);
      await expectRefusal(loadDataset(directory.path()), 'INVALID_DATA', 'one validation file', 'dev.csv', 'val.csv');
    });

    it('loads goemotions6', async () => {
      const data = await loadDataset(GOEMOTIONS, { labels: ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'] });
      const sizes = [data.train, data.validation, data.test].map((split) => split!.texts.length);
      expect(sizes).to.deep.equal([5272, 625, 638]);
      expect(data.train!.texts[1]).to.equal('To make her feel threatened');
      expect([...data.train!.labels.subarray(0, 4)]).to.deep.equal([3, 4, 5, 3]);
      expect(data.test!.texts[1]).to.equal('Girlfriend weak as well, that jump was pathetic.');
      // In the order of its card.
      expect((await loadDataset(GOEMOTIONS)).labels).to.deep.equal(data.labels);
    });
  });

  describe('bad input', () => {
    it('refuses what is not there', async () => {
      await expectRefusal(loadDataset(directory.path('none')), 'NOT_FOUND', 'no such file or folder');
      await expectRefusal(loadDataset({ test: directory.path('none.csv') }), 'NOT_FOUND', 'none.csv');
      await expectRefusal(loadDataset({ test: directory.path('none.jsonl') }), 'NOT_FOUND', 'none.jsonl');
    });

    it('refuses a missing column, listing those there are', async () => {
      const content = 'words,label,n\na,x,1\n';
      await expectRefusal(load('a.csv', content), 'NOT_FOUND', 'a text column', '"words", "label"', 'textColumn');
      await expectRefusal(load('a.csv', content, { textColumn: 'wrods' }), 'NOT_FOUND', 'did you mean words?');
      await expectRefusal(load('a.csv', 'text,kind,n\na,x,1\n'), 'NOT_FOUND', 'a label column', '"text", "kind"');
      await expectRefusal(load('a.txt', 'i feel fine;joy\ni feel bad;sad\n'), 'NOT_FOUND', '"i feel fine", "joy"');
    });

    it('refuses broken UTF-8, with byte and line', async () => {
      const good = 'text,label\nfür \ufffd,x\n';
      const bytes = Buffer.concat([Buffer.from(good), Buffer.from([0x61, 0xfc, 0x62, 0x2c, 0x78, 0x0a])]);
      const byte = Buffer.byteLength(good) + 1;
      await expectRefusal(load('a.csv', bytes), 'INVALID_DATA', `byte ${byte} (line 3)`);
      await expectRefusal(load('a.jsonl', Buffer.from('{"text":"\xe9"}', 'latin1')), 'INVALID_DATA', 'byte 9 (line 1)');
      await expectRefusal(
        load('a.csv', Buffer.from('text,label\na,\xc3', 'latin1')),
        'INVALID_DATA',
        'byte 13 (line 2)',
      );
    });

    it('refuses an open quote, with the line it opens on', async () => {
      const content = 'text,label\n"fine\nand well",x\n\n"open,x\nnext,y\nlast,x\n';
      await expectRefusal(load('a.csv', content), 'INVALID_DATA', 'a closing quote', 'line 5,', 'the end of the file');
    });

    it('refuses a quote that swallows rows until the next one', async () => {
      for (const said of ['"hi"', '"""hi"""']) {
        const content = `text,label\na,y\n"open,x\nsay ${said} there,y\n`;
        await expectRefusal(load('a.csv', content), 'INVALID_DATA', 'a closing quote', 'line 3,');
      }
    });

    it('keeps a text that starts with a quote and has several lines', async () => {
      const { train } = await load('a.csv', 'text,label\n"""Hi""\nshe said",x\n');
      expect(train!.texts).to.deep.equal(['"Hi"\nshe said']);
    });

    it('refuses rows with too few and too many columns, with the line', async () => {
      await expectRefusal(load('a.csv', 'text,label\na,x\nb\n'), 'INVALID_DATA', '2 columns', 'line 3,', 'found 1');
      await expectRefusal(load('a.csv', 'text,label\na, b,x\n'), 'INVALID_DATA', 'line 2,', 'found 3', 'in quotes');
    });

    it('refuses an empty label, with the line', async () => {
      await expectRefusal(load('a.csv', 'text,label\na,x\n\nb, \n'), 'INVALID_DATA', 'a label', 'line 4,');
    });

    it('refuses a file without rows', async () => {
      await expectRefusal(load('a.csv', 'text,label\n'), 'INVALID_DATA', 'at least one row', 'a.csv');
      await expectRefusal(load('a.csv', 'text,label'), 'INVALID_DATA', 'at least one row');
      await expectRefusal(load('a.csv', ''), 'INVALID_DATA', 'a header line');
      await expectRefusal(load('a.csv', '\n\n'), 'INVALID_DATA', 'a header line');
      await expectRefusal(load('a.jsonl', '\n'), 'INVALID_DATA', 'at least one row');
    });

    it('refuses kinds of files that it cannot read', async () => {
      await expectRefusal(load('a.xlsx', ''), 'INVALID_DATA', '.csv, .tsv, .txt, .jsonl, .ndjson');
      await mkdir(directory.path('folder.csv'));
      await expectRefusal(loadDataset({ train: directory.path('folder.csv') }), 'INVALID_DATA', 'found a directory');
    });

    it('refuses options that are none', async () => {
      const path = await write('a.csv', 'text,label\na,x\n');
      const wrong = [{ textcolumn: 'a' }, { delimiter: '' }, { delimiter: '"' }, { labels: ['a', 'a'] }, { signal: 1 }];
      for (const options of wrong) {
        await expectRefusal(loadDataset(path, options as DatasetOptions), 'INVALID_OPTION');
      }
      await expectRefusal(loadDataset({}), 'INVALID_OPTION', 'a file for train, validation or test');
      await expectRefusal(loadDataset({ tests: path } as object), 'INVALID_OPTION', 'did you mean test?');
      await expectRefusal(loadDataset(''), 'INVALID_OPTION');
    });
  });

  describe('rows in memory', () => {
    it('become splits by the same rules', () => {
      const data = datasetFromRows({
        train: [
          { text: 'a', label: 'yes' },
          { text: '', label: 'no' },
        ],
        test: [{ text: 'b', label: 'yes' }],
      });
      expect(data.labels).to.deep.equal(['no', 'yes']);
      expect(data.train!.labels).to.deep.equal(Int32Array.of(1, 0));
      expect(data.test!.texts).to.deep.equal(['b']);
      const indexed = datasetFromRows({ train: [{ text: 'a', label: 1 }] }, { labels: ['no', 'yes'] });
      expect(indexed.train!.labels).to.deep.equal(Int32Array.of(1));
    });

    it('are refused where they are no rows', async () => {
      const good = [{ text: 'a', label: 'x' }];
      await expectRefusal(() => datasetFromRows({}), 'INVALID_OPTION', 'rows for train');
      await expectRefusal(() => datasetFromRows({ train: [] }), 'INVALID_DATA', 'at least one row');
      await expectRefusal(
        () => datasetFromRows({ train: good, test: [...good, { text: 'b', label: 'z' }] }),
        'INVALID_DATA',
        'Unknown label "z" in the test rows, index 1',
      );
      for (const row of [null, {}, { text: 1, label: 'x' }, { text: 'a' }, { text: 'a', label: '' }]) {
        const rows = [...good, row] as { text: string; label: string }[];
        await expectRefusal(() => datasetFromRows({ train: rows }), 'INVALID_DATA', 'at index 1');
      }
    });
  });

  describe('large files', () => {
    const row = (i: number) =>
      `i feel that this is row number ${i} of them and it is about as long as most,class ${i % 6}\n`;
    const content = `text,label\n${Array.from({ length: 16_000 }, (_, i) => row(i)).join('')}`;
    const lines = Array.from({ length: 16_000 }, (_, i) => `{"text":"row number ${i}","label":${i % 6}}\n`).join('');

    it('can be stopped half-way', async () => {
      for (const [name, text] of [
        ['train.csv', content],
        ['train.jsonl', lines],
      ] as const) {
        const path = await write(name, text);
        const controller = new AbortController();
        const reading = loadDataset(path, { signal: controller.signal });
        setImmediate(() => controller.abort('enough'));
        const error = await expectRefusal(reading, 'ABORTED');
        expect(error.cause).to.equal('enough');
        await expectRefusal(loadDataset(path, { signal: controller.signal }), 'ABORTED');
      }
    });
  });
});
