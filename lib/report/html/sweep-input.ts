import { BEST_METRICS } from '../../tasks/index.js';
import type { CellRecord, CellValue, StopRecord, SweepRecord } from '../records.js';
import { CELL_STATUSES, sweepRecord } from '../sweep.js';
import { type Fields, few, fields, isFields, list, numbers, oneOf, text } from './fields.js';

/** Every cell is a point of every chart. */
const MOST_CELLS = 10_000;
/** Every setting that varies has a chart. */
const MOST_AXES = 20;

/** Reads the sweep of a results.json; groups are made of its cells again. */
export function sweepInput(sweep: Fields): SweepRecord {
  const axes = list(sweep.axes)
    .slice(0, MOST_AXES)
    .map((name) => text(name));
  const metric = oneOf(fields(sweep.metric).name, BEST_METRICS, 'loss');
  return sweepRecord(axes, metric, list(sweep.cells).filter(isFields).slice(0, MOST_CELLS).map(cellRecord));
}

function cellRecord(cell: Fields): CellRecord {
  const { id, title, group, values, status, stop, error, metrics, ...others } = cell;
  return {
    id: text(id),
    title: text(title),
    group: text(group),
    values: Object.fromEntries(
      Object.entries(few(fields(values))).filter((entry): entry is [string, CellValue] => typeof entry[1] !== 'object'),
    ),
    status: oneOf(status, CELL_STATUSES, 'waiting'),
    ...(isFields(stop) && {
      stop: { ...numbers(stop), rule: 'median', metric: text(stop.metric) } as unknown as StopRecord,
    }),
    ...(isFields(error) && { error: { code: text(error.code, 'INTERNAL'), message: text(error.message) } }),
    ...(isFields(metrics) && { metrics: numbers(metrics) }),
    ...numbers({ seed: others.seed, score: others.score, runtime: others.runtime }),
  };
}
