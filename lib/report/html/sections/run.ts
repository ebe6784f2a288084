import { formatCount, formatShare } from '../../../format.js';
import { epochTable, headlineOf, measuredOn } from '../../metrics.js';
import type { RunRecord } from '../../records.js';
import { calibrationLines, failure } from '../../sections.js';
import { lineChart } from '../charts/line.js';
import { logPoints, markOf } from '../charts/series.js';
import { bullets, escapeHtml, figure, figures, htmlTable, paragraphs, swatch } from '../elements.js';
import { measuredSection, measuredTitle } from './measured.js';
import { mistakesSection, mistakesTitle } from './mistakes.js';

/** One run of several, to be folded: its epochs and its loss, each label, the confusion matrix, the most wrong texts. */
export function runDetails(run: RunRecord, index: number): string {
  const summary = `${swatch(index)}${escapeHtml(run.title)}<small>${escapeHtml(outcome(run))}</small>`;
  const parts = [
    runLead(run),
    part('Advice', bullets(run.advice ?? [])),
    part('Epochs', epochsOf(run)),
    figures(lossChart(run, index)),
    part(measuredTitle(run), measuredSection(run, `var(--run-${index})`)),
    part(mistakesTitle(run), mistakesSection(run)),
  ];
  return `<details><summary>${summary}</summary>${parts.join('')}</details>`;
}

function part(title: string, content: string): string {
  return content === '' ? '' : `<h3>${escapeHtml(title)}</h3>${content}`;
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

/** What a run trained, and what became of it. */
function runLead(run: RunRecord): string {
  const { parameters } = run;
  const lines =
    parameters === undefined || parameters.trainable === 0
      ? []
      : [
          `${formatCount(parameters.trainable)} of ${formatCount(parameters.total)} parameters trained ` +
            `(${formatShare(parameters.trainable, parameters.total)})`,
        ];
  return paragraphs(lines) + stateOf(run);
}

/** How a run was calibrated, and what became of it where it did not come to its end. */
export function stateOf(run: RunRecord): string {
  return paragraphs(calibrationLines(run)) + (run.error === undefined ? '' : paragraphs([failure(run)], 'failure'));
}

/** The epochs of a run in a table. Empty where it came to none. */
export function epochsOf(run: RunRecord): string {
  return run.epoch_history.length === 0 ? '' : htmlTable(epochTable(run), `Epochs of ${run.title}`);
}

/** The losses of a run; none where none was logged. */
export function lossChart(run: RunRecord, index: number): string[] {
  const { color } = markOf(run, index);
  const training = { title: 'training', color, symbol: 'circle' as const, points: logPoints(run, 'step', 'loss') };
  const validation = {
    title: 'validation',
    color: 'var(--quiet)',
    symbol: 'square' as const,
    points: logPoints(run, 'step', 'eval_loss'),
  };
  const curves = [
    { ...training, isMean: true },
    { ...validation, isMean: false },
  ].filter(({ points }) => points.some(({ y }) => Number.isFinite(y)));
  if (curves.length === 0) return [];
  const title = `Loss of ${run.title}`;
  const description = `Loss by step: ${curves.map((curve) => curve.title).join(' and ')}`;
  return [figure('Loss', 'by step', lineChart({ title, description, x: 'step', series: curves }).html)];
}
