import type { Compressors } from 'hyparquet';
import { BertuneError } from '../errors.js';

/**
 * Loads what unpacks the compressed pages of Parquet files. Only a file that needs it should ask: Snappy's WebAssembly
 * reserves some 10 GiB of address space, more than a process may be allowed.
 *
 * @returns as hyparquet-compressors has them, but that zstd does not believe its own header about the length
 * @throws BertuneError OUT_OF_MEMORY
 */
export async function loadDecompressors(): Promise<Compressors> {
  try {
    const { compressors, decompressZstd } = await import('hyparquet-compressors');
    return { ...compressors, ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)) };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new BertuneError(
      'OUT_OF_MEMORY',
      'Not enough address space to unpack compressed Parquet, which takes some 10 GiB of it; raise `ulimit -v`, or ' +
        'convert the file to CSV or JSON Lines',
      { cause },
    );
  }
}
