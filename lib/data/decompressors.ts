import type { Compressors } from 'hyparquet';
import { expectAddressSpace, WEBASSEMBLY_MEMORY } from '../address-space.js';

let loaded: Compressors | undefined;

/**
 * Loads what unpacks the compressed pages of Parquet files. Only a file that needs it should ask: Snappy's WebAssembly
 * reserves some 10 GiB of address space, more than a process may be allowed.
 *
 * @returns as hyparquet-compressors has them, but that zstd does not believe its own header about the length
 * @throws BertuneError OUT_OF_MEMORY
 */
export async function loadDecompressors(): Promise<Compressors> {
  if (loaded) return loaded;
  expectAddressSpace(WEBASSEMBLY_MEMORY, 'unpack compressed Parquet');
  const { compressors, decompressZstd } = await import('hyparquet-compressors');
  loaded = { ...compressors, ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)) };
  return loaded;
}
