import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { type DatasetOptions, loadDataset, type TextDataset } from '../../lib/data/dataset.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

describe('files as people have them', () => {
  const directory = useTemporaryDirectory();

  async function load(name: string, content: string | Uint8Array, options: DatasetOptions = {}): Promise<TextDataset> {
    await writeFile(directory.path(name), content);
    return loadDataset(directory.path(name), options);
  }

  const labelsOf = ({ labels, train }: TextDataset) => [...train!.labels].map((label) => labels[label]);
  const parquet = (columnData: ColumnSource[]) => new Uint8Array(parquetWriteBuffer({ columnData }));

  describe('encodings', () => {
    const text = 'text,label\nschön & “gut”,Größe\nplain,klein\n';
    /** As windows-1252 has it. */
    const western = Buffer.from(text.replace('“', '\x93').replace('”', '\x94'), 'latin1');

    it('are the one that is named', async () => {
      for (const encoding of ['windows-1252', 'latin-1', 'LATIN1', 'iso-8859-1', 'cp1252']) {
        const data = await load('a.csv', western, { encoding });
        expect([data.train!.texts[0], data.labels], encoding).to.deep.equal(['schön & “gut”', ['Größe', 'klein']]);
      }
      const cyrillic = await load('a.csv', Buffer.from('text,label\n\xef\xf0\xe8,x\n', 'latin1'), {
        encoding: 'cp1251',
      });
      expect(cyrillic.train!.texts).to.deep.equal(['при']);
      const json = await load('a.jsonl', Buffer.from('{"text":"\x82\xa0","label":1}', 'latin1'), {
        encoding: 'shift_jis',
      });
      expect(json.train!.texts).to.deep.equal(['あ']);
      expect((await load('a.csv.gz', gzipSync(western), { encoding: 'windows-1252' })).labels[0]).to.equal('Größe');
    });

    it('are the one of a byte order mark', async () => {
      const little = Buffer.from(`\ufeff${text}`, 'utf16le');
      const big = Buffer.from(little).swap16();
      for (const content of [little, big]) {
        expect((await load('a.csv', content)).train!.texts[0]).to.equal('schön & “gut”');
        expect((await load('a.csv', content, { encoding: 'utf-8' })).labels).to.deep.equal(['Größe', 'klein']);
      }
    });

    it('keep their characters wherever pieces of a file end', async () => {
      const rows = `text,label\n${`${'é😀'.repeat(50)},x\n`.repeat(2000)}`;
      for (const content of [Buffer.from(`\ufeff${rows}`, 'utf16le'), Buffer.from(rows)]) {
        expect(new Set((await load('a.csv', content)).train!.texts)).to.deep.equal(new Set(['é😀'.repeat(50)]));
      }
    });

    it('are guessed where it is not UTF-8, with the word that this gives', async () => {
      await expectRefusal(
        load('a.csv', western),
        'INVALID_DATA',
        'byte 14 (line 2)',
        'looks like windows-1252, which gives "schön"',
        "encoding: 'windows-1252'",
      );
      const german = Buffer.from('text;label\nlieben Gruß, "schöne Grüße";x\n', 'latin1');
      await expectRefusal(load('a.csv', german), 'INVALID_DATA', 'which gives "Gruß"', "encoding: 'windows-1252'");
      const japanese = Buffer.from('text,label\n\x83e\x83X\x83g,x\n', 'latin1');
      await expectRefusal(load('a.csv', japanese), 'INVALID_DATA', '(line 2)', 'name its encoding');
      const cyrillic = Buffer.from('text,label\n\xef\xf0\xe8\xe2\xe5\xf2,x\n', 'latin1');
      await expectRefusal(load('a.csv', cyrillic), 'INVALID_DATA', '(line 2)', 'name its encoding');
      const broken = Buffer.concat([Buffer.from('text,label\nschön '), Buffer.from('\xf6,x\n', 'latin1')]);
      await expectRefusal(load('a.csv', broken), 'INVALID_DATA', 'byte 18 (line 2)', 'name its encoding');
      await expectRefusal(load('a.csv', Buffer.from(text, 'utf16le')), 'INVALID_DATA', "encoding: 'utf-16le'");
    });

    it('are refused where there is no such one, or the file is in another', async () => {
      const refusal = load('a.csv', text, { encoding: 'utf-9' });
      await expectRefusal(refusal, 'INVALID_OPTION', 'for encoding', 'windows-1252', 'utf-9');
      const bad = Buffer.from('text,label\n\xff,x\n', 'latin1');
      await expectRefusal(load('a.csv', bad, { encoding: 'shift_jis' }), 'INVALID_DATA', 'shift_jis in', 'a.csv');
    });
  });

  it('of another kind than their name says are recognised', async () => {
    const table = parquet([{ name: 'text', data: ['a'], type: 'STRING' }]);
    for (const [content, pattern] of [
      [Buffer.from('PK\x03\x04rest of it'), '.xlsx'],
      [Buffer.from('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'latin1'), 'old Excel'],
      [table, '.parquet'],
      [gzipSync(text2()), '.gz'],
      [Buffer.from('<!doctype html><html>'), 'a web page'],
      [Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n'), 'git lfs pull'],
    ] as const) {
      for (const name of ['a.csv', 'a.jsonl', 'a.json'])
        await expectRefusal(load(name, content), 'INVALID_DATA', name, pattern);
    }
    await expectRefusal(
      load('a.parquet', 'version https://git-lfs.github.com/spec/v1\n'),
      'INVALID_DATA',
      'git lfs pull',
    );
  });

  function text2(): string {
    return 'text,label\na,x\nb,y\n';
  }

  describe('tables', () => {
    it('of Excel name their delimiter, and have empty columns and rows', async () => {
      const rows = '\ufeffsep=;\r\nText;Label;;\r\n"a;\r\nb";x;;\r\n;;;\r\nc;y\r\nd;x;;;;\r\n; ;;\r\n';
      const data = await load('a.csv', rows);
      expect(data.train!.texts).to.deep.equal(['a;\r\nb', 'c', 'd']);
      expect(labelsOf(data)).to.deep.equal(['x', 'y', 'x']);
      await expectRefusal(load('a.csv', `${rows}e;x;;;5\r\n`), 'INVALID_DATA', 'line 9,', '4 columns');
    });

    it('have bars or tabs between columns, whatever they are called', async () => {
      for (const delimiter of ['|', '\t', ';']) {
        const content = ['text,label', 'a,x', 'b,y'].join('\n').replaceAll(',', delimiter);
        expect((await load('a.csv', content)).train!.texts, delimiter).to.deep.equal(['a', 'b']);
      }
    });

    it('have lines that end with CR alone', async () => {
      const data = await load('a.csv', 'text,label\ra,x\r"b\rc",y\r');
      expect(data.train!.texts).to.deep.equal(['a', 'b\rc']);
      await expectRefusal(load('a.csv', 'text,label\ra,x\r"b\rc",y\rd\r'), 'INVALID_DATA', 'line 5,');
      expect((await load('a.csv', 'text,label\na\rb,x\n')).train!.texts).to.deep.equal(['a\rb']);
    });
  });

  describe('without a header line', () => {
    const tabs = 'ham\tsee you, then, at home\nspam\twin, win a prize now\nham\tcall me, please\n';

    it('have numbered columns', async () => {
      const data = await load('a.tsv', tabs, { header: false, textColumn: '2', labelColumn: '1' });
      expect(data.train!.texts).to.deep.equal(['see you, then, at home', 'win, win a prize now', 'call me, please']);
      expect(labelsOf(data)).to.deep.equal(['ham', 'spam', 'ham']);
      const three = await load('a.csv', '7,a,x\n8,b,y\n', { header: false, textColumn: '2', labelColumn: '3' });
      expect(three.train!.texts).to.deep.equal(['a', 'b']);
    });

    it('take the column that says the same most often for the labels, of two', async () => {
      const data = await load('a.tsv', tabs, { header: false });
      expect(labelsOf(data)).to.deep.equal(['ham', 'spam', 'ham']);
      expect(data.notes!.join()).to.contain('"2" was taken for the texts, "1" for the labels');
      const turned = await load('a.csv', 'a long text,x\nanother text,y\nthe third,x\n', { header: false });
      expect(labelsOf(turned)).to.deep.equal(['x', 'y', 'x']);
      const one = await load('a.tsv', 'ham\tsee you\nspam\twin\n', { header: false, labelColumn: '1' });
      expect(labelsOf(one)).to.deep.equal(['ham', 'spam']);
    });

    it('are refused where nothing tells the columns, and where the first line was taken for names', async () => {
      await expectRefusal(
        load('a.csv', 'a,x\nb,y\n', { header: false }),
        'NOT_FOUND',
        'a text column',
        'and a label column',
        '"1", "2"',
      );
      await expectRefusal(load('a.tsv', tabs), 'NOT_FOUND', '"ham"', 'header: false');
      await expectRefusal(load('a.csv', 'text,label,n\na,x\n'), 'INVALID_DATA', 'line 2,', '3 columns');
    });
  });

  describe('with rows that cannot be used', () => {
    const csv = 'text,label\na,x\nb,\nc,y,z\nd\ne,y\nf, \n';
    const lines = '{"text":"a","label":"x"}\n{"text":5,"label":"x"}\n{"text":\n{"text":"b"}\n{"text":"c","label":{}}\n';

    it('leave them out where that is asked for, and say what they lacked', async () => {
      const table = await load('a.csv', csv, { skipInvalid: true });
      expect(table.train!.texts).to.deep.equal(['a', 'e']);
      expect(labelsOf(table)).to.deep.equal(['x', 'y']);
      const place = (name: string, line: number) => `(first: ${directory.path(name)}, line ${line})`;
      expect(table.notes).to.deep.equal([
        `skipped 4 of 6 rows: 1 with too many columns ${place('a.csv', 4)}, 1 with too few columns ${place('a.csv', 5)}, ` +
          `2 without a label ${place('a.csv', 3)}`,
      ]);
      const json = await load('a.jsonl', lines, { skipInvalid: true });
      expect(json.train!.texts).to.deep.equal(['a']);
      expect(json.notes![0]).to.contain('skipped 4 of 5 rows').and.contain('1 without a text').and.contain('line 3');
      const pairs = 'premise,hypothesis,label\na,b,x\nc,d,\ne,f,y\n';
      expect((await load('a.csv', pairs, { skipInvalid: true })).train!.pairs).to.deep.equal(['b', 'f']);
    });

    it('are refused otherwise, with what helps', async () => {
      await expectRefusal(load('a.csv', csv), 'INVALID_DATA', 'line 4,', 'skipInvalid: true');
      const blank = 'text,label\na,x\nb,\nc,y\nd,\n';
      await expectRefusal(load('a.csv', blank), 'INVALID_DATA', 'line 3', '2 of 4 rows', 'skipInvalid: true');
      await expectRefusal(load('a.jsonl', lines), 'INVALID_DATA', 'line 2', 'a string for text', 'skipInvalid: true');
    });

    it('are refused where no other is left', async () => {
      const refusal = load('a.csv', 'text,label\na\nb\n', { skipInvalid: true });
      await expectRefusal(refusal, 'INVALID_DATA', 'at least one row', 'all 2 rows', 'too few columns', 'line 2');
      await expectRefusal(
        load('a.csv', 'text,label\na,\nb,\n', { skipInvalid: true }),
        'INVALID_DATA',
        'Expected labels',
      );
    });
  });

  describe('with nested columns', () => {
    const rows = [
      { id: 1, review: { title: 'one', body: 'first' }, rating: 5 },
      { id: 2, review: { title: 'two', body: 'second' }, rating: 1 },
    ];
    const options = { textColumn: 'review.body', labelColumn: 'rating' };

    it('are read by the path of a column', async () => {
      for (const [name, content] of [
        ['a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n')],
        ['a.json', JSON.stringify(rows)],
      ] as const) {
        const data = await load(name, content, options);
        expect(data.train!.texts, name).to.deep.equal(['first', 'second']);
        expect(data.labels).to.deep.equal(['1', '5']);
      }
    });

    it('have a column whose name has the dot go first', async () => {
      const row = { 'review.body': 'flat', review: { body: 'nested' }, rating: 1 };
      expect((await load('a.jsonl', JSON.stringify(row), options)).train!.texts).to.deep.equal(['flat']);
    });

    it('are listed where a column is not found, or is not plain', async () => {
      const content = JSON.stringify(rows);
      const paths = '"review.title", "review.body"';
      await expectRefusal(
        load('a.json', content),
        'NOT_FOUND',
        'holds columns of its own',
        'review.title, review.body',
      );
      const typo = { ...options, textColumn: 'review.bdy' };
      await expectRefusal(load('a.json', content, typo), 'NOT_FOUND', paths, 'did you mean review.body?');
      const gap = `${JSON.stringify(rows[0])}\n{"review":null,"rating":1}`;
      await expectRefusal(load('a.jsonl', gap, options), 'INVALID_DATA', 'line 2', 'a string for review.body');
    });
  });

  describe('with numbers for labels', () => {
    it('have one class for 5 and 5.0, and order classes by value', async () => {
      for (const [written, labels] of [
        [
          ['5.0', '10.0', '1.0'],
          ['1', '5', '10'],
        ],
        [
          ['5', '10.0', '5.0'],
          ['5', '10'],
        ],
        [
          ['4.5', '10', '5.0'],
          ['4.5', '5', '10'],
        ],
        [
          ['1.10', '1.1', '1.0'],
          ['1.0', '1.10', '1.1'],
        ],
        [
          ['5.0', 'good'],
          ['5.0', 'good'],
        ],
        [
          ['1', '1.0', '2', 'N/A'],
          ['1', '2', 'N/A'],
        ],
        [['-0.0', '0'], ['0']],
      ] as const) {
        const content = `text,label\n${written.map((label) => `a,${label}\n`).join('')}`;
        expect((await load('a.csv', content, { task: 'single-label' })).labels, content).to.have.members(labels);
      }
      const halves = 'text,label\na,10.0\nb,9.5\nc,9.0\n';
      const { labels } = await load('a.csv', halves, { task: 'single-label' });
      expect(labels).to.deep.equal(['9', '9.5', '10']);
    });

    it('may be numbers of any kind in JSON and Parquet', async () => {
      const written = '{"text":"a","label":4.5}\n{"text":"b","label":10.0}\n{"text":"c","label":5}';
      const json = await load('a.jsonl', written, { task: 'single-label' });
      expect(json.labels).to.deep.equal(['4.5', '5', '10']);
      for (const [type, data, labels] of [
        ['DOUBLE', [5, 1, 4.5], ['1', '4.5', '5']],
        ['FLOAT', [5, 1, 4.5], ['1', '4.5', '5']],
        ['INT64', [9007199254740993n, 1n, 2n], ['1', '2', '9007199254740993']],
      ] as const) {
        const texts: ColumnSource = { name: 'text', data: ['a', 'b', 'c'], type: 'STRING' };
        const columns = [texts, { name: 'label', data: [...data], type }];
        const read = await load('a.parquet', parquet(columns), { task: 'single-label' });
        expect(read.labels, type).to.have.members(labels);
      }
    });

    it('say so where 01 and 1 are two', async () => {
      expect((await load('a.csv', 'text,label\na,01\nb,1\n')).notes!.join()).to.contain('"01" and "1"');
    });
  });

  describe('with other names for their columns', () => {
    it('are read by those that are common', async () => {
      for (const header of ['n,review_text,star_rating', 'n,message,is_spam', 'n,Phrase,overall']) {
        expect(labelsOf(await load('a.csv', `${header}\n1,a,x\n`)), header).to.deep.equal(['x']);
      }
      const kaggle = await load('a.csv', 'v1,v2,,,\nham,see you,,,\nspam,"win, now",,,\n');
      expect([labelsOf(kaggle), kaggle.train!.texts]).to.deep.equal([
        ['ham', 'spam'],
        ['see you', 'win, now'],
      ]);
    });

    it('take the one beside a known one, of two, with a note', async () => {
      const label = await load('a.csv', 'text,Kategorie\na,x\n');
      expect(labelsOf(label)).to.deep.equal(['x']);
      expect(label.notes!.join()).to.contain('"text" was taken for the texts, "Kategorie" for the labels');
      expect((await load('a.csv', 'Anfrage,label\na,x\n')).train!.texts).to.deep.equal(['a']);
      const named = await load('a.jsonl', '{"Anfrage":"a","Art":"x"}', { labelColumn: 'Art' });
      expect(named.train!.texts).to.deep.equal(['a']);
      await expectRefusal(load('a.csv', 'id,text\n1,a\n'), 'NOT_FOUND', 'a label column', '"id", "text"');
    });
  });

  it('skip the same elements of an array as of JSON lines', async () => {
    const elements = ['{"text":"a","label":"x"}', 'null', '5', '[1, {"b": 2}]', '"s, ]"', '{"text":"b","label":"y"}'];
    for (const [name, content] of [
      ['odd.json', `[${elements.join(', ')}, 7]`],
      ['odd.jsonl', `${elements.join('\n')}\n7\n`],
    ] as const) {
      const { train, notes } = await load(name, content, { skipInvalid: true });
      expect(train!.texts).to.deep.equal(['a', 'b']);
      expect(notes![0]).to.contain('skipped 5 of 7 rows: 5 without a JSON object');
      const refused = await load(name, content).catch((error) => error.message);
      expect(refused).to.match(/Expected a JSON object in .*, but found null;/);
    }
  });

  it('end their lines as most of them end', async () => {
    const { train } = await load('cr.csv', 'text,label\rone\nmore,x\rtwo,y\rthree,x\r');
    expect(train!.texts).to.deep.equal(['one\nmore', 'two', 'three']);
  });

  it('suggest no number for another', async () => {
    const refused = load('numbered.csv', 'a,x\nb,y\n', { header: false, textColumn: '7' });
    const message = await refused.catch((error) => error.message);
    expect(message).to.contain('Expected a column 7').and.not.contain('did you mean');
  });
});
