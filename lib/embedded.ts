import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The model that comes with the package. */
export const EMBEDDED_MODEL = 'bert-mini';
/** The data that comes with the package. */
export const EMBEDDED_DATA = 'goemotions6';

/**
 * Where a model or data set is: the name of an embedded one means its folder, unless something of that name lies in the
 * working directory. Anything else stays as it is.
 */
export function embeddedPath(kind: 'model' | 'dataset', name: string): string {
  const [embedded, folder] = kind === 'model' ? [EMBEDDED_MODEL, 'models'] : [EMBEDDED_DATA, 'data'];
  if (name !== embedded || existsSync(name)) return name;
  // One folder up from lib and from dist.
  return fileURLToPath(new URL(`../assets/${folder}/${name}`, import.meta.url));
}
