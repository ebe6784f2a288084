import { formatCount, formatShare } from '../../../format.js';
import { taskOf } from '../../../tasks/index.js';
import { epochTable, headlineOf, labelTable, measuredOn } from '../../metrics.js';
import type { RunRecord } from '../../records.js';
import { calibrationLines, failure } from '../../sections.js';
import { lineChart } from '../charts/line.js';
import { logPoints, markOf } from '../charts/series.js';
import { valueCharts } from '../charts/values.js';
import { escapeHtml, figure, figures, htmlTable, paragraphs, swatch } from '../elements.js';
import { confusionMatrix, isDense } from '../matrix.js';

/** One run, to be folded: its epochs and its losses, each label, the confusion matrix, its settings. */
export function runDetails(run: RunRecord, index: number, open: boolean): string {
  const summary = `${swatch(index)}${escapeHtml(run.title)}<small>${escapeHtml(outcome(run))}</small>`;
  const parts = [leadOf(run), adviceOf(run), trainingOf(run, index), testOf(run)];
  return `<details${open ? ' open' : ''}><summary>${summary}</summary>${parts.join('')}</details>`;
}

function outcome(run: RunRecord): string {
  const { status, error } = run;
  const measured = measuredOn(run);
  if (measured !== undefined) {
    const { split, metrics } = measured;
    return `${split === 'validation' ? 'validation ' : ''}${headlineOf(metrics.task, metrics).join(', ')}`;
  }
  return error === undefined ? status : `${status} [${error.code}]`;
}

function leadOf(run: RunRecord): string {
  const { error, parameters } = run;
  const lines =
    parameters === undefined || parameters.trainable === 0
      ? []
      : [
          `${formatCount(parameters.trainable)} of ${formatCount(parameters.total)} parameters trained ` +
            `(${formatShare(parameters.trainable, parameters.total)})`,
        ];
  return (
    paragraphs([...lines, ...calibrationLines(run)]) +
    (error === undefined ? '' : paragraphs([failure(run)], 'failure'))
  );
}

function adviceOf({ advice = [] }: RunRecord): string {
  const items = advice.map((line) => `<li>${escapeHtml(line)}</li>`);
  return items.length === 0 ? '' : `<h3>Advice</h3><ul>${items.join('')}</ul>`;
}

function trainingOf(run: RunRecord, index: number): string {
  const epochs =
    run.epoch_history.length === 0 ? '' : `<h3>Epochs</h3>${htmlTable(epochTable(run), `Epochs of ${run.title}`)}`;
  const { color } = markOf(run, index);
  const curves = [
    { title: 'training', color, symbol: 'circle' as const, points: logPoints(run, 'step', 'loss') },
    {
      title: 'validation',
      color: 'var(--quiet)',
      symbol: 'square' as const,
      points: logPoints(run, 'step', 'eval_loss'),
    },
  ].filter(({ points }) => points.some(({ y }) => Number.isFinite(y)));
  if (curves.length === 0) return epochs;
  const title = `Loss of ${run.title}`;
  const description = `Loss by step: ${curves.map((curve) => curve.title).join(' and ')}`;
  const chart = lineChart({ title, description, x: 'step', series: curves, smoothed: true });
  return epochs + figures([figure('Loss', 'by step', chart.html)]);
}

function testOf(run: RunRecord): string {
  const { title } = run;
  const measured = measuredOn(run);
  if (measured === undefined) return '';
  const { split, metrics } = measured;
  const table = labelTable(metrics);
  const areValues = taskOf(metrics.task).labels === 'values';
  if ((areValues ? metrics.columns : metrics.labels)?.length === undefined || table.rows.length === 0) return '';
  const heading = `By ${areValues ? 'value' : 'label'}${split === 'test' ? '' : ', on the validation split'}`;
  const labels = `<div><h3>${heading}</h3>${htmlTable(table, `${areValues ? 'Values' : 'Labels'} of ${title}`)}</div>`;
  if (areValues) return labels + figures(valueCharts(metrics, title));
  const matrix = confusionMatrix(metrics, title);
  if (matrix === '') return labels;
  const note = paragraphs(['Rows are the true labels; counts, with their share of the row.']);
  const wide = isDense(metrics);
  const mistakes = `<div${wide ? ' class="wide"' : ''}><h3>Confusion matrix</h3>${note}${matrix}</div>`;
  return wide ? labels + mistakes : `<div class="split">${labels}${mistakes}</div>`;
}
