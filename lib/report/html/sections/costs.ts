import { formatFixed } from '../../../format.js';
import { MEMORY_NOTE } from '../../comparison.js';
import type { RunRecord } from '../../records.js';
import { barChart } from '../charts/bars.js';
import { markOf } from '../charts/series.js';
import { figure, figures, paragraphs } from '../figure.js';

const MEBIBYTE = 2 ** 20;

const COSTS: readonly { title: string; unit: string; value: (run: RunRecord) => number | undefined }[] = [
  { title: 'Training time', unit: 's', value: (run) => run.train_runtime },
  {
    title: 'Peak memory',
    unit: 'MiB',
    value: ({ method, memory }) => mebibytes(method.kind === 'none' ? memory?.model : memory?.peak),
  },
  { title: 'Peak memory of the process', unit: 'MiB', value: ({ memory }) => mebibytes(memory?.process_peak) },
];

/** What the runs took: time and memory. Empty where nothing was measured. */
export function costsSection(runs: readonly RunRecord[]): string {
  const charts = COSTS.flatMap(({ title, unit, value }) => {
    const bars = runs.flatMap((run, index) => {
      const number = value(run);
      if (number === undefined || !Number.isFinite(number) || number < 0) return [];
      return [{ ...markOf(run, index), value: number, text: `${formatFixed(number, number < 10 ? 2 : 1)} ${unit}` }];
    });
    if (bars.length === 0) return [];
    const description = bars.map((bar) => `${bar.title}: ${bar.text}`).join(', ');
    return [figure(title, '', barChart({ title: `${title} (${unit})`, description, bars }))];
  });
  return charts.length === 0 ? '' : figures(charts) + paragraphs([MEMORY_NOTE]);
}

function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MEBIBYTE;
}
