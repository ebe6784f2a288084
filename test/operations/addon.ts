import { loadOperations as load, type OperationsAddon } from '../../bench/support/operations.js';
import { BertuneError } from '../../lib/errors.js';

/** bertune_operations.node, whose errors are the library's. */
export function loadOperations(): OperationsAddon {
  const addon = load();
  addon.setErrorFactory((code, message) => new BertuneError(code, message));
  return addon;
}
