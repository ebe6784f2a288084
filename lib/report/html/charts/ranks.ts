import * as Plot from '@observablehq/plot';
import { CHART, canvas, type Described, padded } from './canvas.js';
import { placeLabels } from './labels.js';

const MARGIN = { top: 22, bottom: 38, left: 52, right: 78 } as const;

/** How good the LoRA run of a rank is, by two metrics. */
export interface RankPoint {
  readonly rank: number;
  readonly first: number;
  readonly second: number;
}

/**
 * Two metrics over the rank, which doubles from tick to tick.
 *
 * @param names of the metrics
 */
export function rankChart(described: Described, points: readonly RankPoint[], names: readonly string[]): string {
  const ranks = [...new Set(points.map(({ rank }) => rank))];
  const curves = [
    { name: names[0]!, key: 'first', color: 'var(--first)', symbol: 'circle' },
    { name: names[1]!, key: 'second', color: 'var(--second)', symbol: 'square' },
  ] as const;
  const chart = canvas(described, {
    marginTop: MARGIN.top,
    marginBottom: MARGIN.bottom,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    x: {
      type: 'log',
      base: 2,
      label: 'rank',
      domain: [Math.min(...ranks) / 1.2, Math.max(...ranks) * 1.2],
      ticks: ranks,
      tickFormat: String,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: { label: null, domain: padded(points.flatMap(({ first, second }) => [first, second])), ticks: 5, grid: true },
    marks: curves.flatMap(({ key, color, symbol }) => [
      Plot.line(points, { x: 'rank', y: key, stroke: color, strokeWidth: 2 }),
      Plot.dot(points, { x: 'rank', y: key, fill: color, symbol, r: 4 }),
    ]),
  });
  const last = points.at(-1)!;
  const ends = curves.map(({ name, key }) => ({ x: chart.x(last.rank), y: chart.y(last[key]), text: name }));
  const bounds = { left: ends[0]!.x, top: 0, right: CHART.width, bottom: CHART.height - MARGIN.bottom + 8 };
  for (const { x, y, text } of placeLabels(ends, bounds)) chart.text(x, y, text);
  return chart.html();
}
