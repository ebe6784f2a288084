import { expect } from 'chai';
import { parseHTML } from 'linkedom';
import { renderReport } from '../../lib/report/html/page.js';
import type { CellRecord } from '../../lib/report/records.js';
import {
  cellNotes,
  countCells,
  countWords,
  spreadOf,
  sweepRecord,
  sweepRows,
  sweepTable,
} from '../../lib/report/sweep.js';
import { taskOf } from '../../lib/tasks/index.js';
import { comparisonOf, HOSTILE } from './html-records.js';

interface Found {
  textContent: string;
  getAttribute(name: string): string | null;
  querySelectorAll(selector: string): ArrayLike<Found>;
}

const cell = (group: string, seed: number, others: Partial<CellRecord>): CellRecord => ({
  id: `${group}${seed}`,
  title: `${group}, seed ${seed}`,
  group,
  values: { 'learning rate': group === 'a' ? 1e-4 : 3e-4 },
  seed,
  status: 'done',
  ...others,
});
const scored = (score: number) => ({ score, metrics: { accuracy: score, f1_macro: score - 0.1 }, runtime: 2 });
const CELLS = [
  cell('a', 1, scored(0.5)),
  cell('a', 2, scored(0.7)),
  cell('b', 1, scored(0.9)),
  cell('b', 2, { status: 'failed', error: { code: 'NON_FINITE_LOSS', message: 'it was NaN' } }),
  cell('c', 1, { status: 'running' }),
  cell('d', 1, {
    status: 'stopped',
    score: 0.1,
    stop: { rule: 'median', epoch: 2, metric: 'f1_macro', value: 0.1, median: 0.5, of: 4 },
  }),
];

describe('the record of a sweep', () => {
  it('has means and sample deviations over what is done, the best first', () => {
    const { groups } = sweepRecord(['learning rate'], 'f1_macro', CELLS);
    expect(groups.map(({ title }) => title)).to.deep.equal(['b', 'a', 'c', 'd']);
    expect(groups[0]).to.deep.include({ score: { mean: 0.9, deviation: null, n: 1 } });
    expect(groups[1]!.score!.mean).to.be.closeTo(0.6, 1e-12);
    expect(groups[1]!.score!.deviation).to.be.closeTo(Math.sqrt(0.02), 1e-12);
    expect(groups[3]).to.not.have.property('score');
    const losses = sweepRecord([], 'loss', CELLS).groups.map(({ title }) => title);
    expect(losses).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('is a table, lines and a file', () => {
    const record = sweepRecord(['learning rate'], 'f1_macro', CELLS);
    const table = sweepTable(record, taskOf(undefined));
    expect(table.columns.map(({ title }) => title)).to.deep.equal([
      ...['runs', 'done', 'validation F1 macro', 'test accuracy', 'test F1 macro', 'time s'],
    ]);
    expect(table.rows[1]).to.deep.equal([
      'a',
      '2/2',
      '0.6000 ± 0.1414',
      '0.6000 ± 0.1414',
      '0.5000 ± 0.1414',
      '2.0 ± 0.0',
    ]);
    expect(table.rows[2]).to.deep.equal(['c', '0/1', '-', '-', '-', '-']);
    expect(countWords(countCells(CELLS))).to.equal('6 cells: 3 done, 1 stopped, 1 failed, 1 running');
    expect(cellNotes(CELLS)).to.deep.equal([
      'b, seed 2 failed: error [NON_FINITE_LOSS]: it was NaN',
      'd, seed 1 stopped after epoch 2: f1_macro 0.1000, the median of 4 others 0.5000',
    ]);
    const [header, rows] = sweepRows(record, taskOf(undefined));
    expect(header).to.include.members(['id', 'learning_rate', 'seed', 'validation_f1_macro', 'test_accuracy']);
    for (const row of rows) expect(row).to.have.lengthOf(header.length);
  });

  it('has no spread of nothing', () => {
    expect(spreadOf([undefined, Number.NaN])).to.equal(undefined);
    expect(spreadOf([1, 2, 3, 4])).to.deep.equal({ mean: 2.5, deviation: Math.sqrt(5 / 3), n: 4 });
  });

  it('is a part of the report, with a chart of each setting that varies', () => {
    const record = sweepRecord(['learning rate', 'rank', HOSTILE[0]!], 'f1_macro', [
      ...CELLS.map((each, i) => ({ ...each, values: { ...each.values, rank: 8, [HOSTILE[0]!]: HOSTILE[i]! } })),
    ]);
    const html = renderReport(JSON.parse(JSON.stringify({ ...comparisonOf(['a', 'b']), sweep: record })));
    const { document } = parseHTML(html) as unknown as {
      document: { querySelectorAll(selector: string): Iterable<Found> };
    };
    const all = (selector: string) => [...document.querySelectorAll(selector)];
    expect(all('title')[0]?.textContent).to.equal('Sweep of 6 runs on goemotions6');
    expect(all('#sweep tbody tr').map((row) => row.textContent.slice(0, 1))).to.deep.equal(['b', 'a', 'c', 'd']);
    const charts = all('#sweep svg').map((chart) => chart.getAttribute('aria-label'));
    // Rank takes one value.
    expect(charts).to.have.lengthOf(2);
    expect(charts[0]).to.equal('validation F1 macro by learning rate');
    // The runs that are done: three dots, and a square for the mean of each value.
    expect(all('#sweep svg')[0]?.querySelectorAll('[aria-label="dot"] > *')).to.have.lengthOf(5);
    expect(html).to.contain('it was NaN').and.not.contain('<script');
  });

  it('is drawn from a file that anybody may have written', () => {
    const odd = {
      axes: [1, null, 'x'],
      metric: 'none',
      cells: [1, null, { values: [], status: {}, score: 'x', stop: 3, metrics: [] }],
    };
    for (const sweep of [odd, { cells: 'none' }, {}, { ...odd, axes: 'x' }]) {
      expect(renderReport({ ...comparisonOf(['a', 'b']), sweep })).to.contain('<section id="sweep">');
    }
    expect(renderReport({ ...comparisonOf(['a', 'b']), sweep: [] })).not.to.contain('<section id="sweep">');
  });
});
