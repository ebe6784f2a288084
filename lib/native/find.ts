import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { BertuneError } from '../errors.js';
import { type BinaryNeeds, type Host, thisHost, unmetNeed } from './host.js';
import { packageRoot, packageVersion } from './package.js';

/*
 * Where the native addon is looked for, in this order:
 *   1. the file that the environment variable BERTUNE_ADDON names
 *   2. build/Release of this package: a clone, or what `npx bertune build` made
 *   3. the package of prebuilt binaries for this platform, e.g. @bertune/linux-x64
 */

/** An addon that is there, and was not opened yet. */
export interface FoundAddon {
  /** bertune.node */
  path: string;
  origin: 'BERTUNE_ADDON' | 'build' | 'package';
  /** libbertune_cuda.so of the package of CUDA backends, where that is installed. */
  cudaLibrary?: string;
  /** What to do where it cannot be loaded, as words. */
  remedy: string;
}

/** What decides where the addon is; tests pass their own. */
export interface Surroundings {
  environment: NodeJS.ProcessEnv;
  /** The root of this package. */
  root: string;
  host: () => Host;
}

/** Platforms that prebuilt binaries are published for. */
const PREBUILT = ['linux-x64'];
const BUILD = '`npx bertune build` makes one from source';

/**
 * Finds the addon.
 *
 * @throws BertuneError NATIVE_UNAVAILABLE where there is none for this machine, and with every way to get one
 */
export function findAddon(surroundings: Partial<Surroundings> = {}): FoundAddon {
  const { environment = process.env, root = packageRoot(), host = thisHost } = surroundings;
  const cuda = findCudaLibrary(root);
  const more = cuda === undefined ? {} : { cudaLibrary: cuda };
  const named = environment.BERTUNE_ADDON;
  if (named) {
    const path = resolve(named);
    if (!existsSync(path))
      throw unavailable(`Expected the native addon at ${path}, as BERTUNE_ADDON says, but found none`);
    return { path, origin: 'BERTUNE_ADDON', remedy: 'BERTUNE_ADDON names it', ...more };
  }
  const path = join(root, 'build', 'Release', 'bertune.node');
  if (existsSync(path)) return { path, origin: 'build', remedy: '`npx bertune build` makes it anew', ...more };
  return { ...findPrebuilt(root, host), ...more };
}

function findPrebuilt(root: string, host: () => Host): FoundAddon {
  const here = host();
  const platform = `${here.platform}-${here.arch}`;
  const name = `@bertune/${platform}`;
  if (!PREBUILT.includes(platform))
    throw unavailable(`Expected a native addon for ${platform} but there is no prebuilt one; ${BUILD}`);
  const prebuilt = readPackage(name, root);
  if (prebuilt === undefined) {
    throw unavailable(
      `Expected the native addon in the package ${name} but it is not installed: \`npm install ${name}\` brings it (npm ` +
        `leaves it out under --omit=optional, and where package-lock.json was written on another platform), or ${BUILD}`,
    );
  }
  expectSameVersion(name, prebuilt.version);
  const reason = unmetNeed(prebuilt.bertune, here);
  if (reason !== undefined) throw unavailable(`Expected ${name} to run on this machine but ${reason}; ${BUILD}`);
  return { path: join(prebuilt.folder, 'bertune.node'), origin: 'package', remedy: `${installs(name)}, or ${BUILD}` };
}

function findCudaLibrary(root: string): string | undefined {
  const name = `@bertune/${process.platform}-${process.arch}-cuda`;
  const prebuilt = readPackage(name, root);
  if (prebuilt === undefined) return undefined;
  expectSameVersion(name, prebuilt.version);
  return join(prebuilt.folder, 'libbertune_cuda.so');
}

interface PrebuiltPackage {
  folder: string;
  version: string;
  bertune: BinaryNeeds;
}

/** A package as Node.js finds it from this one. */
function readPackage(name: string, root: string): PrebuiltPackage | undefined {
  let file: string;
  try {
    file = createRequire(join(root, 'package.json')).resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
  return { ...(JSON.parse(readFileSync(file, 'utf8')) as PrebuiltPackage), folder: dirname(file) };
}

function expectSameVersion(name: string, version: string): void {
  const own = packageVersion();
  if (version !== own) throw unavailable(`Expected ${name} ${own} but found ${version}; ${installs(name)}`);
}

const installs = (name: string) => `\`npm install ${name}@${packageVersion()}\` brings it`;

const unavailable = (message: string) => new BertuneError('NATIVE_UNAVAILABLE', message);
