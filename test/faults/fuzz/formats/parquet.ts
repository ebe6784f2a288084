import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { readRecords } from '../../../../lib/data/readers.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { readRows } from '../rows.js';
import { CODES } from '../seeds.js';

const NAME = 'data.parquet';
const TEXTS = ['i feel great', 'é 中 😀', '', 'i feel great', 'i feel great', 'sad', 'sad', 'x'.repeat(100)];
const HUGGING_FACE = JSON.stringify({ info: { features: { label: { _type: 'ClassLabel', names: ['no', 'yes'] } } } });

function file(codec: 'UNCOMPRESSED' | 'SNAPPY', labels: (string | number | boolean)[], encoding?: string): Buffer {
  const columns = [
    { name: 'text', data: TEXTS, type: 'STRING' as const, ...(encoding && { encoding }) },
    { name: 'label', data: labels },
  ];
  const kvMetadata = typeof labels[0] === 'number' ? [{ key: 'huggingface', value: HUGGING_FACE }] : [];
  return Buffer.from(parquetWriteBuffer({ columnData: columns as never, codec, kvMetadata, rowGroupSize: 5 }));
}

const integers = TEXTS.map((_, i) => i % 2);
const names = TEXTS.map((_, i) => ['no', 'yes'][i % 2]!);
const FILES = [
  file('UNCOMPRESSED', integers),
  file('SNAPPY', names),
  file('UNCOMPRESSED', names, 'DELTA_BYTE_ARRAY'),
  file(
    'UNCOMPRESSED',
    TEXTS.map((_, i) => i % 2 === 0),
    'DELTA_LENGTH_BYTE_ARRAY',
  ),
];
/** A structure and a list beside the columns that are used. */
const NESTED = {
  columnData: [
    { name: 'text', data: TEXTS },
    { name: 'label', data: integers },
    { name: 'more', data: TEXTS.map((text, i) => (i % 3 === 0 ? null : { id: i, name: i % 2 === 0 ? text : null })) },
    { name: 'tags', data: TEXTS.map((text, i) => (i % 4 === 0 ? null : Array.from({ length: i % 3 }, () => text))) },
  ],
  schema: [
    { name: 'root', num_children: 4 },
    { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
    { name: 'label', type: 'INT32', repetition_type: 'REQUIRED' },
    { name: 'more', repetition_type: 'OPTIONAL', num_children: 2 },
    { name: 'id', type: 'INT32', repetition_type: 'REQUIRED' },
    { name: 'name', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    { name: 'tags', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  ],
  rowGroupSize: 5,
} as const;
for (const codec of ['UNCOMPRESSED', 'SNAPPY'] as const) {
  FILES.push(Buffer.from(parquetWriteBuffer({ ...NESTED, codec } as never)));
}
const whole = (data: Uint8Array, what: string): Input => ({ files: { [NAME]: data }, what });

function withFooterLength(length: number): Buffer {
  const bytes = Buffer.from(FILES[0]!);
  bytes.writeUInt32LE(length, bytes.length - 8);
  return bytes;
}

export const format: Format = {
  fixed: [
    ...FILES.flatMap((bytes) => cuts(NAME, bytes)),
    ...[0, 1, 0x7fffffff, 0xffffffff].map((length) => whole(withFooterLength(length), `a footer of ${length} bytes`)),
    whole(Buffer.from('PAR1PAR1PAR1'), 'nothing but its marks'),
  ],
  generate(random) {
    const bytes = random.pick(FILES);
    // Its last bytes are a mark without which nothing else is looked at; half of the time only the footer is damaged.
    const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
    const [from, to] = random.pick([
      [0, bytes.length],
      [4, footer],
      [footer, bytes.length - 8],
      [4, bytes.length - 8],
    ]);
    const damaged = damage(bytes.subarray(from, to), random);
    const after = Buffer.from(bytes.subarray(to));
    const result = Buffer.concat([bytes.subarray(0, from), damaged.bytes, after]);
    // A footer that changed its length is still found.
    if (from === footer && result.length > 12) result.writeUInt32LE(damaged.bytes.length, result.length - 8);
    return whole(result, damaged.what);
  },
  async read(directory) {
    const path = join(directory, NAME);
    for await (const records of readRecords(path)) {
      sound(
        records.every(({ values, columns }) => values.length === columns.length),
        'a record lacks columns',
      );
    }
    await readRows(path);
  },
  codes: CODES,
};
