import { BertuneError } from '../../errors.js';
import { formatCount } from '../../format.js';

/** A part of a sweep's cells: every `of`-th, beginning with the `number`-th, counted from 1. */
export interface Share {
  readonly number: number;
  /** undefined: as many as there are cells, so that a share is one cell. */
  readonly of?: number;
}

/** A share that was asked for, and where. */
export interface FoundShare extends Share {
  /** In words, e.g. `SLURM_ARRAY_TASK_ID=3`. */
  readonly source: string;
}

/** Reads `3/24`, or `3` for the third cell alone. @throws BertuneError INVALID_OPTION naming the flag */
export function readShare(flag: string, text: string): Share {
  const [, first, second] = /^(\d{1,9})(?:\/(\d{1,9}))?$/.exec(text) ?? [];
  const [number, of] = [Number(first), second === undefined ? undefined : Number(second)];
  if (number >= 1 && (of === undefined || number <= of)) return { number, ...(of !== undefined && { of }) };
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected K/N with K from 1 to N, or K alone, for ${flag} but received ${JSON.stringify(text.slice(0, 100))}`,
  );
}

/**
 * The share of a job in an array of SLURM, or of a pod in an indexed Job of Kubernetes.
 *
 * @returns undefined where it is neither
 */
export function shareOfEnvironment(environment: NodeJS.ProcessEnv): FoundShare | undefined {
  const number = (name: string) => {
    const text = environment[name] ?? '';
    return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  };
  const task = number('SLURM_ARRAY_TASK_ID');
  if (task !== undefined) {
    const first = number('SLURM_ARRAY_TASK_MIN') ?? 1;
    const step = number('SLURM_ARRAY_TASK_STEP') ?? 1;
    const of = number('SLURM_ARRAY_TASK_COUNT');
    const place = Math.floor((task - first) / Math.max(1, step)) + 1;
    const share = { number: place, ...(of !== undefined && { of }) };
    return { ...share, source: `SLURM_ARRAY_TASK_ID=${task}` };
  }
  const index = number('JOB_COMPLETION_INDEX');
  return index === undefined ? undefined : { number: index + 1, source: `JOB_COMPLETION_INDEX=${index}` };
}

/** What a share is, in words: `cells 3, 27, ... of 1,000`. */
export function shareWords({ number, of }: Share, cells: number): string {
  if (of === undefined)
    return number > cells ? `cell ${number}, which there is not` : `cell ${number} of ${formatCount(cells)}`;
  return `share ${number} of ${of}: ${formatCount(Math.max(0, Math.ceil((cells - number + 1) / of)))} of ${formatCount(cells)} cells`;
}

/** The cells of a share. */
export function cellsOfShare<Cell>(cells: readonly Cell[], { number, of = cells.length }: Share): Cell[] {
  return cells.filter((_, index) => index % Math.max(1, of) === (number - 1) % Math.max(1, of) && index >= number - 1);
}
