import os from 'node:os';
import { loadNative } from '../native/index.js';
import { packageVersion } from '../native/package.js';
import type { EnvironmentRecord } from './records.js';

/** What a BLAS library calls itself: `OpenBLAS 0.3.26 (SkylakeX)`. */
export function blasName(): string {
  const { library, version, kernel } = loadNative().blas();
  return [library, version, kernel && `(${kernel})`].filter(Boolean).join(' ');
}

/** The name of the machine's processor, and how many threads it runs at once. */
export function processorName(): string {
  const model = os.cpus()[0]?.model.trim() || os.arch();
  return `${model} (${os.availableParallelism()} threads)`;
}

/** The software and the machine that ran a run on `device`. */
export function environmentRecord(where: { device: string; precision: string; threads: number }): EnvironmentRecord {
  const info = loadNative()
    .devices()
    .find(({ device }) => device === where.device);
  return {
    bertune: packageVersion(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: processorName(),
    // The CPU's own name stands under `processor`.
    device: where.device === 'cpu' || info === undefined ? where.device : `${where.device} (${info.name})`,
    precision: where.precision,
    threads: where.threads,
    blas: blasName(),
  };
}

/** The machine and the software in one line. */
export function environmentLine(environment: EnvironmentRecord): string {
  const { bertune, node, platform, processor, device, precision, threads, blas } = environment;
  return [
    `bertune ${bertune}`,
    `Node.js ${node}`,
    platform,
    processor,
    `${device} ${precision}`,
    `${threads} thread${threads === 1 ? '' : 's'}`,
    blas,
  ].join(' · ');
}
