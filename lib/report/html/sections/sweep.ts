import type { Task } from '../../../tasks/index.js';
import type { SweepRecord } from '../../records.js';
import { sweepSection as sectionOf } from '../../sections.js';
import { type SettingPoint, settingChart } from '../charts/setting.js';
import { figure, figures, htmlTable, paragraphs } from '../elements.js';

/** The rows of the table; of more, the best. */
const MOST_ROWS = 100;
/** A chart of more values by name cannot be read. */
const MOST_NAMES = 12;

/** A sweep: what each combination of settings comes to, and a chart of each setting that varies. Empty where it is none. */
export function sweepSection(sweep: SweepRecord | undefined, task: Task): string {
  if (sweep === undefined) return '';
  const { table, lead = [], notes = [] } = sectionOf(sweep, task);
  const { columns, rows } = table!;
  const cut = rows.length > MOST_ROWS ? [`The best ${MOST_ROWS} of ${rows.length}; results.csv has all.`] : [];
  return [
    paragraphs(lead),
    htmlTable({ columns, rows: rows.slice(0, MOST_ROWS) }, 'Sweep'),
    paragraphs([...cut, ...notes.slice(-MOST_ROWS)]),
    figures(sweep.axes.flatMap((name) => chartOf(sweep, name))),
  ].join('');
}

function chartOf({ cells, metric }: SweepRecord, name: string): string[] {
  const points = cells.flatMap(({ status, score, values }): SettingPoint[] => {
    const value = values[name];
    if (status !== 'done' || score === undefined || !Number.isFinite(score) || value === undefined) return [];
    return [{ x: typeof value === 'boolean' ? (value ? 'yes' : 'no') : value, y: score }];
  });
  const values = new Set(points.map(({ x }) => x));
  const isNamed = [...values].some((value) => typeof value === 'string');
  if (values.size < 2 || (isNamed && values.size > MOST_NAMES)) return [];
  const title = `${metric.title} by ${name}`;
  const description = `${points.length} runs with ${values.size} values of ${name}`;
  const note = 'a dot per run; squares: the mean of each value';
  return [figure(title, note, settingChart({ title, description, x: name, points }))];
}
