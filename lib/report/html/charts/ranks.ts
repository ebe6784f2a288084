import * as Plot from '@observablehq/plot';
import { CHART, canvas, type Described, padded } from './canvas.js';
import { placeLabels } from './labels.js';

const MARGIN = { top: 22, bottom: 38, left: 52, right: 78 } as const;

/** How good the LoRA run of a rank is. */
export interface RankPoint {
  readonly rank: number;
  readonly accuracy: number;
  readonly f1: number;
}

/** Accuracy and macro F1 over the rank, which doubles from tick to tick. */
export function rankChart(described: Described, points: readonly RankPoint[]): string {
  const ranks = [...new Set(points.map(({ rank }) => rank))];
  const curves = [
    { name: 'accuracy', key: 'accuracy', color: 'var(--first)', symbol: 'circle' },
    { name: 'F1 macro', key: 'f1', color: 'var(--second)', symbol: 'square' },
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
    y: { label: null, domain: padded(points.flatMap(({ accuracy, f1 }) => [accuracy, f1])), ticks: 5, grid: true },
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
