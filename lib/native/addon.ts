import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { expectAddressSpace } from '../address-space.js';
import { BertuneError } from '../errors.js';
import { packageRoot, packageVersion } from './package.js';

/*
 * The file of the native addon: where it is, whether it runs on this machine, and how it is opened. It is looked for in
 * this order:
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
interface Surroundings {
  environment: NodeJS.ProcessEnv;
  /** The root of this package. */
  root: string;
  host: () => Host;
}

/** Platforms that prebuilt binaries are published for. */
const PREBUILT = ['linux-x64', 'linux-arm64'];
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
  if (here.platform === 'win32')
    throw unavailable(
      'Bertune does not run on Windows itself; run it in WSL 2 (Windows Subsystem for Linux) or in a container',
    );
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

/** What of a machine decides whether a prebuilt binary runs on it. */
export interface Host {
  /** As process.platform and process.arch have it. */
  platform: string;
  arch: string;
  /** Version of the GNU C library; undefined where the C library is another one, such as musl. */
  glibc: string | undefined;
  /** The processor's abilities, in Linux's words; undefined where they cannot be read. */
  cpu: ReadonlySet<string> | undefined;
}

/** What a prebuilt binary needs: the field `bertune` of its package.json. */
interface BinaryNeeds {
  /** The least version of the GNU C library. */
  glibc: string;
  /** Abilities of the processor, in Linux's words. */
  cpu: readonly string[];
}

/** This machine. */
export function thisHost(): Host {
  return { platform: process.platform, arch: process.arch, glibc: glibcVersion(), cpu: cpuAbilities() };
}

/** The version of the GNU C library that this process runs on; undefined where there is none. */
export function glibcVersion(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  // A report may look up names of network peers, which takes seconds and is of no use here.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const before = report.excludeNetwork;
  if (before !== undefined) report.excludeNetwork = true;
  try {
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return header?.glibcVersionRuntime;
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

function cpuAbilities(): ReadonlySet<string> | undefined {
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
    return flags === undefined ? undefined : new Set(flags.trim().split(/\s+/));
  } catch {
    return undefined;
  }
}

/**
 * Why a binary does not run on a machine. Asked before the binary is opened: an instruction that the processor does not
 * have ends the process without a word.
 *
 * @returns what is wrong as words behind "but", or undefined where nothing is
 */
function unmetNeed(needs: BinaryNeeds, host: Host): string | undefined {
  if (host.glibc === undefined)
    return `it needs the GNU C library ${needs.glibc} and this system has another C library, such as Alpine's musl`;
  if (isOlder(host.glibc, needs.glibc))
    return `it needs the GNU C library ${needs.glibc} or later and this system has ${host.glibc}`;
  const { cpu } = host;
  const lacking = cpu === undefined ? [] : needs.cpu.filter((ability) => !cpu.has(ability));
  return lacking.length > 0 ? `it needs a processor with ${lacking.join(', ')}` : undefined;
}

/** Whether a version such as 2.36 comes before another. */
function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]];
  const different = b.findIndex((part, i) => part !== (a[i] ?? 0));
  return different >= 0 && (a[different] ?? 0) < b[different]!;
}

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
    // Not by require(), which would share it with another copy of this library in the process, and that copy's class of errors.
    const addon = { exports: {} };
    process.dlopen(addon, path);
    return addon.exports;
  } finally {
    if (before === undefined) delete process.env.OPENBLAS_NUM_THREADS;
    else process.env.OPENBLAS_NUM_THREADS = before;
  }
}
