import { BertuneError } from '../errors.js';
import { expectFunction, expectObject, invalidOption, show } from '../options/validation.js';
import { BEST_METRICS } from './task.js';

/** What a metric function receives: its own copies, in the order of the split. */
export interface MeasuredSplit {
  /** True labels, as in a Split: (N), or (N, NC). */
  readonly labels: Int32Array | Float32Array | Float64Array;
  /** Predicted labels, in the same form. */
  readonly predictions: Int32Array | Float32Array | Float64Array;
  /** (N, NC), row-major: probabilities, calibrated if the model is; for regression, values. */
  readonly scores: Float64Array;
  /** NC */
  readonly labelNames: readonly string[];
}

/** Metrics of your own, by name. */
export type MetricFunctions = Readonly<Record<string, (measured: MeasuredSplit) => number>>;

/** What a row of the log has anyway. */
const TAKEN: readonly string[] = [...BEST_METRICS, 'runtime', 'samples_per_second', 'steps_per_second'];

/** @throws BertuneError INVALID_OPTION */
export function expectMetrics(value: unknown): MetricFunctions | undefined {
  if (value === undefined) return undefined;
  const metrics = expectObject('metrics', value as MetricFunctions, Object.keys(Object(value)));
  for (const [name, metric] of Object.entries(metrics)) {
    expectFunction(`metrics.${name}`, metric);
    if (/^[A-Za-z]\w*$/.test(name) && !TAKEN.includes(name)) continue;
    throw invalidOption('metrics', 'names of letters, digits and _ that no other metric has', name);
  }
  return { ...metrics };
}

/** @throws BertuneError INVALID_OPTION for a function that gives no number; what it throws itself */
export function customScores(metrics: MetricFunctions, measured: MeasuredSplit): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, metric]) => {
      const { labels, predictions, scores, labelNames } = measured;
      const copies = { labels: labels.slice(), predictions: predictions.slice(), scores: scores.slice() };
      const value: unknown = metric({ ...copies, labelNames });
      if (typeof value === 'number') return [name, value];
      throw new BertuneError('INVALID_OPTION', `Expected a number from metrics.${name} but received ${show(value)}`);
    }),
  );
}
