import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, readSafetensorsHeader } from '../../../../lib/formats/safetensors.js';
import { dtypeSize, toFloat32 } from '../../../../lib/formats/tensor.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import type { Random } from '../random.js';
import { CODES, safetensorsBytes, tensor, withHeader } from '../seeds.js';

const NAME = 'model.safetensors';

const BYTES = safetensorsBytes(
  new Map([
    ['bert.embeddings.LayerNorm.weight', tensor(4)],
    ['bert.pooler.dense.weight', tensor(4, 4)],
    ['empty', tensor(0, 3)],
    ['scalar', tensor()],
  ]),
  { format: 'pt', note: 'é' },
);
const HEADER_BYTES = Number(BYTES.readBigUInt64LE());
const HEADER = BYTES.toString('utf8', 8, 8 + HEADER_BYTES);
const BODY = BYTES.subarray(8 + HEADER_BYTES);
const DOCUMENT = new JsonDocument(JSON.parse(HEADER));

const LENGTHS = [
  0n,
  1n,
  7n,
  8n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
  100_000_000n,
];

const entry = (dtype: string, shape: string, begin: string, end: string) =>
  `{"a":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}}`;

function crafted(what: string, header: string, body = 0, length?: bigint): Input {
  return { files: { [NAME]: withHeader(header, Buffer.alloc(body), length) }, what };
}

const emptyTensors = (count: number) => {
  const tensor = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
  return `{${Array.from({ length: count }, (_, i) => `"t${i}":${tensor}`).join()}}`;
};

export const format: Format = {
  fixed: [
    ...cuts(NAME, BYTES),
    ...LENGTHS.map((length) => crafted(`a header of ${length} bytes`, HEADER, BODY.length, length)),
    crafted('2^40 bytes of tensor', entry('F32', '[274877906944]', '0', '1099511627776'), 16),
    crafted('a shape that overflows', entry('F32', '[4294967296,4294967296]', '0', '16'), 16),
    crafted('a shape that overflows to 0', entry('F32', '[9223372036854775808,2]', '0', '0')),
    crafted('an empty shape with a huge extent', entry('F32', '[0,9007199254740991]', '0', '0')),
    crafted('an extent beyond 2^53', entry('U8', '[18446744073709551615]', '0', '16'), 16),
    crafted('a negative extent', entry('U8', '[-4,-4]', '0', '16'), 16),
    crafted('a fraction', entry('U8', '[1.5]', '0', '1'), 1),
    crafted('1e400', entry('U8', '[1e400]', '0', '1e400'), 1),
    crafted('offsets backwards', entry('U8', '[0]', '8', '0'), 8),
    crafted('an unknown dtype', entry('F128', '[1]', '0', '16'), 16),
    crafted('a prototype for a dtype', entry('constructor', '[1]', '0', '16'), 16),
    crafted('100,000 levels', `{"a":${'['.repeat(100_000)}`),
    crafted('100,000 extents of 1', entry('U8', `[${'1,'.repeat(100_000)}1]`, '0', '1'), 1),
    crafted('20,000 empty tensors', emptyTensors(20_000)),
    crafted('600,000 empty tensors', emptyTensors(600_000)),
    crafted('a million names in metadata', `{"__metadata__":{${'"a":"b",'.repeat(1_000_000)}"c":"d"}}`),
    crafted('a name of 100,000 characters', `{"${'\\u001b'.repeat(100_000)}":0}`),
  ],
  generate(random: Random): Input {
    if (random.chance(0.5)) {
      const { text, what } = DOCUMENT.mutated(random);
      const length = random.chance(0.05) ? random.pick(LENGTHS) : undefined;
      return { files: { [NAME]: withHeader(text, BODY, length) }, what };
    }
    const { bytes, what } = damage(BYTES, random);
    return { files: { [NAME]: bytes }, what };
  },
  async read(directory) {
    const path = join(directory, NAME);
    const { tensors, metadata } = await readSafetensors(path);
    const header = await readSafetensorsHeader(path);
    let bytes = 0;
    for (const [name, { dtype, shape, data }] of tensors) {
      const needed = shape.reduce((a, b) => a * b, dtypeSize(dtype));
      sound(data.length === needed, `${name} has ${data.length} bytes, not ${needed}`);
      sound(
        shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0),
        `${name} has the shape ${shape}`,
      );
      if (!/^(F8|C64)/.test(dtype))
        sound(toFloat32({ dtype, shape, data }).length * dtypeSize(dtype) === needed, `${name} converts`);
      bytes += data.length;
    }
    sound(tensors.size === header.tensors.size, 'the header alone lists other tensors');
    sound(
      Object.values(metadata).every((value) => typeof value === 'string'),
      'metadata are not texts',
    );
    const { size } = await stat(path);
    sound(bytes < size, `${bytes} bytes of tensors are in a file of ${size}`);
  },
  codes: CODES,
};
