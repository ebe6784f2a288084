import * as Plot from '@observablehq/plot';
import type { MetricsRecord } from '../../records.js';
import { figure } from '../elements.js';
import { canvas, padded } from './canvas.js';

/** Bars of the distribution of errors. */
const BINS = 20;

/** Of a regression: predicted by true values, and how its errors are distributed. None where no values are kept. */
export function valueCharts({ pairs = [] }: MetricsRecord, title: string): string[] {
  const known = pairs.filter(({ target, predicted }) => Number.isFinite(target) && Number.isFinite(predicted));
  if (known.length === 0) return [];
  return [
    figure('Predicted by true values', 'on the dashed line they are equal', scatter(known, title)),
    figure('Errors', 'predicted less true, in texts', histogram(known, title)),
  ];
}

type Pairs = NonNullable<MetricsRecord['pairs']>;

function scatter(pairs: Pairs, title: string): string {
  const domain = padded(pairs.flatMap(({ target, predicted }) => [target, predicted]));
  const diagonal = domain.map((value) => ({ target: value, predicted: value }));
  const described = {
    title: `Predicted by true values of ${title}`,
    description: `${pairs.length} texts`,
  };
  return canvas(described, {
    marginLeft: 52,
    marginBottom: 38,
    x: { label: 'true', domain, ticks: 5, labelAnchor: 'center', labelArrow: 'none' },
    y: { label: null, domain, ticks: 5, grid: true },
    marks: [
      Plot.line(diagonal, {
        x: 'target',
        y: 'predicted',
        stroke: 'currentColor',
        strokeOpacity: 0.6,
        strokeDasharray: '4 4',
      }),
      Plot.dot([...pairs], { x: 'target', y: 'predicted', fill: 'var(--run-0)', fillOpacity: 0.5, r: 2.5 }),
    ],
  }).html();
}

function histogram(pairs: Pairs, title: string): string {
  const errors = pairs.map(({ target, predicted }) => predicted - target);
  const [low, high] = padded(errors, 0);
  const width = (high - low) / BINS;
  const bins = Array.from({ length: BINS }, (_, i) => ({ from: low + i * width, to: low + (i + 1) * width, count: 0 }));
  for (const error of errors) bins[Math.min(BINS - 1, Math.floor((error - low) / width))]!.count += 1;
  const described = { title: `Errors of ${title}`, description: `${errors.length} texts, from ${low} to ${high}` };
  return canvas(described, {
    marginLeft: 52,
    marginBottom: 38,
    x: { label: 'error', domain: [low, high], ticks: 5, labelAnchor: 'center', labelArrow: 'none' },
    y: { label: null, ticks: 5, grid: true },
    marks: [
      Plot.rectY(bins, { x1: 'from', x2: 'to', y: 'count', fill: 'var(--run-0)', insetLeft: 0.5, insetRight: 0.5 }),
      Plot.ruleX(
        [0].filter((zero) => zero >= low && zero <= high),
        { stroke: 'currentColor', strokeOpacity: 0.6 },
      ),
    ],
  }).html();
}
