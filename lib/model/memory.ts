import type { MemoryReport } from '../training/events.js';
import type { Session } from './session.js';

/** What a session takes, and the whole process at its highest. */
export function memoryReport(session: Session): MemoryReport {
  return { ...session.memory(), processPeak: process.resourceUsage().maxRSS * 1024 };
}
