import * as Plot from '@observablehq/plot';
import { formatCount, formatShort } from '../../../format.js';
import type { MetricsRecord } from '../../records.js';
import { figure } from '../elements.js';
import { CHART, canvas, padded } from './canvas.js';

/** Bars of the distribution of errors. */
const BINS = 20;
/** The distance of greater numbers is none. */
const GREATEST = 1e300;
/** Of a model of more values, those of the first are drawn. */
const MOST_COLUMNS = 6;
/** More points than these are drawn fainter, so that where they are dense is seen. */
const SPARSE_POINTS = 200;
const MARGIN = { top: 24, bottom: 38, left: 52, right: 16 } as const;
/** As high as it is wide between its margins, so that what is right lies on a diagonal. */
const SQUARE = CHART.width - MARGIN.left - MARGIN.right + MARGIN.top + MARGIN.bottom;

type Pairs = NonNullable<MetricsRecord['pairs']>;

/** Of a regression, for each value: predicted against true, and how its errors are distributed. None where no values are kept. */
export function valueCharts({ pairs = [], columns = [] }: MetricsRecord, title: string, color: string): string[] {
  const known = pairs.filter(({ target, predicted }) => Math.max(Math.abs(target), Math.abs(predicted)) <= GREATEST);
  const names = [...new Set(known.map(({ label }) => label))].slice(0, MOST_COLUMNS);
  return names.flatMap((name) => {
    const own = known.filter(({ label }) => label === name);
    const titled = (title: string) => (columns.length > 1 ? `${title}, ${name}` : title);
    const sample = `${formatCount(own.length)} texts; on the dashed line they are equal`;
    return [
      figure(titled('Predicted against true'), sample, scatter(own, title, color)),
      figure(titled('Errors'), 'predicted less true; how many texts', histogram(own, title, color)),
    ];
  });
}

function scatter(pairs: Pairs, title: string, color: string): string {
  const domain = padded(pairs.flatMap(({ target, predicted }) => [target, predicted]));
  const diagonal = domain.map((value) => ({ target: value, predicted: value }));
  const described = { title: `Predicted against true values of ${title}`, description: `${pairs.length} texts` };
  const isSparse = pairs.length <= SPARSE_POINTS;
  return canvas(described, {
    ...margins(),
    height: SQUARE,
    x: { label: 'true', domain, ticks: 5, labelAnchor: 'center', labelArrow: 'none' },
    y: { label: 'predicted', domain, ticks: 5, grid: true, labelAnchor: 'top', labelArrow: 'none' },
    marks: [
      Plot.dot([...pairs], {
        x: 'target',
        y: 'predicted',
        fill: color,
        fillOpacity: isSparse ? 0.6 : 0.35,
        r: isSparse ? 3.5 : 3,
      }),
      Plot.line(diagonal, {
        x: 'target',
        y: 'predicted',
        stroke: 'currentColor',
        strokeOpacity: 0.7,
        strokeDasharray: '4 4',
      }),
    ],
  }).html();
}

function histogram(pairs: Pairs, title: string, color: string): string {
  const errors = pairs.map(({ target, predicted }) => predicted - target);
  const [low, high] = padded(errors, 0);
  const width = (high - low) / BINS;
  const bins = Array.from({ length: BINS }, (_, i) => ({ from: low + i * width, to: low + (i + 1) * width, count: 0 }));
  for (const error of errors) bins[Math.min(BINS - 1, Math.floor((error - low) / width))]!.count += 1;
  const range = `from ${formatShort(low)} to ${formatShort(high)}`;
  return canvas(
    { title: `Errors of ${title}`, description: `${errors.length} texts, ${range}` },
    {
      ...margins(),
      x: { label: 'error', domain: [low, high], ticks: 5, labelAnchor: 'center', labelArrow: 'none' },
      y: { label: null, ticks: 5, grid: true },
      marks: [
        Plot.rectY(bins, { x1: 'from', x2: 'to', y: 'count', fill: color, insetLeft: 0.5, insetRight: 0.5 }),
        Plot.ruleX(
          [0].filter((zero) => zero >= low && zero <= high),
          { stroke: 'currentColor', strokeOpacity: 0.7 },
        ),
      ],
    },
  ).html();
}

function margins() {
  return { marginTop: MARGIN.top, marginBottom: MARGIN.bottom, marginLeft: MARGIN.left, marginRight: MARGIN.right };
}
