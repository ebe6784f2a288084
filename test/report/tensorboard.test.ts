import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer, tensorBoard } from '../../lib/index.js';
import { EventWriter } from '../../lib/report/tensorboard.js';
import { crc32c, maskedCrc32c } from '../../lib/report/tensorboard-events.js';
import { withFolder } from '../cli/run-cli.js';

type Field = number | bigint | Buffer;

/** Any message of Protocol Buffers by number of field; written apart from the writer. */
function decode(bytes: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (count: number) => {
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const read = [
      varint,
      () => take(8).readDoubleLE(),
      () => take(Number(varint())),
      undefined,
      undefined,
      () => take(4).readFloatLE(),
    ][key & 7];
    if (!read) throw new Error(`wire type ${key & 7}`);
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), read()]);
  }
  return fields;
}

/** The events of a file; checks every length and checksum. */
function events(file: Buffer) {
  const found: Map<number, Field[]>[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).to.equal(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).to.equal(maskedCrc32c(data));
    found.push(decode(data));
    at += length + 16;
  }
  return found;
}

/** Step, tag and value of every scalar. */
function scalarsOf(file: Buffer): [number, string, number][] {
  return events(file).flatMap((event) =>
    (event.get(5) ?? []).flatMap((summary) =>
      (decode(summary as Buffer).get(1) ?? []).map((bytes): [number, string, number] => {
        const value = decode(bytes as Buffer);
        const plugin = decode(decode(value.get(9)![0] as Buffer).get(1)![0] as Buffer).get(1)![0];
        expect(String(plugin)).to.equal('scalars');
        return [Number(event.get(2)![0]), String(value.get(1)![0]), value.get(2)![0] as number];
      }),
    ),
  );
}

describe('TensorBoard', () => {
  it('computes CRC-32C as RFC 3720 does', () => {
    expect(crc32c(new Uint8Array(32))).to.equal(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).to.equal(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).to.equal(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).to.equal(0x113fdb5c);
    expect(crc32c(Buffer.from('123456789'))).to.equal(0xe3069283);
  });

  it('writes events that a reader of the format reads back', async () => {
    await withFolder(async (folder) => {
      const writer = await EventWriter.open(join(folder, 'a', 'run'));
      writer.scalars(300, [
        { tag: 'train/loss', value: 0.5 },
        { tag: 'ünicode', value: Number.NaN },
      ]);
      writer.scalars(2 ** 33, [{ tag: 'x'.repeat(200), value: -1 }]);
      await writer.close();
      await writer.close();
      const file = await readFile(writer.path);
      const [version] = events(file);
      expect(String(version?.get(3)?.[0])).to.equal('brain.Event:2');
      expect(Math.abs((version?.get(1)?.[0] as number) - Date.now() / 1000)).to.be.lessThan(60);
      expect(scalarsOf(file)).to.deep.equal([
        [300, 'train/loss', 0.5],
        [300, 'ünicode', Number.NaN],
        [2 ** 33, 'x'.repeat(200), -1],
      ]);
    });
  });

  it('follows a trainer, row by row, until it is closed', async () => {
    await withFolder(async (folder) => {
      const trainer = Object.create(Trainer.prototype) as Trainer;
      const log = await tensorBoard(trainer, folder);
      const row = { loss: 1, grad_norm: 2, learning_rate: 0.5, epoch: 0.25, step: 7 };
      trainer.emit('log', row);
      const speed = { eval_runtime: 1, eval_samples_per_second: 1, eval_steps_per_second: 1 };
      const f1 = { eval_f1_macro: 0.25, eval_f1_micro: 0.5, eval_f1_weighted: 0.5 };
      const metrics = { eval_loss: 1, eval_accuracy: 0.5, eval_precision: 0.5, eval_recall: 0.5, ...f1 };
      trainer.emit('evaluate', { ...metrics, ...speed, epoch: 1, step: 8 }, {} as never);
      await new Promise((resolve) => setTimeout(resolve, 100));
      const tags = scalarsOf(await readFile(log.path)).map(([step, tag]) => `${step} ${tag}`);
      expect(tags).to.deep.equal([
        ...['loss', 'grad_norm', 'learning_rate', 'epoch'].map((name) => `7 train/${name}`),
        ...['loss', 'accuracy', 'precision', 'recall', 'f1_macro', 'f1_micro', 'f1_weighted'].map(
          (name) => `8 eval/${name}`,
        ),
      ]);
      await log.close();
      trainer.emit('log', row);
      expect(trainer.listenerCount('log')).to.equal(0);
      expect(scalarsOf(await readFile(log.path))).to.have.lengthOf(11);
    });
  });

  it('refuses what it cannot listen to or write to', async () => {
    for (const [trainer, directory, code] of [
      [{}, 'x', 'INVALID_OPTION'],
      [Object.create(Trainer.prototype), '/dev/null/x', 'OUTPUT_REFUSED'],
    ] as const) {
      const error = await tensorBoard(trainer as Trainer, directory).catch((cause) => cause);
      expect(error).to.have.property('code', code);
    }
  });
});
