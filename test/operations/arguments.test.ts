import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { loadOperations } from './addon.js';
import { type Sizes, starts, type Tensors } from './harness.js';

const where = { device: 'cpu', precision: 'fp32', threads: 1 } as const;

function linear(): { tensors: Tensors; sizes: Sizes } {
  return {
    tensors: {
      inp: new Float64Array(6).fill(1),
      weight: new Float64Array(12).fill(2),
      out: new Float64Array(8),
    },
    sizes: { rows: 2, n: 4, k: 3 },
  };
}

async function expectRefused(name: string, tensors: Tensors, sizes: Sizes, message: RegExp): Promise<void> {
  try {
    await loadOperations().runOperation(name, where, tensors, sizes, 1);
  } catch (error) {
    expect(error).to.be.an.instanceOf(BertuneError);
    expect((error as BertuneError).code).to.equal('INVALID_OPTION');
    expect((error as BertuneError).message).to.match(message);
    return;
  }
  expect.fail(`${name} was not refused`);
}

describe('runOperation', () => {
  it('knows every operation of the backend', () => {
    const header = readFileSync(new URL('../../native/core/backend.h', import.meta.url), 'utf8');
    const rows = [...header.matchAll(/^ {2}X\((\w+), \w+\)/gm)].map((match) => match[1]);
    expect(rows).to.have.length.above(20);
    expect(loadOperations().operations()).to.have.members(rows);
  });

  it('computes in single precision on Float32Array', async () => {
    const out = new Float32Array(8);
    const tensors = { inp: new Float32Array(6).fill(1), weight: new Float32Array(12).fill(2), out };
    const { seconds } = await loadOperations().runOperation('linear_forward', where, tensors, linear().sizes, 3);
    expect(Array.from(out)).to.deep.equal(new Array(8).fill(6));
    expect(seconds).to.be.above(0);
  });

  it('refuses an unknown operation', async () => {
    let found: unknown;
    try {
      await loadOperations().runOperation('softmax', where, {}, {}, 1);
    } catch (error) {
      found = error;
    }
    expect(found).to.be.an.instanceOf(BertuneError);
    expect((found as BertuneError).code).to.equal('NOT_FOUND');
  });

  it('refuses a missing array, naming it', async () => {
    const { tensors, sizes } = linear();
    delete tensors.weight;
    await expectRefused('linear_forward', tensors, sizes, /an array of 12 elements for weight but received undefined/);
  });

  it('refuses a missing number, naming it', async () => {
    const { tensors } = linear();
    await expectRefused('linear_forward', tensors, { rows: 2, n: 4 }, /a number for k but received undefined/);
  });

  it('refuses arrays that are too short, of any field', async () => {
    for (const name of ['inp', 'weight', 'out']) {
      const { tensors, sizes } = linear();
      const length = tensors[name]!.length;
      tensors[name] = new Float64Array(length - 1);
      const message = new RegExp(`at least ${length} elements for ${name} but received one of ${length - 1}`);
      await expectRefused('linear_forward', tensors, sizes, message);
    }
  });

  it('counts rows that lie apart', async () => {
    const { tensors, sizes } = linear();
    await expectRefused('linear_forward', tensors, { ...sizes, inp_stride: 4 }, /at least 7 elements for inp/);
    await expectRefused('linear_forward', tensors, { ...sizes, inp_stride: 2 }, /integer in \[3, \d+\] for inp_stride/);
  });

  it('refuses sizes that no memory holds', async () => {
    const { tensors } = linear();
    const most = 2 ** 31 - 1;
    await expectRefused(
      'linear_forward',
      tensors,
      { rows: most, n: most, k: most },
      /at least 4\.61\d+e\+18 elements for inp/,
    );
  });

  it('refuses sizes that are no positive integers', async () => {
    const { tensors, sizes } = linear();
    for (const k of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
      await expectRefused('linear_forward', tensors, { ...sizes, k }, /an integer in \[1, 2147483647\] for k/);
    }
  });

  it('refuses a name that the operation does not take', async () => {
    const { tensors, sizes } = linear();
    await expectRefused('linear_forward', { ...tensors, biass: new Float64Array(4) }, sizes, /own fields .* biass/);
    await expectRefused('linear_forward', tensors, { ...sizes, strid: 1 }, /own fields .* strid/);
  });

  it('refuses an array of another type', async () => {
    const { tensors, sizes } = linear();
    await expectRefused('linear_forward', { ...tensors, inp: new Int32Array(6) }, sizes, /a Float32Array .* for inp/);
    const bytes = new Uint8Array(24) as unknown as Int32Array;
    await expectRefused('linear_forward', { ...tensors, inp: bytes }, sizes, /a Float32Array, .* for inp/);
  });

  it('refuses padding that leaves no rows, or more tokens than an integer counts', async () => {
    const { tensors, sizes } = linear();
    await expectRefused('linear_forward', tensors, { ...sizes, padding_tokens: 2 }, /more than the padding for rows/);
    await expectRefused('linear_forward', tensors, { ...sizes, padding_tokens: 2 ** 31 }, /for padding_tokens/);
    const cu_seqlens = Int32Array.of(0, 2 ** 31 - 1);
    const whole = { ...tensors, cu_seqlens };
    await expectRefused('linear_forward', whole, { n: 4, k: 3, padding_tokens: 1 }, /at most .* for cu_seqlens/);
  });

  it('refuses a slot or a place in the order behind the end of what is kept', async () => {
    const kept = {
      cu_seqlens: starts([1, 1]),
      labels: new Int32Array(2),
      predictions: new Int32Array(2),
      loss: new Float64Array(1),
      losses: new Float64Array(3),
      norms: new Float64Array(3),
      correct: new Int32Array(3),
    };
    await expectRefused('keep_step', kept, { slot: 3 }, /at least 4 elements for losses/);
    await expectRefused('keep_step', { ...kept, correct: new Int32Array(2) }, { slot: 2 }, /at least 3 .* for correct/);
    const logits = { cu_seqlens: starts([1, 1]), logits: new Float64Array(6), kept_logits: new Float64Array(9) };
    await expectRefused('keep_logits', logits, { NC: 3, order_begin: 2 }, /at least 12 elements for kept_logits/);
  });

  it('refuses indices that point outside', async () => {
    const row = () => new Float64Array(2);
    const tensors = {
      cu_seqlens: starts([2]),
      ids: Int32Array.of(1, 3),
      word: new Float64Array(6),
      token_type: row(),
      position: new Float64Array(4),
      gamma: row(),
      beta: row(),
      sum: new Float64Array(4),
      mean: row(),
      rstd: row(),
      out: new Float64Array(4),
    };
    const sizes = { V: 3, C: 2, eps: 1e-12 };
    await expectRefused('embedding_forward', tensors, sizes, /integers in \[0, 3\) for ids but received 3 at 1/);
    const short = { ...tensors, ids: Int32Array.of(0, 1), position: row() };
    await expectRefused('embedding_forward', short, sizes, /at least 4 elements for position/);
    const positions = { ...tensors, ids: Int32Array.of(0, 1), positions: Int32Array.of(-2, 0) };
    await expectRefused(
      'embedding_forward',
      positions,
      sizes,
      /integers in \[-1, 2\) for positions but received -2 at 0/,
    );
    const typed = { ...tensors, ids: Int32Array.of(0, 1), token_types: Int32Array.of(0, 0), token_type: undefined };
    await expectRefused(
      'embedding_forward',
      typed as unknown as Tensors,
      sizes,
      /integers in \[0, 0\) for token_types/,
    );
    const loss = { cu_seqlens: starts([1]), labels: Int32Array.of(-1), logits: row(), loss: row() };
    const targets = { ...loss, labels: undefined, targets: row() } as unknown as Tensors;
    await expectRefused('mean_squared_error', targets, { NC: 3 }, /at least 3 elements for targets/);
    await expectRefused('cross_entropy', loss, { NC: 2 }, /integers in \[0, 2\) for labels but received -1 at 0/);
  });

  it('refuses starts of sequences that do not increase', async () => {
    for (const cuSeqlens of [[1, 2], [0, 2, 2], [0, 3, 1], [0]]) {
      const tensors = { cu_seqlens: Int32Array.from(cuSeqlens), inp: new Float64Array(8), out: new Float64Array(8) };
      await expectRefused('first_rows_forward', tensors, { C: 1 }, /for cu_seqlens but received/);
    }
  });

  it('refuses rows that the batch does not have', async () => {
    const { tensors, sizes } = linear();
    const batch = { ...tensors, cu_seqlens: starts([1, 2]) };
    await expectRefused('linear_forward', batch, sizes, /an integer in \[3, 3\] for rows but received 2/);
  });

  it('refuses a precision and a device that are not there', async () => {
    const { tensors, sizes } = linear();
    for (const [other, code] of [
      [{ ...where, precision: 'tf32' }, 'INVALID_OPTION'],
      [{ ...where, threads: 0 }, 'INVALID_OPTION'],
      [{ ...where, device: 'tpu' }, undefined],
    ] as const) {
      let found: unknown;
      try {
        await loadOperations().runOperation('linear_forward', other as unknown as typeof where, tensors, sizes, 1);
      } catch (error) {
        found = error;
      }
      expect(found).to.be.an.instanceOf(BertuneError);
      if (code) expect((found as BertuneError).code).to.equal(code);
    }
  });

  it('leaves inputs and the elements between rows alone', async () => {
    const { tensors, sizes } = linear();
    tensors.out = new Float64Array(9).fill(-1);
    await loadOperations().runOperation('linear_forward', where, tensors, { ...sizes, out_stride: 5 }, 1);
    expect(Array.from(tensors.out)).to.deep.equal([6, 6, 6, 6, -1, 6, 6, 6, 6]);
    expect(Array.from(tensors.inp!)).to.deep.equal(new Array(6).fill(1));
  });
});
