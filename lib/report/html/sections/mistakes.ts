import { formatCount, formatMetric, formatShort } from '../../../format.js';
import { taskOf } from '../../../tasks/index.js';
import type { MistakenLabel } from '../../../tasks/mistakes.js';
import { measuredOn } from '../../metrics.js';
import type { MetricsRecord, MistakeRecord, RunRecord } from '../../records.js';
import { escapeHtml, folded, paragraphs } from '../elements.js';

/** So many are seen without a click. */
const OPEN_MISTAKES = 8;

/** What the texts are called that a run is most wrong about. */
export function mistakesTitle({ task }: Pick<RunRecord, 'task'>): string {
  return taskOf(task).labels === 'values' ? 'Texts furthest off' : 'Most wrong texts';
}

/** The texts that a run is most wrong about, with what they are and what they were taken for. Empty where none is kept. */
export function mistakesSection(run: RunRecord): string {
  const { split, metrics } = measuredOn(run) ?? {};
  const { mistakes = [] } = metrics ?? {};
  if (metrics === undefined || mistakes.length === 0) return '';
  const where = split === 'test' ? 'test' : 'validation';
  const how = {
    class: 'the surest of the wrong answers first, with the scores of both labels',
    classes: 'the furthest from their labels first, with the scores of the labels that are wrong',
    values: 'the furthest from their true values first',
  }[taskOf(metrics.task).labels];
  const items = mistakes.map((mistake) => item(mistake, metrics.task));
  const [open, rest] = [items.slice(0, OPEN_MISTAKES), items.slice(OPEN_MISTAKES)];
  const listOf = (some: readonly string[], start: number) =>
    `<ol class="mistakes" start="${start}">${some.join('\n')}</ol>`;
  return [
    paragraphs([`Of the ${formatCount(metrics.examples)} ${where} examples, ${how}.`]),
    listOf(open, 1),
    rest.length === 0 ? '' : folded(`${rest.length} more`, listOf(rest, OPEN_MISTAKES + 1)),
  ].join('');
}

/** Before a label that an example has, and before one that it has not. */
const WORDS = { class: ['is', 'predicted'], classes: ['missed', 'wrongly predicted'] } as const;

function item({ text, pair, labels }: MistakeRecord, task: MetricsRecord['task']): string {
  const quotes = [text, ...(pair === undefined ? [] : [pair])].map((each) => {
    const line = each.replaceAll(/\s+/g, ' ').trim();
    return `<blockquote dir="auto">${line === '' ? '<em>empty</em>' : escapeHtml(line)}</blockquote>`;
  });
  const kind = taskOf(task).labels;
  const tags = kind === 'values' ? valueTags(labels) : labelTags(labels, WORDS[kind]);
  return `<li>${quotes.join('')}<p class="tags">${tags.join(' ')}</p></li>`;
}

/** What is true, then what was predicted in its place. */
function labelTags(labels: readonly MistakenLabel[], [right, wrong]: readonly [string, string]): string[] {
  const tag = (kind: string, word: string, { label, predicted }: MistakenLabel) =>
    `<span class="${kind}">${word} <b>${escapeHtml(label)}</b> ${formatShort(Number(predicted.toFixed(3)))}</span>`;
  return [
    ...labels.filter(({ target }) => target !== 0).map((label) => tag('true', right, label)),
    ...labels.filter(({ target }) => target === 0).map((label) => tag('false', wrong, label)),
  ];
}

function valueTags(labels: readonly MistakenLabel[]): string[] {
  return labels.flatMap(({ label, target, predicted }) => {
    const name = labels.length === 1 ? '' : `<b>${escapeHtml(label)}</b> `;
    return [
      `<span class="true">${name}is <b>${formatShort(target)}</b></span>`,
      `<span class="false">predicted <b>${formatMetric(predicted)}</b></span>`,
    ];
  });
}
