import * as Plot from '@observablehq/plot';
import { CHART, canvas, type Described, type Drawn, padded, paddedLog } from './canvas.js';
import { fitText, LINE_HEIGHT, placeLabels, textWidth } from './labels.js';
import type { Mark } from './series.js';

const MARGIN = { top: 22, bottom: 38, left: 52, right: 14 } as const;
const LABEL_PIXELS = 130;

export interface ScatterOptions extends Described {
  readonly x: string;
  readonly points: readonly (Mark & { readonly x: number; readonly y: number })[];
  /** A height to compare with, drawn across. */
  readonly level?: { readonly title: string; readonly y: number };
}

/** Points over a logarithmic axis, named where a name covers nothing else. */
export function scatterChart({ x, points, level, ...described }: ScatterOptions): Drawn {
  const levels = level === undefined ? [] : [level];
  const chart = canvas(described, {
    marginTop: MARGIN.top,
    marginBottom: MARGIN.bottom,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    x: {
      type: 'log',
      label: x,
      domain: paddedLog(points.map((point) => point.x)),
      tickFormat: '~s',
      ticks: 4,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: { label: null, domain: padded([...points, ...levels].map(({ y }) => y)), ticks: 5, grid: true },
    marks: [
      Plot.ruleY(levels, { y: 'y', stroke: 'currentColor', strokeOpacity: 0.6, strokeDasharray: '4 4' }),
      ...points.map((point) => Plot.dot([point], { x: 'x', y: 'y', fill: point.color, symbol: point.symbol, r: 5 })),
    ],
  });
  const bounds = {
    left: MARGIN.left,
    top: MARGIN.top - 16,
    right: CHART.width,
    bottom: CHART.height - MARGIN.bottom + 2,
  };
  const named = points.map((point) => ({
    x: chart.x(point.x),
    y: chart.y(point.y),
    text: fitText(point.title, LABEL_PIXELS),
  }));
  // The level's name stands at the left end of its line, as one more point there.
  const across = levels.map(({ title, y }) => ({
    x: MARGIN.left - 4,
    y: chart.y(y) - 9,
    text: fitText(title, LABEL_PIXELS),
  }));
  const placed = placeLabels([...across, ...named], bounds);
  for (const { x: left, y, text, index } of placed) {
    const point = [...across, ...named][index]!;
    // A name that had to move away is tied to its point.
    if (index >= across.length && Math.abs(y - point.y) > 1.3 * LINE_HEIGHT) {
      const side = Math.sign(y - point.y);
      chart.line(
        point.x,
        point.y + side * 6,
        Math.min(Math.max(point.x, left + 4), left + textWidth(text) - 4),
        y - side * 7,
      );
    }
    chart.text(left, y, text, { full: [...levels, ...points][index]?.title ?? text });
  }
  return { html: chart.html(), named: placed.length === across.length + named.length };
}
