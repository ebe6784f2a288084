import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { expectAddressSpace } from '../address-space.js';

/** Of the addon and the libraries that it brings, in bytes of address space. */
const ADDON = 128 * 2 ** 20;
/** Of a thread of OpenBLAS: its stack, and a buffer that it asks for again for ever where it cannot have it. */
const BLAS_THREAD = 136 * 2 ** 20;

/**
 * Opens the addon. OpenBLAS, which comes with it, would start a thread for each processor as it is loaded, and none of them
 * would ever have work. The environment tells it not to; that of a worker is not the process's, so there it does.
 *
 * @throws BertuneError OUT_OF_MEMORY where the process may not have enough address space; whatever loading it throws
 */
export function openAddon(path: string): unknown {
  const threads = isMainThread ? 0 : availableParallelism();
  expectAddressSpace(ADDON + threads * BLAS_THREAD, 'load the native addon');
  const { OPENBLAS_NUM_THREADS: before } = process.env;
  process.env.OPENBLAS_NUM_THREADS = '1';
  try {
    return createRequire(import.meta.url)(path);
  } finally {
    if (before === undefined) delete process.env.OPENBLAS_NUM_THREADS;
    else process.env.OPENBLAS_NUM_THREADS = before;
  }
}
