import type { Drawn } from './charts/canvas.js';
import { escapeHtml } from './escape.js';

/** A chart with its caption. */
export function figure(title: string, note: string, chart: string): string {
  return `<figure><figcaption>${escapeHtml(title)}${note === '' ? '' : ` <small>${escapeHtml(note)}</small>`}</figcaption>${chart}</figure>`;
}

/** Charts side by side where the page has room; nothing where there are none. */
export function figures(charts: readonly string[]): string {
  return charts.length === 0 ? '' : `<div class="charts">${charts.join('\n')}</div>`;
}

/** The colour of a run, before its name. */
export function swatch(index: number): string {
  return `<span class="swatch" style="--c:var(--run-${index})"></span>`;
}

/** Which colour is which run, above charts that do not name all that they show. */
export function legendUnlessNamed(runs: readonly { readonly title: string }[], charts: readonly Drawn[]): string {
  if (charts.every(({ named }) => named)) return '';
  const items = runs.map(({ title }, index) => `<li>${swatch(index)}${escapeHtml(title)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A part of the page. */
export function section(id: string, title: string, content: string): string {
  return content === '' ? '' : `<section id="${id}"><h2>${escapeHtml(title)}</h2>${content}</section>`;
}

/** Paragraphs of text. */
export function paragraphs(lines: readonly string[], kind = 'quiet'): string {
  return lines.map((line) => `<p class="${kind}">${escapeHtml(line)}</p>`).join('');
}
