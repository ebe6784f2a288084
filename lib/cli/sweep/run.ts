import { type Command, Option } from 'commander';
import { BertuneError } from '../../errors.js';
import type { RunProgress } from '../../experiments/execute.js';
import { Ledger, type TakenCell } from '../../experiments/sweep/ledger.js';
import { outcomeOf } from '../../experiments/sweep/outcome.js';
import { experimentOf, type PlannedCell, readPlan, type SweepPlan } from '../../experiments/sweep/plan.js';
import { cellsOfShare, readShare, type Share, shareOfEnvironment, shareWords } from '../../experiments/sweep/share.js';
import { type Slot, slotsOf } from '../../experiments/sweep/slots.js';
import { formatFixed } from '../../format.js';
import { resolveDevice } from '../../model/device.js';
import { nameOptionsByFlags } from '../../options/names.js';
import { environmentLine, environmentRecord } from '../../report/environment.js';
import { cellNotes, countCells, countWords } from '../../report/sweep.js';
import { positiveInteger } from '../arguments.js';
import { EXIT_ERROR, interruptibly } from '../exit.js';
import { flagsOf } from '../flags.js';
import { Progress } from '../progress.js';
import { runEach, type Work } from '../runs.js';
import { writeResult } from '../terminal.js';

interface RunArguments {
  cell?: Share;
  jobs?: number;
  saveSteps?: number;
  lease?: number;
  retryFailed?: true;
  quiet?: true;
}

/** How often a cell is begun whose process a signal ends, before it counts as failed. */
const TRIES = 3;

/** Seconds after which a worker on another machine counts as dead. */
export const LEASE_SECONDS = 60;

/** Adds `bertune sweep run`. */
export function sweepRunCommand(sweep: Command): void {
  sweep
    .command('run')
    .description('run the cells that are still open; start it as often, and on as many machines, as you like')
    .argument('<folder>', 'folder of the sweep')
    .addOption(
      new Option(
        '--cell <K/N>',
        'every Nth cell, starting with the Kth; K by itself: only that cell (default: all)',
      ).argParser((text: string) => readShare('--cell', text)),
    )
    .addOption(positiveInteger('--jobs <n>', 'cells to run at a time; they share threads or GPUs (default: 1)'))
    .addOption(positiveInteger('--save-steps <n>', 'steps between checkpoints (default: one per epoch)'))
    .addOption(
      positiveInteger(
        '--lease <n>',
        `seconds after which a worker elsewhere counts as dead (default: ${LEASE_SECONDS})`,
      ),
    )
    .option('--retry-failed', 'run failed cells again')
    .option('--quiet', 'print only errors to stderr')
    .addHelpText(
      'after',
      '\nWithout --cell, a task of a SLURM array (SLURM_ARRAY_TASK_ID) takes its share of the cells, and a pod of an indexed\n' +
        'Kubernetes Job (JOB_COMPLETION_INDEX) one cell. Exit status 1: a cell has failed, now or earlier.',
    )
    .action(run);
}

async function run(folder: string, options: RunArguments, command: Command): Promise<void> {
  // What is to be set otherwise was set when the sweep was planned.
  const planned = command.parent?.commands.find((each) => each.name() === 'plan');
  nameOptionsByFlags({ ...(planned && flagsOf(planned)), ...flagsOf(command) });
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    const plan = await readPlan(folder);
    const cells = sharedCells(plan, options, progress);
    const ledger = await Ledger.open(folder, options.lease ?? LEASE_SECONDS);
    const slots = slotsOf(options.jobs ?? 1, plan.where);
    progress.note(environmentLine(environmentRecord(resolveDevice(slots[0]!.where))));
    const worker = new Worker(folder, plan, cells, ledger, options, progress);
    await worker.start(slots, signal);

    const { sweep } = (await outcomeOf(plan, ledger)).comparison;
    const own = new Set(cells.map(({ id }) => id));
    const records = sweep.cells.filter(({ id }) => own.has(id));
    progress.clear();
    for (const line of cellNotes(records)) progress.note(line);
    const counts = countCells(records);
    await writeResult(`${countWords(counts)}\n`);
    if (counts.failed > 0) process.exitCode = EXIT_ERROR;
  });
}

/** The cells of a share that was asked for, or that the environment gives us. */
function sharedCells(plan: SweepPlan, { cell }: RunArguments, progress: Progress): readonly PlannedCell[] {
  const found = cell === undefined ? shareOfEnvironment(process.env) : undefined;
  const share = cell ?? found;
  if (share === undefined) return plan.cells;
  progress.note(`${found === undefined ? '--cell' : found.source}: ${shareWords(share, plan.cells.length)}`);
  return cellsOfShare(plan.cells, share);
}

