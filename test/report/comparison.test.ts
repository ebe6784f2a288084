import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { NOTEBOOK_REFERENCE } from '../../lib/experiments/presets.js';
import { beforeTable, comparisonTable, loraTable, referenceTable, togetherNotes } from '../../lib/report/comparison.js';
import type { ComparisonRecord, MetricsRecord, RunRecord } from '../../lib/report/records.js';
import { resultsCsv, resultsMarkdown } from '../../lib/report/results.js';
import { beforeSection, closingSections, runSection, sectionText } from '../../lib/report/sections.js';

const MEBIBYTE = 2 ** 20;

const metrics = (accuracy: number): MetricsRecord => ({
  examples: 638,
  loss: 0.5,
  accuracy,
  precision: accuracy - 0.01,
  recall: accuracy - 0.02,
  f1_macro: accuracy - 0.03,
  f1_micro: accuracy,
  f1_weighted: accuracy,
  runtime: 1,
  samples_per_second: 638,
  labels: [],
  confusion: [],
});

const run = (name: string, title: string, method: RunRecord['method'], more: Partial<RunRecord> = {}): RunRecord => ({
  name,
  title,
  method,
  status: 'done',
  settings: { learning_rate: 1e-3 },
  epoch_history: [],
  log_history: [],
  ...more,
});

const lora = (rank: number): RunRecord =>
  run(
    `lora${rank}`,
    `LoRA r=${rank}`,
    { kind: 'lora', rank, alpha: 4 * rank },
    {
      parameters: { trainable: 36864 * rank + 4614, total: 109486854 + 36864 * rank },
      memory: { model: 20 * MEBIBYTE, peak: 100 * MEBIBYTE, process_peak: 200 * MEBIBYTE, device_peak: 0 },
      train_runtime: 12.345,
      test: metrics(0.8),
    },
  );

const before = run(
  'before',
  'before fine-tuning',
  { kind: 'none' },
  {
    parameters: { trainable: 0, total: 109486854 },
    memory: { model: 20 * MEBIBYTE, peak: 30 * MEBIBYTE, process_peak: 150 * MEBIBYTE, device_peak: 0 },
    test: metrics(0.151),
  },
);

const failed = run(
  'full',
  'full',
  { kind: 'full' },
  {
    status: 'failed',
    error: { code: 'OUT_OF_MEMORY', message: 'Expected 2 GiB but\n1 GiB is free' },
  },
);

