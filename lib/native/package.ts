import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BertuneError } from '../errors.js';

/** The root folder of this package: the nearest one upwards that holds a package.json. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory)
      throw new BertuneError('NATIVE_UNAVAILABLE', 'Expected to find package.json above the bertune library');
    directory = parent;
  }
  return directory;
}

/**
 * The version in this package's package.json.
 *
 * @throws BertuneError NATIVE_UNAVAILABLE where the nearest package.json is another package's
 */
export function packageVersion(): string {
  const file = join(packageRoot(), 'package.json');
  const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version: string };
  if (name === 'bertune') return version;
  throw new BertuneError(
    'NATIVE_UNAVAILABLE',
    `Expected the package.json of bertune above its code but found ${file}, so a bundler has taken the code in; mark bertune ` +
      'as external, and install it beside the bundle',
  );
}
