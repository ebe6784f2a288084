import { readFileSync } from 'node:fs';

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
export interface BinaryNeeds {
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
export function unmetNeed(needs: BinaryNeeds, host: Host): string | undefined {
  if (host.glibc === undefined)
    return `it needs the GNU C library ${needs.glibc} and this system has another C library`;
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
