import type { Answered } from './answers.js';

/** Bytes of a head: a multiple of 64, with room for the largest numbers. */
const HEAD_BYTES = 128;

/**
 * Writes embeddings as one array (N, C) of float32, in numpy's format 1.0 (numpy.lib.format). How many there are is known
 * at the end, when the head is written.
 */
export class NpyFormat {
  #rows = 0;
  #columns = 0;

  lines(rows: readonly Answered<{ readonly embedding: Float32Array }>[]): Uint8Array {
    const isFirst = this.#rows === 0;
    this.#rows += rows.length;
    this.#columns = rows[0]!.answer.embedding.length;
    const values = rows.map(({ answer: { embedding } }) =>
      Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength),
    );
    return Buffer.concat(isFirst ? [Buffer.alloc(HEAD_BYTES), ...values] : values);
  }

  head(): Uint8Array {
    const magic = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
    magic.writeUInt16LE(HEAD_BYTES - magic.length, 8);
    const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${this.#rows}, ${this.#columns}), }`;
    return Buffer.concat([magic, Buffer.from(`${description.padEnd(HEAD_BYTES - magic.length - 1)}\n`)]);
  }
}
