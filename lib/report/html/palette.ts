import { definitionOf } from '../../methods/index.js';
import type { RunMark } from '../../methods/method.js';
import type { RunRecord } from '../records.js';

type Rgb = readonly [number, number, number];

/** A color of a run: on white, and on the dark page. */
export interface RunColor {
  readonly light: string;
  readonly dark: string;
}

/*
 * Hues of Okabe and Ito's palette, which people with any color vision tell apart, moved to a contrast of at least 3 with
 * the page. Runs of one kind share the hue: first to last from the first color to the second.
 */
const NO_METHOD: RunMark = { symbol: 'star', light: ['#6e6e6e', '#8c8c8c'], dark: ['#a8a8a8', '#8a8a8a'] };

/** How the runs of a kind are marked; shapes, so that color is never the only sign. */
export function kindMark(kind: RunRecord['method']['kind']): RunMark {
  return kind === 'none' ? NO_METHOD : definitionOf(kind).mark;
}

/** The page's own colors, which the contrasts are measured against. */
export const PAGE = { light: '#ffffff', dark: '#14171c' } as const;

/** A color per run, in the order of the runs; the same in every chart. */
export function runColors(runs: readonly RunRecord[]): RunColor[] {
  return runs.map((run) => {
    const { kind } = run.method;
    const same = runs.filter(({ method }) => method.kind === kind);
    const share = same.length < 2 ? 0 : same.indexOf(run) / (same.length - 1);
    const { light, dark } = kindMark(kind);
    return { light: mix(light[0], light[1], share), dark: mix(dark[0], dark[1], share) };
  });
}

/** Steps of the shade of a heat map, from none to all. */
export const SHADES = 11;

/** The background and the text of a shade of the heat map. */
export function shade(step: number, mode: 'light' | 'dark'): { background: string; text: string } {
  const full = mode === 'light' ? '#00507d' : '#7cc8f2';
  const background = mix(PAGE[mode], full, step / (SHADES - 1));
  const text = contrast(background, '#ffffff') > contrast(background, '#000000') ? '#ffffff' : '#000000';
  return { background, text };
}

/** The color `share` of the way from one to the other. */
export function mix(from: string, to: string, share: number): string {
  const [a, b] = [rgb(from), rgb(to)];
  return `#${a
    .map((value, i) => Math.round(value + (b[i]! - value) * share))
    .map(hex)
    .join('')}`;
}

/** The contrast of two colors as WCAG 2 defines it: 1 to 21. */
export function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

function luminance(color: string): number {
  const [r, g, b] = rgb(color).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function rgb(color: string): Rgb {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)) as unknown as Rgb;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
