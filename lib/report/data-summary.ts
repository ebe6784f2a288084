import type { DatasetSummary, LabelShare, SplitSummary, TokenLengths } from '../data/summary.js';
import { formatCount, formatShare } from './format.js';

/** How many labels a line lists; of more, the rarest. */
const LISTED = 12;

/** What is in a data set, in lines: one or two a split, then what is worth a second look. */
export function summaryLines({ splits, findings, notes }: DatasetSummary): string[] {
  return [
    ...Object.entries(splits).flatMap(([name, split]) => splitLines(name, split)),
    ...[...notes, ...findings.map(({ text }) => text)].map((note) => `note: ${note}`),
  ];
}

function splitLines(name: string, { rows, pairs, labels, tokens }: SplitSummary): string[] {
  const isCut = labels.length > LISTED;
  const shown = isCut ? [...labels].sort((a, b) => a.count - b.count) : labels;
  const more = isCut ? `, ${labels.length - LISTED} larger` : '';
  const listed = shown.slice(0, LISTED).map((each) => labelWords(each, rows));
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