describe('comparison', () => {
  it('lays all runs side by side', () => {
    const { columns, rows } = comparisonTable([before, lora(8)]);
    expect(columns.map(({ title }) => title)).to.deep.equal([
      'method',
      'accuracy',
      'F1 macro',
      'precision',
      'recall',
      'time s',
      'peak memory MiB',
      'process MiB',
      'trainable parameters',
      '% of all',
    ]);
    expect(rows).to.deep.equal([
      ['before fine-tuning', '0.1510', '0.1210', '0.1410', '0.1310', '-', '20.00', '150.00', '-', '-'],
      ['LoRA r=8', '0.8000', '0.7700', '0.7900', '0.7800', '12.35', '100.00', '200.00', '299,526', '0.27 %'],
    ]);
    expect(beforeTable(before).rows).to.deep.equal([['0.1510', '0.1410', '0.1310', '0.1210', '20.00']]);
  });

  it('says in a column of its own which run failed, and why under the table', () => {
    const { columns, rows } = comparisonTable([before, failed]);
    expect(columns.at(-1)?.title).to.equal('status');
    expect(rows.map((row) => row.at(-1))).to.deep.equal(['done', 'failed [OUT_OF_MEMORY]']);
    const text = closingSections({
      model: 'm',
      data: { source: 'd', labels: [], splits: {} },
      runs: [before, failed],
    }).map((section) => sectionText(section));
    expect(text).to.have.lengthOf(1);
    expect(text[0]).to.contain('full failed: error [OUT_OF_MEMORY]: Expected 2 GiB but\\n1 GiB is free\n');
    expect(sectionText(runSection(failed))).to.contain('error [OUT_OF_MEMORY]');
    expect(sectionText(beforeSection({ ...before, test: undefined } as unknown as RunRecord))).to.contain('no result');
  });

  it('marks a time of several methods, where there is one', () => {
    const done: RunRecord = { ...lora(4), together: 2 };
    const { train_runtime: _, ...rest } = lora(8);
    const stopped: RunRecord = { ...rest, together: 2, status: 'stopped' };
    const timesOf = (...runs: RunRecord[]) => {
      const { columns, rows } = comparisonTable(runs);
      return rows.map((row) => row[columns.findIndex(({ title }) => title === 'time s')]);
    };
    expect(timesOf(done, stopped)).to.deep.equal(['12.35 for 2', '-']);
    expect(togetherNotes([done, stopped])).to.deep.equal([
      'a time "for 2" is that of 2 methods that trained together, as is the memory beside it',
    ]);
    expect(togetherNotes([stopped])).to.deep.equal([]);
  });

  it('orders LoRA by rank as numbers, without DoRA', () => {
    const dora = { ...lora(8), title: 'DoRA r=8', method: { ...lora(8).method, dora: true } };
    const table = loraTable([lora(32), lora(4), before, dora, lora(16), lora(8)]);
    expect(table.rows.map(([rank, alpha]) => [rank, alpha])).to.deep.equal([
      ['4', '16'],
      ['8', '32'],
      ['16', '64'],
      ['32', '128'],
    ]);
  });

  it('sets the published row under the run of its name', () => {
    const { rows } = referenceTable([before, lora(8), lora(2)], NOTEBOOK_REFERENCE);
    expect(rows.map(([method, source, accuracy, , , , ...cost]) => [method, source, ...cost, accuracy])).to.deep.equal([
      ['before fine-tuning', 'here', '-', '20.00', '-', '0.1510'],
      ['', 'notebook', '-', '427.00', '-', '0.1510'],
      ['LoRA r=8', 'here', '12.35', '100.00', '299,526', '0.8000'],
      ['', 'notebook', '642.23', '1628.76', '299,526', '0.8715'],
    ]);
  });

  it('writes a CSV for programs: bytes, seconds, full precision', () => {
    const [first, second] = parse(resultsCsv([lora(8), failed]), { columns: true });
    expect(first).to.include({
      name: 'lora8',
      trainable_parameters: '299526',
      peak_memory_bytes: String(100 * MEBIBYTE),
      train_runtime: '12.345',
      accuracy: '0.8',
      error: '',
    });
    expect(second).to.include({
      status: 'failed',
      error: '[OUT_OF_MEMORY] Expected 2 GiB but\n1 GiB is free',
      accuracy: '',
    });
  });

  it('writes Markdown with every section of the terminal', () => {
    const comparison: ComparisonRecord = {
      preset: 'quick',
      created: '2025-01-01T00:00:00.000Z',
      model: 'bert-mini',
      data: { source: 'goemotions6', labels: ['sadness', 'joy'], splits: { train: 5272, test: 638 } },
      environment: {
        bertune: '0.1.0',
        node: '20.20.0',
        platform: 'linux x64',
        processor: 'a processor',
        device: 'cpu',
        precision: 'fp32',
        threads: 1,
        blas: 'OpenBLAS',
      },
      runs: [before, lora(4), failed],
      reference: NOTEBOOK_REFERENCE,
    };
    const text = resultsMarkdown(comparison);
    const titles = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    expect(titles).to.deep.equal([
      'Before fine-tuning',
      'LoRA r=4',
      'full',
      'LoRA by rank',
      'Comparison',
      'Beside the notebook',
    ]);
    expect(text).to.contain('train 5,272, test 638; 2 labels').and.contain('1 thread ·');
    expect(text.endsWith('\n') && !text.endsWith('\n\n')).to.equal(true);
  });
});