/** Runs cells in some processes at a time. */
class Worker {
  readonly #folder: string;
  readonly #plan: SweepPlan;
  readonly #cells: readonly PlannedCell[];
  readonly #ledger: Ledger;
  readonly #options: RunArguments;
  readonly #progress: Progress;
  /** What is under way, by slot. */
  readonly #states = new Map<Slot, RunProgress>();
  /** When those that have failed did so, which are to be run again. */
  readonly #again = new Map<string, string>();
  #done = 0;

  constructor(
    folder: string,
    plan: SweepPlan,
    cells: readonly PlannedCell[],
    ledger: Ledger,
    options: RunArguments,
    progress: Progress,
  ) {
    this.#folder = folder;
    this.#plan = plan;
    this.#cells = cells;
    this.#ledger = ledger;
    this.#options = options;
    this.#progress = progress;
  }

  /** Runs what there is to run. What ends one of the slots ends all. */
  async start(slots: readonly Slot[], signal: AbortSignal): Promise<void> {
    const { finished } = await this.#ledger.states();
    const own = this.#cells.map(({ id }) => id).filter((id) => finished.has(id));
    this.#done = own.length;
    if (this.#options.retryFailed) {
      for (const [id, result] of await this.#ledger.results(own)) {
        if (result.run.status === 'failed') this.#again.set(id, result.finished);
      }
    }
    const controller = new AbortController();
    const both = AbortSignal.any([signal, controller.signal]);
    const ends = await Promise.allSettled(
      slots.map((slot) =>
        runEach(this.#work(slot, both), this.#progress, both).catch((cause: unknown) => {
          controller.abort(new BertuneError('ABORTED', 'Another job has failed'));
          throw cause;
        }),
      ),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    await this.#ledger.tidy();
  }

  /** The cells for a slot, until there are no more. */
  async *#work(slot: Slot, signal: AbortSignal): AsyncGenerator<Work> {
    while (!signal.aborted) {
      const taken = await this.#ledger.takeOne(this.#cells, this.#again);
      if (taken === undefined) {
        const onWait = (count: number) =>
          this.#progress.note(`waiting to see whether the workers of cells elsewhere are alive (${count})`);
        if (await this.#ledger.findDead(this.#cells, signal, onWait)) continue;
        return;
      }
      try {
        yield* this.#tries(taken, slot, signal);
      } finally {
        this.#states.delete(slot);
        // Does nothing where it is finished.
        await taken.lease.release();
      }
    }
  }

  /** A cell, again from its last checkpoint where a signal has ended its process. */
  async *#tries(taken: TakenCell, slot: Slot, signal: AbortSignal): AsyncGenerator<Work> {
    const { cell, lease } = taken;
    const experiment = experimentOf(this.#folder, this.#plan, cell, this.#options.saveSteps);
    for (let tries = 1; ; tries++) {
      let killed: string | undefined;
      await this.#ledger.expectAlone(taken, signal);
      if (signal.aborted) return;
      yield {
        experiment: { ...experiment, where: slot.where },
        title: `${cell.title} (${this.#plan.cells.indexOf(cell) + 1}/${this.#plan.cells.length})`,
        isBeside: (this.#options.jobs ?? 1) > 1,
        signal: lease.lost,
        environment: slot.environment,
        onProgress: (state) => this.#show(slot, lease, state),
        onKilled: (name) => {
          killed = name;
        },
        keep: async (run) => {
          if (killed !== undefined && tries < TRIES) {
            this.#progress.note(`${cell.title}: its process was ended by ${killed}; retrying from its last checkpoint`);
            return;
          }
          // A cell that was stopped goes on the next time.
          if (run.status === 'stopped' && !run.stop) return;
          await this.#ledger.keep(taken, run, environmentRecord(resolveDevice(slot.where)));
          this.#done += 1;
        },
      };
      if (killed === undefined || tries >= TRIES || signal.aborted || lease.lost.aborted) return;
    }
  }

  #show(slot: Slot, lease: TakenCell['lease'], state: RunProgress): void {
    lease.progress = `epoch ${formatFixed(state.epoch, 1)}/${formatFixed(state.epochs, 1)}, step ${state.done}/${state.total}`;
    this.#states.set(slot, state);
    const under = [...this.#states.values()];
    const share = under.reduce((sum, { done, total }) => sum + done / total, 0);
    const total = this.#cells.length;
    this.#progress.update(under.length === 1 ? 'cells' : `cells, ${under.length} at a time`, {
      done: this.#done + share,
      total,
      count: `${this.#done}/${total}`,
      loss: state.loss,
    });
  }
}
