import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
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
  read: (directory) => readRows(join(directory, NAME)),
  codes: CODES,
};
