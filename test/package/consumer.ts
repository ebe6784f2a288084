import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LOCK = fileURLToPath(new URL('../../package-lock.json', import.meta.url));

interface Manifest {
  name: string;
  os?: string[];
  optionalDependencies?: Record<string, string>;
}

/**
 * Writes package.json and package-lock.json of a project that depends on the packages packed in a folder. Everything else is
 * locked as it is in this repository, so that npm has it in its cache.
 */
export async function writeConsumer(project: string, packages: string): Promise<void> {
  const { packages: locked } = JSON.parse(await readFile(LOCK, 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const entries: Record<string, object> = Object.fromEntries(
    Object.entries(locked).filter(([folder, { dev }]) => folder !== '' && !dev),
  );
  const dependencies: Record<string, string> = {};
  for (const file of await readdir(packages)) {
    if (!file.endsWith('.tgz')) continue;
    const folder = file.replace(/-\d+\.\d+\.\d+.*$/, '');
    const manifest = JSON.parse(await readFile(join(packages, folder, 'package.json'), 'utf8')) as Manifest;
    const resolved = `file:${join(packages, file)}`;
    // The main package depends on those of platforms: npm locks all of them, and installs one.
    const optional = manifest.os !== undefined;
    if (!optional) dependencies[manifest.name] = resolved;
    entries[`node_modules/${manifest.name}`] = { ...manifest, resolved, optional };
    for (const [name, version] of Object.entries(manifest.optionalDependencies ?? {}))
      entries[`node_modules/${name}`] ??= { version, optional: true, os: ['not packed'] };
  }
  const name = { name: 'consumer', version: '1.0.0', private: true };
  await writeFile(join(project, 'package.json'), JSON.stringify({ ...name, dependencies }));
  const lock = {
    ...name,
    lockfileVersion: 3,
    requires: true,
    packages: { '': { ...name, dependencies }, ...entries },
  };
  await writeFile(join(project, 'package-lock.json'), JSON.stringify(lock));
}
