import * as Plot from '@observablehq/plot';
import { formatSetting } from '../../../format.js';
import { CHART, canvas, type Described, isRange, padded, paddedLog } from './canvas.js';
import { fitText } from './labels.js';

const MARGIN = { top: 14, bottom: 42, left: 52, right: 20 } as const;

/** From a factor of so much on an axis is logarithmic. */
const LOG_FACTOR = 10;
/** Of more values there are as many means as runs: they are drawn at random. */
const MOST_MEANS = 12;
/** So many values have a tick each. */
const MOST_TICKS = 6;

/** A run: the value of its setting, and how it did. */
export interface SettingPoint {
  readonly x: number | string;
  readonly y: number;
}

export interface SettingOptions extends Described {
  /** The setting. */
  readonly x: string;
  readonly points: readonly SettingPoint[];
}

/** What a metric is over the values of a setting: a dot per run, and the means of few values. */
export function settingChart({ x, points, ...described }: SettingOptions): string {
  const values = [...new Set(points.map((point) => point.x))];
  const isNumeric = values.every((value) => typeof value === 'number');
  // A category stands where its number is.
  const names = isNumeric ? [] : values.map(String);
  const placed = points.map((point) => ({
    x: isNumeric ? Number(point.x) : names.indexOf(String(point.x)),
    y: point.y,
  }));
  const places = [...new Set(placed.map((point) => point.x))].sort((a, b) => a - b);
  const means = places.map((place) => {
    const own = placed.filter((point) => point.x === place);
    return { x: place, y: own.reduce((sum, { y }) => sum + y / own.length, 0) };
  });
  const shown = means.length > MOST_MEANS ? [] : means;
  const room = (CHART.width - MARGIN.left - MARGIN.right) / Math.max(1, names.length);
  return canvas(described, {
    marginTop: MARGIN.top,
    marginBottom: MARGIN.bottom,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    x: isNumeric
      ? { ...scaleOf(places), label: x, labelAnchor: 'center', labelArrow: 'none' }
      : {
          label: x,
          domain: [-0.5, names.length - 0.5],
          ticks: names.map((_, index) => index),
          tickFormat: (index: number) => fitText(names[index] ?? '', room),
          labelAnchor: 'center',
          labelArrow: 'none',
        },
    y: { label: null, domain: padded(points.map(({ y }) => y)), ticks: 5, grid: true },
    marks: [
      ...(isNumeric ? [Plot.line(shown, { x: 'x', y: 'y', stroke: 'var(--second)', strokeWidth: 2 })] : []),
      Plot.dot(placed, { x: 'x', y: 'y', fill: 'var(--first)', fillOpacity: 0.55, r: 3.5 }),
      Plot.dot(shown, { x: 'x', y: 'y', stroke: 'var(--second)', symbol: 'square', r: 5, strokeWidth: 2 }),
    ],
  }).html();
}

function scaleOf(values: readonly number[]): Plot.ScaleOptions {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = low > 0 && high / low >= LOG_FACTOR && isRange(low, high);
  const ticks = values.length <= MOST_TICKS ? values : 5;
  return {
    type: isLog ? 'log' : 'linear',
    domain: isLog ? paddedLog(values) : padded(values),
    ticks,
    tickFormat: formatSetting,
  };
}
