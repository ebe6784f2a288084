import type { MetricsRecord, RunRecord } from './records.js';

/** The split that a run was measured on, and how it did. */
export interface Measured {
  readonly split: 'test' | 'validation';
  readonly metrics: MetricsRecord;
}

/** How a run did at its end: on the test split, or the validation split where there is no other; undefined where on none. */
export function measuredOn({ test, validation }: Pick<RunRecord, 'test' | 'validation'>): Measured | undefined {
  if (test !== undefined) return { split: 'test', metrics: test };
  return validation && { split: 'validation', metrics: validation };
}
