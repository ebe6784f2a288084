import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { readLines } from '../../lib/cli/texts/lines.js';
import { BertuneError } from '../../lib/errors.js';
import { expectRefusal } from '../lib/files.js';

const signal = new AbortController().signal;

async function lines(chunks: readonly (string | Buffer)[], most = 100): Promise<string[][]> {
  const batches: string[][] = [];
  const input = Readable.from(
    chunks.map((chunk) => Buffer.from(chunk)),
    { objectMode: true },
  );
  for await (const batch of readLines(input, most, signal)) batches.push(batch);
  return batches;
}

describe('readLines', () => {
  it('gives lines as they arrive, however they are cut', async () => {
    expect(await lines(['one\ntwo\nth', 'ree\n', 'four'])).to.deep.equal([['one', 'two'], ['three'], ['four']]);
    expect(await lines([])).to.deep.equal([]);
    expect(await lines(['\n\r\n', 'x\r\n'])).to.deep.equal([['', ''], ['x']]);
    expect(await lines(['a\nb\nc\n'], 2)).to.deep.equal([['a', 'b'], ['c']]);
  });

  it('joins characters that are cut in half, and drops a byte order mark', async () => {
    const bytes = Buffer.from('größe\n');
    expect(await lines([bytes.subarray(0, 3), bytes.subarray(3)])).to.deep.equal([['größe']]);
    expect(await lines([Buffer.from('\ufefffirst\n\ufeffsecond\n')])).to.deep.equal([['first', '\ufeffsecond']]);
  });

  it('is split by line ends alone', async () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !/[\r\n\ufeff]/.test(value));
    await fc.assert(
      fc.asyncProperty(fc.array(text), fc.integer({ min: 1, max: 7 }), async (texts, size) => {
        const bytes = Buffer.from(texts.map((value) => `${value}\n`).join(''));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect((await lines(chunks)).flat()).to.deep.equal(texts);
      }),
    );
  });

  it('names the line that is not UTF-8', async () => {
    const broken = Buffer.concat([Buffer.from('good\nbad '), Buffer.from([0xff]), Buffer.from('\nlast\n')]);
    for (const chunks of [
      ['one\n', broken],
      [Buffer.from('one\ngood\n'), broken.subarray(5, 10)],
    ]) {
      const error = await lines(chunks).then(
        () => expect.fail('accepted'),
        (cause: unknown) => cause,
      );
      expect(error).to.be.instanceOf(BertuneError).and.include({ code: 'INVALID_DATA' });
      expect((error as Error).message).to.contain('line 3');
    }
  });

  it('refuses a line that does not end, by its number, and reads no further', async () => {
    const piece = Buffer.alloc(2 ** 20, 'x');
    const long = Array<Buffer>(15).fill(piece);
    expect((await lines([...long, '\n', ...long, 'x\n'])).flat().map((line) => line.length)).to.deep.equal([
      15 * 2 ** 20,
      15 * 2 ** 20 + 1,
    ]);
    let read = 0;
    const endless = Readable.from(
      (function* () {
        yield Buffer.from('one\ntwo\nthree');
        for (;;) {
          read += 1;
          yield piece;
        }
      })(),
    );
    const reading = (async () => {
      for await (const batch of readLines(endless, 10, signal)) expect(batch).to.deep.equal(['one', 'two']);
    })();
    await expectRefusal(reading, 'INVALID_DATA', 'at most 16 MiB on line 3');
    expect(read).to.be.below(40);
  });

  it('stops waiting when it is aborted', async () => {
    const controller = new AbortController();
    const input = new Readable({ read() {} });
    input.push('one\n');
    const batches: string[][] = [];
    await (async () => {
      for await (const batch of readLines(input, 10, controller.signal)) {
        batches.push(batch);
        controller.abort();
      }
    })().catch(() => undefined);
    expect(batches).to.deep.equal([['one']]);
    expect(input.destroyed).to.equal(true);
  });
});
