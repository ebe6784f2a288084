// What tests and benches have beside the library: bertune_operations.node, which runs the backend's operations one at a time
// (native/operations), and the CUDA backend under its emulator (test/simt). Both lie beside the addon.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const { BERTUNE_ADDON, BERTUNE_EMULATOR } = process.env;
const folder = BERTUNE_ADDON
  ? path.dirname(path.resolve(BERTUNE_ADDON))
  : fileURLToPath(new URL('../../build/Release', import.meta.url));

export const EMULATED = 'cuda-emulated';

/** The emulator's build that BERTUNE_EMULATOR names: fast (the default), asan or race. */
const suffix = !BERTUNE_EMULATOR || BERTUNE_EMULATOR === 'fast' ? '' : `_${BERTUNE_EMULATOR}`;
export const EMULATOR_LIBRARY = path.join(folder, `libbertune_cuda_emulated${suffix}.so`);

/** Adds the device 'cuda-emulated' to an addon, where the emulator is built. @returns the addon */
export function withEmulator(addon) {
  if (existsSync(EMULATOR_LIBRARY)) addon.addDevice(EMULATED, EMULATOR_LIBRARY);
  return addon;
}

let loaded;

/** Loads bertune_operations.node once. Its errors carry their code. */
export function loadOperations() {
  loaded ??= open();
  return loaded;
}

function open() {
  // As openAddon of lib/native/addon.ts does, so that OpenBLAS starts no threads of its own.
  const { OPENBLAS_NUM_THREADS: before } = process.env;
  process.env.OPENBLAS_NUM_THREADS = '1';
  try {
    const addon = createRequire(import.meta.url)(path.join(folder, 'bertune_operations.node'));
    addon.setErrorFactory((code, message) => Object.assign(new Error(message), { code }));
    return withEmulator(addon);
  } finally {
    if (before === undefined) delete process.env.OPENBLAS_NUM_THREADS;
    else process.env.OPENBLAS_NUM_THREADS = before;
  }
}
