import type { DatasetSummary, LabelShare, SplitSummary } from '../data/summary.js';
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
      : [
          `${name}: tokens ${tokens.min} to ${tokens.max > tokens.maxLength ? `over ${tokens.maxLength}` : tokens.max}, ` +
            `median ${tokens.median}, 95 % up to ${tokens.p95}, ${(100 * tokens.cut).toFixed(1)} % are cut at ${tokens.maxLength}` +
            (tokens.sample < rows ? ` (of ${formatCount(tokens.sample)} texts)` : ''),
        ]),
  ];
}

function labelWords({ label, count }: LabelShare, rows: number): string {
  return `${label} ${formatCount(count)} (${formatShare(count, rows)})`;
}
