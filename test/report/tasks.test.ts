import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { metricsRecord } from '../../lib/experiments/run.js';
import type { EvaluateResult, TaskKind } from '../../lib/index.js';
import { multiLabelMetrics } from '../../lib/metrics/multi-label.js';
import { regressionMetrics } from '../../lib/metrics/regression.js';
import { comparisonTable } from '../../lib/report/comparison.js';
import { renderReport } from '../../lib/report/html/page.js';
import { epochTable, labelTable, metricsTable } from '../../lib/report/metrics.js';
import type { RunRecord } from '../../lib/report/records.js';
import { resultsCsv } from '../../lib/report/results.js';
import { confusionSections, measuredSections, sectionText } from '../../lib/report/sections.js';

const PASS = { loss: 0.5, runtime: 1, samplesPerSecond: 4, stepsPerSecond: 1, examples: 4, truncated: 0, notes: [] };

function labelled(predictions: readonly number[]): EvaluateResult {
  const metrics = multiLabelMetrics([1, 0, 0, 1, 1, 1, 0, 0], predictions, ['joy', 'fear']);
  const { accuracy, macro, micro, weighted, samples } = metrics;
  return {
    ...{ task: 'multi-label', ...PASS, metrics, accuracy, precision: macro.precision, recall: macro.recall },
    ...{ f1_macro: macro.f1, f1_micro: micro.f1, f1_weighted: weighted.f1, f1_samples: samples.f1 },
    ...{ auroc: 0.7, auroc_micro: 0.7, average_precision: 0.6, average_precision_micro: 0.6, ece: 0.1 },
  } as EvaluateResult;
}

function valued(predictions: readonly number[]): EvaluateResult {
  const metrics = regressionMetrics([1, 2, 3, 3], predictions, ['score']);
  const { mse, mae, r2, pearson, spearman } = metrics;
  return { task: 'regression', ...PASS, metrics, mse, mae, r2, pearson, spearman } as EvaluateResult;
}

const run = (name: string, result: EvaluateResult, trainable: number): RunRecord => ({
  name,
  title: name,
  method: { kind: 'full' },
  task: result.task,
  status: 'done',
  settings: { learning_rate: 1e-3 },
  parameters: { trainable, total: 1000 },
  train_runtime: 2,
  test: metricsRecord(result),
  epoch_history: [{ epoch: 1, step: 5, train_loss: 0.9, train_accuracy: 0 }],
  log_history: [{ step: 5, epoch: 1, eval_loss: 0.4, eval_f1_micro: 0.75, eval_mse: 0.4, eval_pearson: null }],
});

const RUNS: Record<Exclude<TaskKind, 'single-label'>, RunRecord[]> = {
  'multi-label': [
    run('some', labelled([1, 0, 0, 0, 1, 1, 0, 0]), 10),
    run('none', labelled(new Array(8).fill(0)), 900),
  ],
  regression: [run('close', valued([1.1, 2.1, 2.9, 3]), 900), run('constant', valued([2, 2, 2, 2]), 10)],
};
const titles = (table: { columns: readonly { title: string }[] }) => table.columns.map(({ title }) => title);

describe('reports of tasks', () => {
  it('have the metrics of a multi-label model, and its labels with their averages', () => {
    const [some] = RUNS['multi-label'];
    expect(titles(metricsTable(some!.test!))).to.deep.equal([
      ...['examples', 'loss', 'F1 micro', 'F1 macro', 'F1 samples', 'precision', 'recall', 'subset accuracy'],
    ]);
    const rows = labelTable(some!.test!).rows;
    expect(rows.map(([name]) => name)).to.deep.equal([
      ...['joy', 'fear', 'micro average', 'macro average', 'weighted average', 'samples average'],
    ]);
    expect(rows[1]).to.deep.equal(['fear', '1.0000', '0.5000', '0.6667', '2']);
    expect(rows[2]).to.deep.equal(['micro average', '1.0000', '0.7500', '0.8571', '4']);
    expect(rows[5]!.at(-1)).to.equal('4');
    expect(confusionSections(some!.test!, 100)).to.deep.equal([]);
    expect(titles(epochTable(some!)).slice(3)).to.deep.equal([
      ...['F1 Micro', 'F1 Macro', 'F1 Samples', 'Precision', 'Recall', 'Subset Accuracy'],
    ]);
    expect(epochTable(some!).rows[0]!.slice(2, 5)).to.deep.equal(['0.4000', '0.7500', '-']);
  });

  it('have the metrics of a regression model by column, and a dash where one is not defined', () => {
    const [close, constant] = RUNS.regression;
    expect(titles(labelTable(close!.test!))).to.deep.equal(['value', 'MSE', 'MAE', 'R²', 'Pearson', 'Spearman']);
    expect(labelTable(constant!.test!).rows).to.deep.equal([['score', '0.7500', '0.7500', '-0.0909', '-', '-']]);
    expect(measuredSections(close!).map(({ title }) => title)).to.deep.equal(['Test', 'By value']);
    for (const section of measuredSections(constant!)) expect(sectionText(section)).to.not.match(/NaN|nan|undefined/);
    expect(JSON.stringify(constant)).to.not.contain('NaN');
  });

  it('compare runs by the metrics of their task', () => {
    expect(titles(comparisonTable(RUNS['multi-label'])).slice(0, 3)).to.deep.equal(['method', 'F1 micro', 'F1 macro']);
    expect(titles(comparisonTable(RUNS.regression)).slice(1, 6)).to.deep.equal([
      'MSE',
      'Pearson',
      'MAE',
      'R²',
      'Spearman',
    ]);
    const [first, second] = parse(resultsCsv(RUNS.regression), { columns: true }) as Record<string, string>[];
    expect(first).to.include({ name: 'close', mse: String(RUNS.regression[0]!.test!.mse) });
    expect(second).to.include({ pearson: '' });
    expect(first).to.not.have.property('accuracy');
  });

  it('draw what there is to see of a task', () => {
    const page = (runs: readonly RunRecord[]) =>
      renderReport({ preset: 'quick', created: '', model: 'm', data: { source: 'd', labels: [], splits: {} }, runs });
    const labels = page(RUNS['multi-label']);
    expect(labels).to.contain('some has the highest micro F1 (0.8571)');
    expect(labels)
      .to.contain('F1 micro by size')
      .and.to.contain('samples average')
      .and.to.not.contain('Confusion matrix');
    const values = page(RUNS.regression);
    expect(values).to.contain('close has the lowest mean squared error (0.0075)');
    expect(values).to.contain('Predicted against true').and.to.contain('Errors').and.to.not.contain('NaN');
    expect(values).to.contain('no smaller one comes within 10 % of it');
  });
});
