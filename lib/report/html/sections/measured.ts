import { taskOf } from '../../../tasks/index.js';
import { labelTable, measuredOn } from '../../metrics.js';
import type { MetricsRecord, RunRecord } from '../../records.js';
import { valueCharts } from '../charts/values.js';
import { figures, htmlTable, paragraphs } from '../elements.js';
import { commonestConfusions, confusionMatrix, isRoomy } from '../matrix.js';

/** The heading of `measuredSection`: what it is by, and the split where that is not the test split. */
export function measuredTitle(run: RunRecord): string {
  const areValues = taskOf(run.task).labels === 'values';
  return `By ${areValues ? 'value' : 'label'}${measuredOn(run)?.split === 'validation' ? ', on the validation split' : ''}`;
}

/** How a run does by label, and what it takes for what; in regression by value, and what it predicts. Empty where nothing was measured. */
export function measuredSection(run: RunRecord, color: string): string {
  const { metrics } = measuredOn(run) ?? {};
  if (metrics === undefined) return '';
  if (taskOf(metrics.task).labels === 'values') return valuesOf(metrics, run, color);
  const { labels = [], averages } = metrics;
  if (labels.length === 0) return '';
  const table = labelTable(metrics, run.thresholds);
  const foot = table.rows.length - labels.length;
  const byLabel =
    htmlTable(table, `Labels of ${run.title}`, { bars: { column: 3, full: 1 }, foot }) +
    paragraphs(thresholdWords(run, averages !== undefined));
  const matrix = confusionMatrix(metrics, run.title);
  const confusions = commonestConfusions(metrics, run.title);
  if (matrix === '' && confusions === '') return byLabel;
  const note =
    'Rows are the true labels, columns what was predicted: counts, shaded by their share of the row. Empty is 0.';
  const whole = matrix === '' ? '' : `<h3>Confusion matrix</h3>${paragraphs([note])}${matrix}`;
  const listed = confusions === '' ? '' : `<h3>Commonest confusions</h3>${confusions}`;
  if (isRoomy(metrics)) return `<div class="split"><div>${byLabel}</div><div>${whole}${listed}</div></div>`;
  return `<div class="split"><div>${byLabel}</div><div>${listed}</div></div><div class="wide">${whole}</div>`;
}

function thresholdWords({ thresholds, settings }: RunRecord, areSets: boolean): string[] {
  if (!areSets) return [];
  if (thresholds !== undefined)
    return ['A label is predicted where its score is above its threshold, as tuned on the validation split.'];
  // Of files from before thresholds were kept it is not known what they were.
  return settings.tune_thresholds === true ? [] : ['A label is predicted where its score is above 0.5.'];
}

function valuesOf(metrics: MetricsRecord, run: RunRecord, color: string): string {
  const { columns = [] } = metrics;
  const table = columns.length === 0 ? '' : htmlTable(labelTable(metrics), `Values of ${run.title}`);
  return table + figures(valueCharts(metrics, run.title, color));
}
