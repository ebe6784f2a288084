import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { readRecords } from '../../lib/data/readers.js';
import type { DataRecord, FileColumns, RecordOptions } from '../../lib/data/records.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

describe('records', () => {
  const directory = useTemporaryDirectory();

  async function read(name: string, content: string | Uint8Array, options: RecordOptions = {}): Promise<DataRecord[]> {
    const path = directory.path(name);
    await writeFile(path, content);
    const records: DataRecord[] = [];
    for await (const piece of readRecords(path, options)) records.push(...piece);
    return records;
  }

  const shown = (records: readonly DataRecord[]) =>
    records.map(({ place, columns, values }) => ({ place, columns, values }));

  it('of delimited files are all their columns, with the line they start on', async () => {
    const records = await read('a.csv', 'id,text,2020,text\n1,"a\nb",x,y\n\n2,c,,d\n');
    const columns = ['id', 'text', '2020', 'text'];
    expect(shown(records)).to.deep.equal([
      { place: 2, columns, values: ['1', 'a\nb', 'x', 'y'] },
      { place: 5, columns, values: ['2', 'c', '', 'd'] },
    ]);
    expect(records[0]!.get('text')).to.equal('a\nb');
    expect(records[0]!.get('none')).to.equal(undefined);
  });

  it('of JSON keep their types, and what was written', async () => {
    const lines = ['{"id":12345678901234567890,"text":"a","ok":true,"more":{"n":[1]}}', '{"text":"b","none":null}'];
    for (const [name, content] of [
      ['a.jsonl', lines.join('\n')],
      ['a.json', `[${lines.join(',\n')}]`],
    ] as const) {
      const records = await read(name, content);
      expect(shown(records)).to.deep.equal([
        { place: 1, columns: ['id', 'text', 'ok', 'more'], values: [12345678901234567000, 'a', true, { n: [1] }] },
        { place: 2, columns: ['text', 'none'], values: ['b', null] },
      ]);
      expect(records.map(({ json }) => json)).to.deep.equal(lines);
    }
  });

  describe('of Parquet', () => {
    const nested = {
      columnData: [
        { name: 'id', data: [1n, 2n, 3n, 4n] },
        {
          name: 'review',
          data: [{ title: 'a', body: 'b' }, { title: null, body: 'c' }, null, { title: 'd', body: 'e' }],
        },
        { name: 'tags', data: [['x', 'y'], [], null, ['z', null]] },
        { name: 'picture', data: [Uint8Array.of(0xff), Uint8Array.of(0x61), Uint8Array.of(0xfe), Uint8Array.of()] },
      ],
      schema: [
        { name: 'root', num_children: 4 },
        { name: 'id', type: 'INT64', repetition_type: 'REQUIRED' },
        { name: 'review', repetition_type: 'OPTIONAL', num_children: 2 },
        { name: 'title', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'body', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'tags', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        { name: 'picture', type: 'BYTE_ARRAY', repetition_type: 'REQUIRED' },
      ],
      rowGroupSize: 3,
    };
    const write = (codec: 'SNAPPY' | 'UNCOMPRESSED') =>
      new Uint8Array(parquetWriteBuffer({ ...nested, codec } as unknown as Parameters<typeof parquetWriteBuffer>[0]));

    it('are structures, lists and bytes as well', async () => {
      for (const codec of ['SNAPPY', 'UNCOMPRESSED'] as const) {
        let file: FileColumns | undefined;
        const columns = (given: FileColumns) => {
          file = given;
          return given.names;
        };
        const records = await read('a.parquet', write(codec), { columns });
        expect(file!.names).to.deep.equal(['id', 'review', 'tags', 'picture']);
        expect(file!.nested).to.deep.equal(['review.title', 'review.body']);
        expect(records.map(({ place }) => place)).to.deep.equal([1, 2, 3, 4]);
        expect(records.map(({ values }) => [...values].slice(0, 3))).to.deep.equal([
          [1n, { title: 'a', body: 'b' }, ['x', 'y']],
          [2n, { title: null, body: 'c' }, []],
          [3n, undefined, undefined],
          [4n, { title: 'd', body: 'e' }, ['z', null]],
        ]);
        expect(records.map((record) => record.get('review.body'))).to.deep.equal(['b', 'c', undefined, 'e']);
        expect([records[0]!.get('picture'), records[1]!.get('picture')]).to.deep.equal([Uint8Array.of(0xff), 'a']);
      }
    });

    it('are decoded as far as they are asked for', async () => {
      const [first] = await read('a.parquet', write('SNAPPY'), { columns: () => ['review.body'] });
      expect([first!.columns, first!.get('review.body'), first!.get('id')]).to.deep.equal([['review'], 'b', undefined]);
    });

    it('come in pieces, in order, however large a row group is', async () => {
      const data = Array.from({ length: 5000 }, (_, i) => `text ${i}`);
      const content = parquetWriteBuffer({ columnData: [{ name: 'text', data, type: 'STRING' } as ColumnSource] });
      const records = await read('a.parquet', new Uint8Array(content));
      expect(records.map((record) => record.get('text'))).to.deep.equal(data);
      expect(records.at(-1)!.place).to.equal(5000);
    });
  });

  it('that cannot be read are left out where somebody is told', async () => {
    const told: string[] = [];
    const onInvalid: RecordOptions['onInvalid'] = ({ reason, place, error }) =>
      told.push(`${place} ${reason} ${error.code}`);
    await read('a.csv', 'text,label\na,b\nc\nd,e,f\n', { onInvalid });
    const rest = await read('a.jsonl', '{"text":"a"}\n{"text":\n[1]\n{"text":"b"}', { onInvalid });
    expect(rest.map(({ place }) => place)).to.deep.equal([1, 4]);
    expect(told).to.deep.equal([
      '3 with too few columns INVALID_DATA',
      '4 with too many columns INVALID_DATA',
      '2 without a JSON object INVALID_DATA',
      '3 without a JSON object INVALID_DATA',
    ]);
    await expectRefusal(read('a.jsonl', '[1]'), 'INVALID_DATA', 'line 1');
    await expectRefusal(read('a.xyz', ''), 'INVALID_DATA', 'a.xyz');
  });
});
