import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { BertuneError } from '../../lib/errors.js';
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from '../../lib/formats/safetensors.js';
import { dtypeSize, fromFloat32, type SafetensorsDtype, type Tensor, toFloat32 } from '../../lib/formats/tensor.js';
import { comparable, expectRefusal, fixture, rawSafetensors, useTemporaryDirectory } from './files.js';

const DTYPES: SafetensorsDtype[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U8', 'BOOL'];

function tensor(dtype: SafetensorsDtype, shape: number[], data: ArrayLike<number>): Tensor {
  return { dtype, shape, data: Uint8Array.from(data) };
}

function entry(dtype: string, shape: unknown, offsets: unknown): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

describe('safetensors', () => {
  const directory = useTemporaryDirectory();

  /** Writes the bytes to a file and reads it. */
  async function read(bytes: Uint8Array) {
    await writeFile(directory.path('file.safetensors'), bytes);
    return readSafetensors(directory.path('file.safetensors'));
  }

  describe('files of the safetensors library', () => {
    it('are read and written again byte for byte', async () => {
      const files = (await readdir(fixture(), { recursive: true })).filter((name) => name.endsWith('.safetensors'));
      expect(files).to.have.length.above(20);
      for (const name of files) {
        const { tensors, metadata } = await readSafetensors(fixture(name));
        await writeSafetensors(directory.path('copy'), tensors, metadata);
        const same = (await readFile(fixture(name))).equals(await readFile(directory.path('copy')));
        expect(same, name).to.equal(true);
      }
    });

    it('give their names, types and shapes without their contents', async () => {
      const path = fixture('checkpoints', 'old-names', 'model.safetensors');
      const { tensors, metadata } = await readSafetensors(path);
      const header = await readSafetensorsHeader(path);
      expect(header.metadata).to.deep.equal(metadata).and.deep.equal({ format: 'pt' });
      expect([...header.tensors]).to.deep.equal(
        [...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
      );
    });
  });

  describe('writing', () => {
    it('sorts by alignment, then name, and pads the header to 8 bytes', async () => {
      const tensors = new Map([
        ['b', tensor('F32', [1], [1, 2, 3, 4])],
        ['z', tensor('I64', [1], [1, 0, 0, 0, 0, 0, 0, 0])],
        ['a', tensor('U8', [3], [7, 8, 9])],
        ['c', tensor('F16', [], [5, 6])],
        ['a/2', tensor('F32', [0, 4], [])],
        // Code points decide, not UTF-16 units: U+FF61 comes before U+1F600.
        ['😀', tensor('BOOL', [1], [1])],
        ['｡', tensor('BOOL', [1], [0])],
      ]);
      await writeSafetensors(directory.path('file'), tensors);
      const bytes = await readFile(directory.path('file'));
      const length = Number(bytes.readBigUInt64LE());
      expect(length % 8).to.equal(0);
      const header = bytes.subarray(8, 8 + length).toString();
      expect(header).to.match(/^\{"__metadata__":\{"format":"pt"\},"z":.*\} *$/);
      expect(Object.keys(JSON.parse(header))).to.deep.equal(['__metadata__', 'z', 'a/2', 'b', 'c', 'a', '｡', '😀']);
      expect(bytes.subarray(8 + length).toString('hex')).to.equal('010000000000000001020304050607080900' + '01');
      expect(comparable((await readSafetensors(directory.path('file'))).tensors)).to.deep.equal(comparable(tensors));
    });

    it('keeps names that objects treat in their own way', async () => {
      const names = ['__proto__', 'constructor', '10', '9', 'hasOwnProperty', '', 'a"b\\c\n', 'ü'];
      const tensors = new Map(names.map((name, index) => [name, tensor('U8', [1], [index])]));
      await writeSafetensors(directory.path('file'), tensors, {});
      const found = (await readSafetensors(directory.path('file'))).tensors;
      expect([...found.keys()].sort()).to.deep.equal([...names].sort());
      names.forEach((name, index) => {
        expect([...found.get(name)!.data]).to.deep.equal([index]);
      });
    });

    it('writes and reads a file without tensors', async () => {
      await writeSafetensors(directory.path('file'), new Map(), {});
      const found = await readSafetensors(directory.path('file'));
      expect(found.tensors.size).to.equal(0);
      expect(found.metadata).to.deep.equal({});
    });

    it('refuses tensors that contradict themselves, and leaves nothing behind', async () => {
      const write = (name: string, value: Tensor) => writeSafetensors(directory.path('file'), new Map([[name, value]]));
      await expectRefusal(
        write('a', tensor('F32', [2], [1, 2, 3, 4])),
        'SHAPE_MISMATCH',
        'Expected 8 bytes for tensor a of dtype F32 and shape [2] but received 4',
      );
      await expectRefusal(write('__metadata__', tensor('U8', [1], [1])), 'INVALID_OPTION', '__metadata__');
      await expectRefusal(write('\ud800', tensor('U8', [1], [1])), 'INVALID_OPTION');
      await expectRefusal(write('a', tensor('U8', [-1], [])), 'INVALID_OPTION', '[-1]');
      await expectRefusal(write('a', tensor('F3' as SafetensorsDtype, [1], [1])), 'INVALID_OPTION', 'F3');
      expect(await readdir(directory.path())).to.deep.equal([]);
    });
  });

  describe('a broken file', () => {
    const invalid = (bytes: Uint8Array, ...patterns: (RegExp | string)[]) =>
      expectRefusal(read(bytes), 'CHECKPOINT_INVALID', 'file.safetensors', ...patterns);

    it('is refused at whatever byte it is cut off', async () => {
      const whole = rawSafetensors(`{"a":${entry('F32', [2], [0, 8])},"b":${entry('U8', [3], [8, 11])}}   `, 11);
      expect((await read(whole)).tensors.size).to.equal(2);
      for (let length = 0; length < whole.length; length++) await invalid(whole.subarray(0, length));
    });

    it('is refused where bytes follow', async () => {
      await invalid(rawSafetensors(`{"a":${entry('U8', [1], [0, 1])}}`, 4), '3 bytes follow its last tensor');
      await invalid(rawSafetensors('{}', 4), '4 bytes follow its last tensor');
    });

    it('is refused where tensors overlap, leave a hole or run backwards', async () => {
      const two = (first: string, second: string) => rawSafetensors(`{"a":${first},"b":${second}}`, 8);
      await invalid(two(entry('U8', [4], [0, 4]), entry('U8', [5], [3, 8])), '"b" begins at byte 3, not 4', 'overlaps');
      await invalid(two(entry('U8', [4], [0, 4]), entry('U8', [4], [0, 4])), 'overlaps');
      await invalid(two(entry('U8', [4], [0, 4]), entry('U8', [3], [5, 8])), '"b" begins at byte 5, not 4', 'hole');
      await invalid(two(entry('U8', [3], [1, 4]), entry('U8', [4], [4, 8])), '"a" begins at byte 1, not 0', 'hole');
      await invalid(two(entry('U8', [4], [4, 0]), entry('U8', [4], [4, 8])), 'ends at byte 0, before it begins at 4');
    });

    it('is refused where shape, type and bytes do not agree', async () => {
      await invalid(rawSafetensors(`{"a":${entry('F32', [3], [0, 8])}}`, 8), 'takes 12 bytes, not 8');
      await invalid(rawSafetensors(`{"a":${entry('F32', [], [0, 8])}}`, 8), 'takes 4 bytes, not 8');
      await invalid(rawSafetensors(`{"a":${entry('F16', [0], [0, 2])}}`, 2), 'takes 0 bytes, not 2');
      await invalid(
        rawSafetensors(`{"a":${entry('F32', [2 ** 31, 2 ** 31, 2 ** 31], [0, 8])}}`, 8),
        'takes more than 2^53 bytes, not 8',
      );
    });

    it('is refused for numbers that are no counts', async () => {
      for (const offsets of [
        '[-8,0]',
        '[0.5,8]',
        '[0,9007199254740993]',
        '["0",8]',
        '[0]',
        '[0,4,8]',
        'null',
        '{}',
        '1',
      ]) {
        await invalid(rawSafetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":${offsets}}}`, 8), 'data_offsets');
      }
      for (const shape of ['[-2]', '[2.5]', '[1e400]', '[9007199254740993]', '["2"]', '2', 'null']) {
        await invalid(rawSafetensors(`{"a":{"dtype":"F32","shape":${shape},"data_offsets":[0,8]}}`, 8), 'shape');
      }
    });

    it('describes fewer tensors than would hold up the process', async () => {
      const empty = (count: number) =>
        `{${Array.from({ length: count }, (_, i) => `"t${i}":${entry('F32', [0, 1], [0, 0])}`).join()}}`;
      await writeFile(directory.path('many'), rawSafetensors(empty(100_000), 0));
      expect((await readSafetensorsHeader(directory.path('many'))).tensors.size).to.equal(100_000);
      await invalid(rawSafetensors(empty(120_000), 0), 'more than 1048576 keys and values');
    });

    it('takes no memory for what the header merely claims', async () => {
      const before = process.memoryUsage().arrayBuffers;
      const tera = 2 ** 40;
      await invalid(rawSafetensors(`{"a":${entry('U8', [tera], [0, tera])}}`, 8), `take ${tera} bytes but only 8`);
      await invalid(rawSafetensors('{', 0, 2n ** 63n), 'claims 9223372036854775808 bytes');
      await invalid(rawSafetensors('{', 0, 99_999_999n), 'claims 99999999 bytes but only 1 follow');
      await writeFile(directory.path('long'), rawSafetensors('{', 0, 100_000_001n));
      await truncate(directory.path('long'), 200_000_000);
      await expectRefusal(readSafetensors(directory.path('long')), 'CHECKPOINT_INVALID', 'more than the 100000000');
      await writeFile(directory.path('zeros'), rawSafetensors('', 0, 99_999_999n));
      await truncate(directory.path('zeros'), 200_000_000);
      await expectRefusal(readSafetensors(directory.path('zeros')), 'CHECKPOINT_INVALID', 'does not start with {');
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(4e6);
    });

    it('is refused where a name occurs twice, however it is spelt', async () => {
      const one = entry('U8', [1], [0, 1]);
      await invalid(rawSafetensors(`{"a":${one},"a":${one}}`, 1), 'the name "a" occurs twice');
      await invalid(rawSafetensors(`{"a" :${one},"\\u0061": ${one}}`, 1), 'the name "a" occurs twice');
      await invalid(rawSafetensors(`{"__proto__":${one},"__proto__":${one}}`, 1), 'occurs twice');
      await invalid(rawSafetensors('{"__metadata__":{"a":"1","a":"2"}}'), 'occurs twice');
      await invalid(rawSafetensors('{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1), 'twice');
    });

    it('tells a repeated name from a repeated text', async () => {
      const header = `{"__metadata__":{"a":"a","b":"a\\":","c":"{"},"a":${entry('U8', [1], [0, 1])}}`;
      expect((await read(rawSafetensors(header, 1))).metadata).to.deep.equal({ a: 'a', b: 'a":', c: '{' });
    });

    it('is refused for types that are not known', async () => {
      for (const dtype of ['F31', 'constructor', '__proto__', '', 'f32']) {
        await invalid(
          rawSafetensors(`{"a":${entry(dtype, [1], [0, 4])}}`, 4),
          `unknown dtype ${JSON.stringify(dtype)}`,
        );
      }
      await invalid(rawSafetensors('{"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}}', 4), 'unknown dtype');
      await invalid(rawSafetensors('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4), 'unknown dtype');
    });

    it('is refused where the header is not such JSON', async () => {
      await invalid(rawSafetensors(''), 'does not start with {');
      await invalid(rawSafetensors('[{}]'), 'does not start with {');
      await invalid(rawSafetensors(' {}'), 'does not start with {');
      await invalid(rawSafetensors('\ufeff{}'), 'does not start with {');
      await invalid(rawSafetensors('{"a":}'), 'Expected JSON in the header');
      await invalid(rawSafetensors('{}\0\0'), 'Expected JSON in the header');
      await invalid(rawSafetensors('{"a":1}'), 'tensor "a" is not described by an object');
      await invalid(rawSafetensors('{"a":null}'), 'tensor "a" is not described by an object');
      await invalid(rawSafetensors('{"__metadata__":{"a":1}}'), 'not a map of strings to strings');
      await invalid(rawSafetensors('{"__metadata__":["a"]}'), 'not a map of strings to strings');
      await invalid(rawSafetensors(`{"\\ud800":${entry('U8', [1], [0, 1])}}`, 1), 'not Unicode text');
      await invalid(rawSafetensors(Buffer.from('7b22ff223a7b7d7d', 'hex')), 'UTF-8');
      await invalid(rawSafetensors(Buffer.from('7b22c0af223a7b7d7d', 'hex')), 'UTF-8');
    });

    it('is refused where the header is nested deeply', async () => {
      for (const depth of [200, 1_000_000]) {
        const deep = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
        await invalid(rawSafetensors(deep), 'nested deeper than 128');
        await invalid(rawSafetensors(deep.slice(0, depth)), 'nested deeper than 128');
      }
    });

    it('is told to be what it is', async () => {
      const zip = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(60)]);
      await invalid(zip, 'it is a pickle', 'Convert it to safetensors');
      await invalid(Buffer.from('80028a0a6cfc9c46f9206aa850192e8004', 'hex'), 'it is a pickle');
      await invalid(Buffer.from('80049520000000000000007d', 'hex'), 'it is a pickle');
      await invalid(Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'), 'git lfs pull');
      await invalid(Buffer.from('\x89HDF\r\n\x1a\n....', 'latin1'), 'HDF5');
      await invalid(Buffer.from('GGUF........'), 'GGUF');
    });

    it('is not taken for a pickle because of the length of its header', async () => {
      // 0x0280 as a little-endian length starts with the first two bytes of a pickle of protocol 2.
      const header = `{"a":${entry('U8', [1], [0, 1])}}`.padEnd(0x280);
      expect((await read(rawSafetensors(header, 1))).tensors.size).to.equal(1);
    });

    it('is NOT_FOUND where there is none, and no directory', async () => {
      await expectRefusal(readSafetensors(directory.path('none')), 'NOT_FOUND', 'Expected a file at', 'none');
      await expectRefusal(readSafetensors(join(fixture('README.md'), 'x')), 'NOT_FOUND');
      await expectRefusal(readSafetensors(directory.path()), 'CHECKPOINT_INVALID', 'found a directory');
      await expectRefusal(readSafetensors(directory.path('a\0b')), 'CHECKPOINT_INVALID');
      await expectRefusal(readSafetensors(''), 'INVALID_OPTION', 'path');
      await expectRefusal(readSafetensors('/dev/zero'), 'CHECKPOINT_INVALID', 'found something else');
    });
  });

  describe('properties', () => {
    const tensors = fc
      .uniqueArray(
        fc.record({
          name: fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__'),
          dtype: fc.constantFrom(...DTYPES),
          shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
          seed: fc.nat({ max: 255 }),
        }),
        { selector: ({ name }) => name, maxLength: 8 },
      )
      .map((items) => {
        return new Map(
          items.map(({ name, dtype, shape, seed }) => {
            const bytes = shape.reduce((product, extent) => product * extent, dtypeSize(dtype));
            return [name, { dtype, shape, data: Uint8Array.from({ length: bytes }, (_, i) => seed + 7 * i) }];
          }),
        );
      });
    const metadata = fc.dictionary(fc.string(), fc.string());

    it('what is written is read', async () => {
      await fc.assert(
        fc.asyncProperty(tensors, metadata, async (written, meta) => {
          await writeSafetensors(directory.path('file'), written, meta);
          const found = await readSafetensors(directory.path('file'));
          expect(comparable(found.tensors)).to.deep.equal(comparable(written));
          expect(Object.entries(found.metadata).sort()).to.deep.equal(Object.entries(meta).sort());
        }),
        { numRuns: 150 },
      );
    });

    it('changed bytes are read or refused, never anything else', async () => {
      const flips = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(tensors, flips, async (written, changes) => {
          await writeSafetensors(directory.path('file'), written);
          const bytes = await readFile(directory.path('file'));
          for (const [position, value] of changes) bytes[position % bytes.length] = value;
          try {
            const found = await read(bytes);
            for (const { dtype, shape, data } of found.tensors.values()) {
              expect(data.length).to.equal(shape.reduce((product, extent) => product * extent, dtypeSize(dtype)));
            }
          } catch (error) {
            expect(error).to.be.instanceOf(BertuneError).with.property('code', 'CHECKPOINT_INVALID');
            refused++;
          }
        }),
        { numRuns: 400 },
      );
      expect(refused).to.be.above(100);
    });
  });

  describe('toFloat32', () => {
    it('converts all 65,536 half-precision numbers exactly', () => {
      const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
      const floats = toFloat32({ dtype: 'F16', shape: [65536], data: new Uint8Array(halves.buffer) });
      for (let bits = 0; bits < 65536; bits++) {
        const exponent = (bits >> 10) & 31;
        const fraction = bits & 1023;
        const sign = bits & 0x8000 ? -1 : 1;
        const value =
          exponent === 31
            ? fraction === 0
              ? Infinity
              : Number.NaN
            : exponent === 0
              ? fraction * 2 ** -24
              : (1 + fraction / 1024) * 2 ** (exponent - 15);
        if (!Object.is(floats[bits], sign * value))
          expect(floats[bits], `0x${bits.toString(16)}`).to.equal(sign * value);
      }
    });

    it('converts bfloat16 as the upper half of float32, NaN payloads included', () => {
      const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
      const floats = toFloat32({ dtype: 'BF16', shape: [65536], data: new Uint8Array(halves.buffer) });
      const bits = new Uint32Array(floats.buffer);
      for (let i = 0; i < 65536; i++) if (bits[i] !== i * 65536) expect(bits[i]).to.equal(i * 65536);
      expect(toFloat32(tensor('BF16', [3], [0x80, 0x3f, 0x80, 0xff, 0x01, 0x00]))[0]).to.equal(1);
    });

    it('converts the other types', () => {
      const of = (dtype: SafetensorsDtype, values: { buffer: ArrayBufferLike; length: number }) =>
        toFloat32({ dtype, shape: [values.length], data: new Uint8Array(values.buffer) });
      expect([...of('F64', Float64Array.of(1.5, -1e300, 1e-300, 0.1))]).to.deep.equal([
        1.5,
        -Infinity,
        0,
        Math.fround(0.1),
      ]);
      expect([...of('F32', Float32Array.of(1.5, -0, Infinity))]).to.deep.equal([1.5, -0, Infinity]);
      expect([...of('I64', BigInt64Array.of(-3n, 1n << 40n))]).to.deep.equal([-3, 2 ** 40]);
      expect([...of('U64', BigUint64Array.of(3n))]).to.deep.equal([3]);
      expect([...of('I32', Int32Array.of(-7, 7))]).to.deep.equal([-7, 7]);
      expect([...of('U32', Uint32Array.of(4_000_000_000))]).to.deep.equal([4_000_000_000]);
      expect([...of('I16', Int16Array.of(-7))]).to.deep.equal([-7]);
      expect([...of('U16', Uint16Array.of(65535))]).to.deep.equal([65535]);
      expect([...of('I8', Int8Array.of(-7))]).to.deep.equal([-7]);
      expect([...of('U8', Uint8Array.of(255))]).to.deep.equal([255]);
      expect([...of('BOOL', Uint8Array.of(0, 1))]).to.deep.equal([0, 1]);
      expect(() => of('C64', Float64Array.of(1))).to.throw(BertuneError, 'C64');
    });

    it('reads from any byte offset and returns a copy', () => {
      const bytes = new Uint8Array(17);
      bytes.set(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), 1);
      const data = bytes.subarray(1);
      const values = toFloat32({ dtype: 'F32', shape: [4], data });
      expect([...values]).to.deep.equal([1, 2, 3, 4]);
      const aligned = { dtype: 'F32' as const, shape: [1], data: new Uint8Array(Float32Array.of(5).buffer) };
      toFloat32(aligned)[0] = 9;
      expect(toFloat32(aligned)[0]).to.equal(5);
    });

    it('agrees with PyTorch on stored half-precision weights', async () => {
      const load = async (name: string) =>
        (await readSafetensors(fixture('checkpoints', name, 'model.safetensors'))).tensors;
      const exact = await load('plain');
      for (const [name, digits] of [
        ['f16', 11],
        ['bf16', 8],
      ] as const) {
        for (const [key, rounded] of await load(name)) {
          const values = toFloat32(exact.get(key)!);
          toFloat32(rounded).forEach((value, i) => {
            expect(Math.abs(value - values[i]!), key).to.be.at.most(Math.abs(values[i]!) * 2 ** -digits + 2 ** -25);
          });
        }
      }
    });
  });

  describe('fromFloat32', () => {
    it('lays a tensor over the values', () => {
      const values = Float32Array.of(0, 1, 2, 3, 4, 5, 6).subarray(1);
      const made = fromFloat32(values, [2, 3]);
      expect(made.dtype).to.equal('F32');
      expect(made.shape).to.deep.equal([2, 3]);
      expect([...toFloat32(made)]).to.deep.equal([1, 2, 3, 4, 5, 6]);
      values[0] = 8;
      expect(toFloat32(made)[0]).to.equal(8);
    });

    it('refuses another number of values', async () => {
      await expectRefusal(() => fromFloat32(Float32Array.of(1, 2), [3]), 'SHAPE_MISMATCH', '[3]', 'received 2');
    });
  });
});
