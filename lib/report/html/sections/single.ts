import { formatCount, formatFixed, formatMetric, formatShare } from '../../../format.js';
import { comparedMetrics } from '../../comparison.js';
import { measuredOn } from '../../metrics.js';
import type { RunRecord } from '../../records.js';
import { bullets, figures, type Section, tiles } from '../elements.js';
import type { ReportInput } from '../input.js';
import { metricCharts } from './comparison.js';
import { measuredSection, measuredTitle } from './measured.js';
import { mistakesSection, mistakesTitle } from './mistakes.js';
import { epochsOf, lossChart, stateOf } from './run.js';
import { settingsList, settingsOf } from './settings.js';

const MEBIBYTE = 2 ** 20;

/** The parts of a page of one run by itself. */
export function singleSections({ runs }: ReportInput): Section[] {
  const [run] = runs as readonly [RunRecord];
  const measured = measuredOn(run);
  return [
    {
      id: 'result',
      title: measured?.split === 'validation' ? 'Result on the validation split' : 'Result',
      content: resultOf(run),
    },
    { id: 'labels', title: measuredTitle(run), content: measuredSection(run, 'var(--run-0)') },
    { id: 'mistakes', title: mistakesTitle(run), content: mistakesSection(run) },
    { id: 'curves', title: 'Training', content: trainingOf(run) },
    { id: 'settings', title: 'Settings', content: settingsList([...settingsOf(run)]) },
  ];
}

function resultOf(run: RunRecord): string {
  const { metrics } = measuredOn(run) ?? {};
  const { train_runtime: time, memory, parameters } = run;
  const quality = comparedMetrics([run]).map(({ name, title }) => [title, formatMetric(metrics?.[name])] as const);
  const cost = [
    // That of a regression is its mean squared error.
    ...(metrics === undefined || metrics.loss === metrics.mse ? [] : [['loss', formatMetric(metrics.loss)] as const]),
    ...(time === undefined ? [] : [['training time', `${formatFixed(time, time < 10 ? 2 : 1)} s`] as const]),
    ...(memory?.peak === undefined ? [] : [['peak memory', `${formatFixed(memory.peak / MEBIBYTE, 0)} MiB`] as const]),
    ...(parameters === undefined || parameters.trainable === 0
      ? []
      : [
          [
            `parameters trained (${formatShare(parameters.trainable, parameters.total)})`,
            formatCount(parameters.trainable),
          ] as const,
        ]),
  ];
  const advice = run.advice ?? [];
  return [
    quality.length === 0 ? '' : tiles(quality),
    cost.length === 0 ? '' : tiles(cost),
    stateOf(run),
    advice.length === 0 ? '' : `<h3>Advice</h3>${bullets(advice)}`,
  ].join('');
}

function trainingOf(run: RunRecord): string {
  const charts = [...lossChart(run, 0), ...metricCharts([run]).map(({ html }) => html)];
  const epochs = epochsOf(run);
  return figures(charts) + (epochs === '' ? '' : `<h3>Epochs</h3>${epochs}`);
}
