import { comparisonTable, MEMORY_NOTE } from '../../comparison.js';
import type { RunRecord } from '../../records.js';
import { failure } from '../../sections.js';
import { paragraphs, swatch } from '../figure.js';
import { htmlTable } from '../table.js';

/** All runs side by side, as the terminal shows them. */
export function comparisonSection(runs: readonly RunRecord[]): string {
  const failures = runs.filter(({ error }) => error !== undefined).map(failure);
  const table = htmlTable(
    comparisonTable(runs),
    'Comparison',
    runs.map((_, index) => swatch(index)),
  );
  return table + paragraphs(failures, 'failure') + paragraphs([MEMORY_NOTE]);
}
