import { readFileSync } from 'node:fs';
import type { MemoryReport } from '../training/events.js';
import type { Session } from './session.js';

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
