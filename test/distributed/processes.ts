import { readdirSync, readFileSync } from 'node:fs';

/** The processes of ranks that a launcher started. */
export function ranksOf(launcher: number): { pid: number; rank: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const environment = readFileSync(`/proc/${name}/environ`, 'utf8');
        const rank = /\0(?:OMPI_COMM_WORLD_RANK|PMI_RANK|RANK)=(\d+)/.exec(environment)?.[1];
        if (rank === undefined || !ancestors(Number(name)).includes(launcher)) return [];
        return [{ pid: Number(name), rank: Number(rank) }];
      } catch {
        return []; // it has ended
      }
    });
}

function ancestors(pid: number): number[] {
  const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 0);
  return parent > 1 ? [parent, ...ancestors(parent)] : [parent];
}

/** Whether a process is there, and no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
