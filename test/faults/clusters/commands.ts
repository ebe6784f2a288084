import { execFileSync } from 'node:child_process';

/** Whether all of these programs are on this machine. */
export function areThere(...names: string[]): boolean {
  return names.every((name) => {
    try {
      execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}
