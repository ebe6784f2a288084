import { appendFileSync } from 'node:fs';

/*
 * Every promise about faults is tested twice with the same code: with few cases in `npm test -- --all`, and with the numbers that
 * docs/reliability.md gives in `npm run test:faults`, which prints how many were tried.
 */

/** Whether this is `npm run test:faults`. */
export const LONG = process.env.BERTUNE_FAULTS === 'long';

/** How many cases to try, or how many milliseconds they may take. */
export function scaled(short: number, long: number): number {
  return LONG ? long : short;
}

/**
 * Says what was tried, for the table at the end of `npm run test:faults`.
 *
 * @param what e.g. 'safetensors: mutated files'
 * @param figure e.g. 100_000, or '3.1 MiB at most'
 */
export function note(what: string, figure: number | string): void {
  const file = process.env.BERTUNE_FAULTS_FIGURES;
  if (file) appendFileSync(file, `${JSON.stringify({ what, figure })}\n`);
}
