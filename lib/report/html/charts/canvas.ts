import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { printable } from '../../../printable.js';
import { escapeHtml } from '../elements.js';
import { FONT_SIZE } from './labels.js';

/** A chart's size in pixels where the page has room; on a narrower one it is scaled down. */
export const CHART = { width: 440, height: 280 } as const;

/** What a chart shows, for those who do not see it. */
export interface Described {
  readonly title: string;
  readonly description: string;
}

/** A chart that is drawn, and whether it names all that it shows, or needs a legend. */
export interface Drawn {
  readonly html: string;
  readonly named: boolean;
}

/** A chart that is being drawn: pixels of values, and text set by hand. */
export interface Canvas {
  /** Pixels of a value. */
  x(value: number | string): number;
  y(value: number | string): number;
  text(x: number, y: number, text: string, options?: TextOptions): void;
  line(x1: number, y1: number, x2: number, y2: number): void;
  html(): string;
}

export interface TextOptions {
  /** The whole of a text that is cut. */
  readonly full?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
}

/** The parts of linkedom's elements that are used. */
interface Node {
  setAttribute(name: string, value: string): void;
  append(...nodes: (Node | string)[]): void;
  prepend(...nodes: Node[]): void;
  querySelectorAll(selector: string): Iterable<Node & { remove(): void; textContent: string }>;
  readonly outerHTML: string;
}
interface Page {
  createElementNS(namespace: string, name: string): Node;
}

/** Less cannot be divided by: its inverse overflows. */
const SMALLEST_RANGE = 1e-300;

const SVG = 'http://www.w3.org/2000/svg';
const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as { document: Page };

/** Draws a chart with Observable Plot. Colors and fonts are the page's. */
export function canvas({ title, description }: Described, options: Plot.PlotOptions): Canvas {
  const plot = Plot.plot({
    ...CHART,
    ...options,
    document: document as never,
    className: 'chart',
  });
  const svg = plot as unknown as Node;
  // The page has one style for all charts.
  for (const style of svg.querySelectorAll('style')) style.remove();
  svg.setAttribute('role', 'img');
  svg.setAttribute('font-size', String(FONT_SIZE));
  svg.prepend(element('title', {}, title));

  // Written here, because linkedom leaves < in attributes as it is.
  const described = `aria-label="${escapeHtml(title)}" aria-description="${escapeHtml(description)}"`;
  const pixels = (name: 'x' | 'y') => {
    const scale = plot.scale(name);
    return (value: number | string) => Number(scale?.apply(value)) + (scale?.bandwidth ?? 0) / 2;
  };
  return {
    x: pixels('x'),
    y: pixels('y'),
    text(x, y, text, { full = text, anchor = 'start' } = {}) {
      const node = element(
        'text',
        { x: round(x), y: round(y), dy: '0.32em', 'text-anchor': anchor, class: 'label' },
        text,
      );
      if (full !== text) node.append(element('title', {}, full));
      svg.append(node);
    },
    line(x1, y1, x2, y2) {
      svg.append(element('path', { class: 'leader', d: `M${round(x1)},${round(y1)}L${round(x2)},${round(y2)}` }));
    },
    html: () => svg.outerHTML.replace('<svg ', () => `<svg ${described} `),
  };
}

function element(name: string, attributes: Readonly<Record<string, string>>, text = ''): Node {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== '') node.append(printable(text));
  return node;
}

function round(value: number): string {
  return value.toFixed(1);
}

/** Bounds of a scale around values, a little wider than they are; `[0, 1]` where there are none. */
export function padded(values: readonly number[], share = 0.06): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const room = isRange(low, high) ? (high - low) * share : Math.max(Math.abs(high) * 0.05, 1e-6);
  return [low - room, high + room];
}

/** Whether an axis can have ticks from one to the other: their distance has to be a normal number. */
export function isRange(low: number, high: number): boolean {
  return high - low > SMALLEST_RANGE;
}

/** Bounds of a logarithmic scale around values above 0. */
export function paddedLog(values: readonly number[]): [number, number] {
  const [low, high] = padded(values.map(Math.log10), 0.1);
  return high - low < 0.5 ? [10 ** (low - 0.3), 10 ** (high + 0.3)] : [10 ** low, 10 ** high];
}
