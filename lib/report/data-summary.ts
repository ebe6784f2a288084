import type { DatasetSummary, LabelShare, SplitSummary, TokenLengths, ValueSummary } from '../data/summary.js';
import { formatCount, formatSetting, formatShare } from '../format.js';
import { type TaskKind, taskOf } from '../tasks/index.js';

/** How many labels a line lists; of more, the rarest. */
const LISTED = 12;

/** What is in a data set, in lines: the task unless it is the usual one, one or two a split, then what is worth a second look. */
export function summaryLines({ task, splits, findings, notes }: DatasetSummary): string[] {
  return [
    ...taskLines(task),
    ...Object.entries(splits).flatMap(([name, split]) => splitLines(name, split)),
    ...[...notes, ...findings.map(({ text }) => text)].map((note) => `note: ${note}`),
  ];
}

/** A line on the task, unless it is the usual one. */
export function taskLines(task: TaskKind): string[] {
  return task === 'single-label' ? [] : [`task: ${taskOf(task).title}`];
}

function splitLines(name: string, { rows, pairs, labels, values, tokens }: SplitSummary): string[] {
  const isCut = labels.length > LISTED;
  const shown = isCut ? [...labels].sort((a, b) => a.count - b.count) : labels;
  const more = isCut ? `, ${labels.length - LISTED} larger` : '';
  const listed = values?.map(valueWords) ?? shown.slice(0, LISTED).map((each) => labelWords(each, rows));
  return [
    `${name}: ${formatCount(rows)} ${pairs ? 'pairs of texts' : 'texts'}; ${isCut ? 'rarest first: ' : ''}${listed.join(', ')}${more}`,
    ...(tokens === undefined
      ? []
      : [`${name}: ${lengthWords(tokens)}${tokens.sample < rows ? ` (of ${formatCount(tokens.sample)} texts)` : ''}`]),
  ];
}

/** Of texts that are cut it is only known that they are longer. */
function lengthWords({ min, median, p95, max, cut, maxLength }: TokenLengths): string {
  const words = (length: number) => (length > maxLength ? `more than ${maxLength}` : String(length));
  const most = p95 > maxLength ? '' : `, 95 % up to ${p95}`;
  const share = cut < 0.001 ? 'less than 0.1' : (100 * cut).toFixed(1);
  const cuts = cut === 0 ? `none is cut at ${maxLength}` : `${share} % of texts are cut at ${maxLength}`;
  return `tokens ${words(min)} to ${words(max)}, median ${words(median)}${most}; ${cuts}`;
}

function labelWords({ label, count }: LabelShare, rows: number): string {
  return `${label} ${formatCount(count)} (${formatShare(count, rows)})`;
}

function valueWords({ name, min, mean, max }: ValueSummary): string {
  const words = [min, max, mean].map((value) => formatSetting(Number(value.toPrecision(4))));
  return `${name} ${words[0]} to ${words[1]}, mean ${words[2]}`;
}
