import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { packageRoot } from '../native/package.js';

/** The sample model, of the package @bertune/samples. */
export const EMBEDDED_MODEL = 'bert-mini';
/** The sample data, of the same package. */
export const EMBEDDED_DATA = 'goemotions6';

const SAMPLES = '@bertune/samples';
const WORDS = { model: 'model', dataset: 'data set' };
const PATHS = { model: `models/${EMBEDDED_MODEL}`, dataset: `data/${EMBEDDED_DATA}` };

/**
 * Where a model or data set is: the name of a sample means its folder, unless something of that name lies in the
 * working directory. Anything else stays as it is.
 *
 * @throws BertuneError NOT_FOUND for a sample whose package is not installed
 */
export function embeddedPath(kind: 'model' | 'dataset', name: string): string {
  const isSample = name === (kind === 'model' ? EMBEDDED_MODEL : EMBEDDED_DATA);
  if (!isSample || existsSync(name)) return name;
  const path = sample(PATHS[kind]);
  if (path === undefined) {
    throw new BertuneError('NOT_FOUND', `${name} is part of ${howToInstall()}; or name a ${WORDS[kind]} of your own`);
  }
  return path;
}

/** The folder of the sample model, whatever lies in the working directory; undefined where it is not installed. */
export function embeddedModel(): string | undefined {
  return sample(PATHS.model);
}

/** Names the samples' package, and says that it is not installed, and how it is. */
export const howToInstall = () => `the package ${SAMPLES}, which is not installed: run npm install ${SAMPLES}`;

/** Whether a path is that of the sample model in some installation of its package, maybe on another machine. */
export function wasEmbeddedModel(path: string): boolean {
  return /\/(?:bertune\/assets|@bertune\/samples)\/models\/bert-mini$/.test(path.replaceAll('\\', '/'));
}

/** A folder of the samples: in a clone under its root, else in the installed package. */
function sample(path: string): string | undefined {
  const own = join(packageRoot(), 'assets');
  if (existsSync(own)) return join(own, path);
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${SAMPLES}/package.json`)), path);
  } catch {
    return undefined;
  }
}
