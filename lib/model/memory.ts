import { readFileSync } from 'node:fs';
import type { NativeMemory } from '../native/index.js';
import type { Session } from './session.js';

/** Bytes. The parts and `peak` count the library's own allocations; `processPeak` all of the process. */
export interface MemoryReport extends NativeMemory {
  /** Highest resident memory of the process so far, as the operating system counts it. */
  processPeak: number;
}

/** What a session takes, and the whole process at its highest. */
export function memoryReport(session: Session): MemoryReport {
  return { ...session.memory(), processPeak: processPeakMemory() };
}

/** The highest resident memory of this process so far, in bytes. */
export function processPeakMemory(): number {
  if (process.platform === 'linux') {
    try {
      // getrusage would count the parent's memory too: Linux carries its peak over fork and exec.
      const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
      if (peak !== undefined) return Number(peak) * 1024;
    } catch {
      // No /proc: the next best figure has to do.
    }
  }
  return process.resourceUsage().maxRSS * 1024;
}
