import * as Plot from '@observablehq/plot';
import { canvas, type Described } from './canvas.js';
import { fitText, textWidth } from './labels.js';
import type { Mark } from './series.js';

const ROW_HEIGHT = 26;
const NAME_PIXELS = 138;

export interface BarOptions extends Described {
  readonly bars: readonly (Mark & { readonly value: number; readonly text: string })[];
}

/** A bar per run from 0, its name before it and its value behind it. */
export function barChart({ bars, ...described }: BarOptions): string {
  const names = bars.map(({ title }) => fitText(title, NAME_PIXELS));
  const marginLeft = Math.max(...names.map(textWidth)) + 10;
  const marginRight = Math.max(...bars.map(({ text }) => textWidth(text))) + 10;
  const greatest = Math.max(...bars.map(({ value }) => value));
  const chart = canvas(described, {
    height: bars.length * ROW_HEIGHT + 12,
    marginLeft,
    marginRight,
    marginTop: 6,
    marginBottom: 6,
    x: { axis: null, domain: [0, greatest > 0 ? greatest : 1] },
    y: { axis: null, type: 'band', domain: bars.map((_, index) => index), padding: 0.3 },
    marks: bars.map(({ value, color }, index) =>
      Plot.barX([{ value, index }], { x: 'value', y: 'index', fill: color, rx: 2 }),
    ),
  });
  bars.forEach(({ title, value, text }, index) => {
    chart.text(marginLeft - 6, chart.y(index), names[index]!, { full: title, anchor: 'end' });
    chart.text(chart.x(value) + 6, chart.y(index), text);
  });
  return chart.html();
}
