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
  const [embedded, directory] = kind === 'model' ? [EMBEDDED_MODEL, embeddedModel] : [EMBEDDED_DATA, embeddedData];
  return name !== embedded || existsSync(name) ? name : directory();
}

/** The folder of the embedded model, whatever lies in the working directory. */
export function embeddedModel(): string {
  return asset(`models/${EMBEDDED_MODEL}`);
}

/** Whether a path is that of the embedded model in some installation of the package, maybe on another machine. */
export function wasEmbeddedModel(path: string): boolean {
  return path.replaceAll('\\', '/').endsWith(`/bertune/assets/models/${EMBEDDED_MODEL}`);
}

function embeddedData(): string {
  return asset(`data/${EMBEDDED_DATA}`);
}

/** One folder up from lib and from dist. */
function asset(path: string): string {
  return fileURLToPath(new URL(`../../assets/${path}`, import.meta.url));
}
