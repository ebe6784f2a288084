import { resolveDevice } from '../../model/device.js';
import { environmentRecord } from '../../report/environment.js';
import type { CellRecord, ComparisonRecord, RunRecord } from '../../report/records.js';
import { finishedCell, sweepRecord } from '../../report/sweep.js';
import type { CellResult, Ledger } from './ledger.js';
import type { SweepPlan } from './plan.js';

/** Runs that results.json and the report have whole. */
const MOST_RUNS = 24;

/** A worker that is at a cell. */
export interface RunningCell {
  readonly title: string;
  readonly host: string;
  readonly pid: number;
  readonly since: string;
  readonly progress: string;
}

/** Where a sweep stands. */
export interface SweepOutcome {
  readonly comparison: ComparisonRecord & Required<Pick<ComparisonRecord, 'sweep'>>;
  readonly running: readonly RunningCell[];
}

/** Where a sweep stands now. @throws BertuneError INVALID_DATA, OUTPUT_REFUSED */
export async function outcomeOf(plan: SweepPlan, ledger: Ledger): Promise<SweepOutcome> {
  const { finished, leases } = await ledger.states();
  const results = await ledger.results(plan.cells.map(({ id }) => id).filter((id) => finished.has(id)));
  const running: RunningCell[] = [];
  const cells: CellRecord[] = [];
  for (const { id, title, group, values, options } of plan.cells) {
    const planned = { id, title, group, values, ...(options.seed !== undefined && { seed: options.seed }) };
    const result = results.get(id);
    const number = leases.get(id);
    if (result !== undefined) {
      cells.push(finishedCell(planned, result.run, plan.metric));
      continue;
    }
    const lease = number === undefined ? undefined : await ledger.find(id, number);
    if (lease?.holder && !lease.isFree) running.push({ title, ...lease.holder });
    cells.push({ ...planned, status: lease && !lease.isFree ? 'running' : 'waiting' });
  }
  return { comparison: comparisonOf(plan, cells, results), running };
}

function comparisonOf(plan: SweepPlan, cells: readonly CellRecord[], results: ReadonlyMap<string, CellResult>) {
  const sweep = sweepRecord(plan.axes, plan.metric, cells);
  const places = new Map(sweep.groups.map(({ title }, index) => [title, index]));
  const runs = cells
    .filter(({ status }) => status === 'done')
    .sort((a, b) => places.get(a.group)! - places.get(b.group)!)
    .slice(0, MOST_RUNS)
    .map(({ id }): RunRecord => results.get(id)!.run);
  const [first] = results.values();
  const [data, ...others] = plan.data.map(({ record }) => record);
  return {
    preset: 'sweep',
    created: new Date().toISOString(),
    model: plan.models.map(({ name }) => name).join(', '),
    data: others.length === 0 ? data! : { ...data!, source: plan.data.map(({ record }) => record.source).join(', ') },
    environment: first?.environment ?? environmentRecord(resolveDevice({ device: 'cpu' })),
    runs,
    sweep,
  };
}
