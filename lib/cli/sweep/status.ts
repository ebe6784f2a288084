import type { Command } from 'commander';
import { Ledger } from '../../experiments/sweep/ledger.js';
import { outcomeOf, type SweepOutcome } from '../../experiments/sweep/outcome.js';
import { readPlan } from '../../experiments/sweep/plan.js';
import { formatClock, formatCount } from '../../format.js';
import { printableJson } from '../../printable.js';
import type { Section } from '../../report/sections.js';
import { cellNotes, countCells, countWords, spreadOf } from '../../report/sweep.js';
import { sectionsText, writeResult } from '../terminal.js';
import { LEASE_SECONDS } from './run.js';

/** Lines of each part, so that all of it fits on a screen. */
const MOST_LINES = 8;

/** Adds `bertune sweep status`. */
export function sweepStatusCommand(sweep: Command): void {
  sweep
    .command('status')
    .description('show how many cells are done, what runs where, and what has failed')
    .argument('<folder>', 'folder of the sweep')
    .option('--json', 'write JSON instead of tables')
    .action(status);
}

async function status(folder: string, options: { json?: true }): Promise<void> {
  const plan = await readPlan(folder);
  const outcome = await outcomeOf(plan, await Ledger.open(folder, LEASE_SECONDS));
  const { cells } = outcome.comparison.sweep;
  if (options.json) {
    const failed = cells.flatMap(({ title, error }) => (error ? [{ title, ...error }] : []));
    const { running } = outcome;
    return writeResult(`${printableJson({ cells: countCells(cells), running, failed }, 2)}\n`);
  }
  await writeResult(sectionsText(sectionsOf(outcome)));
}

function sectionsOf({ comparison: { sweep }, running }: SweepOutcome): Section[] {
  const counts = countCells(sweep.cells);
  const [best] = sweep.groups;
  const failures = cellNotes(sweep.cells.filter(({ error }) => error));
  const left = secondsLeft({ sweep }, running.length);
  return [
    {
      title: 'Sweep',
      lead: [
        countWords(counts),
        ...(left === undefined ? [] : [`about ${formatClock(left)} left, with ${running.length} at a time`]),
        ...(best?.score === undefined
          ? []
          : [`best so far: ${best.title}, ${sweep.metric.title} ${best.score.mean.toFixed(4)}`]),
      ],
    },
    ...(running.length === 0
      ? []
      : [
          {
            title: 'Running',
            table: {
              columns: ['cell', 'progress', 'host', 'process', 'since'].map((title) => ({ title })),
              rows: running
                .slice(0, MOST_LINES)
                .map(({ title, progress, host, pid, since }) => [
                  title,
                  progress,
                  host,
                  String(pid),
                  since.slice(0, 19),
                ]),
            },
            notes: more(running.length),
          },
        ]),
    ...(failures.length === 0
      ? []
      : [{ title: 'Failed', lead: [...failures.slice(0, MOST_LINES), ...more(failures.length)] }]),
  ];
}

function more(count: number): string[] {
  return count > MOST_LINES ? [`and ${formatCount(count - MOST_LINES)} more`] : [];
}

/** By the mean of those that are done; undefined where nothing runs or is known. */
function secondsLeft({ sweep }: Pick<SweepOutcome['comparison'], 'sweep'>, workers: number): number | undefined {
  const mean = spreadOf(sweep.cells.map(({ runtime }) => runtime))?.mean;
  const { waiting } = countCells(sweep.cells);
  return mean === undefined || workers === 0 ? undefined : (mean * (waiting + workers / 2)) / workers;
}
