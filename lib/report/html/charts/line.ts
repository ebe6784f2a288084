import * as Plot from '@observablehq/plot';
import { CHART, canvas, type Described, type Drawn, isRange, padded } from './canvas.js';
import { fitText, placeLabels, spread, textWidth } from './labels.js';
import { averaged, type Series, thinned } from './series.js';

const MARGIN = { top: 26, bottom: 38, left: 52, right: 20 } as const;
const RANK_MARGIN = { top: 22, bottom: 38, left: 52, right: 78 } as const;
const LABEL_PIXELS = 132;
/** So few points have a dot each. */
const DOTTED_POINTS = 16;

interface LineOptions extends Described {
  readonly x: string;
  /** Of a series that is a mean of the steps before each point, long curves are drawn by the means of their parts. */
  readonly series: readonly (Series & { readonly isMean: boolean })[];
}

/** Curves with their names at their ends, where there is room for all. */
export function lineChart({ x, series, ...described }: LineOptions): Drawn {
  const curves = series.map((one) => {
    const points = one.points.filter(({ y }) => Number.isFinite(y));
    return { ...one, shown: one.isMean ? averaged(points) : thinned(points) };
  });
  const ends = curves.map(({ title }) => fitText(title, LABEL_PIXELS));
  // Names that are cut to the same are told apart by a legend.
  const isDistinct = new Set(ends).size === new Set(curves.map(({ title }) => title)).size;
  const marginRight = isDistinct ? Math.max(...ends.map(textWidth), 20) + 26 : MARGIN.right;
  const xs = curves.flatMap(({ shown }) => shown.map((point) => point.x));
  const chart = canvas(described, {
    marginTop: MARGIN.top,
    marginBottom: MARGIN.bottom,
    marginLeft: MARGIN.left,
    marginRight,
    x: { label: x, domain: xDomain(xs), ...xTicks(xs), labelAnchor: 'center', labelArrow: 'none' },
    y: { label: null, domain: padded(curves.flatMap(({ shown }) => shown.map(({ y }) => y))), ticks: 5, grid: true },
    marks: curves.flatMap(({ shown, color, symbol }) => [
      Plot.line(shown, { x: 'x', y: 'y', stroke: color, strokeWidth: 2 }),
      ...(shown.length > DOTTED_POINTS ? [] : [Plot.dot(shown, { x: 'x', y: 'y', fill: color, symbol, r: 3.5 })]),
    ]),
  });
  const last = curves.map(({ shown }) => shown.at(-1)!);
  const heights = last.map(({ y }) => chart.y(y));
  const places = isDistinct ? spread(heights, MARGIN.top - 8, CHART.height - MARGIN.bottom) : null;
  places?.forEach((place, index) => {
    const { x: endX, y: endY } = last[index]!;
    const labelX = CHART.width - marginRight + 20;
    chart.line(chart.x(endX) + 4, chart.y(endY), labelX - 3, place);
    chart.text(labelX, place, ends[index]!, { full: curves[index]!.title });
  });
  return { html: chart.html(), named: places !== null };
}

/** From the first point to the last; room on both sides where that is one. */
function xDomain(xs: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  if (isRange(low, high)) return [low, high];
  return low > 1e-6 && low < 1e300 ? [0, 2 * low] : [low - 0.5, high + 0.5];
}

/** Every few epochs or steps, at whole ones only. */
function xTicks(xs: readonly number[]): { ticks: number[] | number; tickFormat?: string } {
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const step = Math.ceil((Math.floor(high) - Math.ceil(low)) / 6);
  if (!xs.every(Number.isInteger)) return { ticks: 5 };
  if (step > 4) return { ticks: 4, tickFormat: high < 10_000 ? ',d' : '~s' };
  const every = Math.max(1, step);
  return {
    ticks: Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => low + i * every),
    tickFormat: 'd',
  };
}

/** How good the LoRA run of a rank is, by two metrics. */
interface RankPoint {
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
    marginTop: RANK_MARGIN.top,
    marginBottom: RANK_MARGIN.bottom,
    marginLeft: RANK_MARGIN.left,
    marginRight: RANK_MARGIN.right,
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
  const bounds = { left: ends[0]!.x, top: 0, right: CHART.width, bottom: CHART.height - RANK_MARGIN.bottom + 8 };
  for (const { x, y, text } of placeLabels(ends, bounds)) chart.text(x, y, text);
  return chart.html();
}
