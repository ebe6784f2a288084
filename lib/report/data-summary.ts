import type { DatasetSummary, LabelShare, SplitSummary } from '../data/summary.js';
import { formatCount, formatShare } from './format.js';

/** How many labels a line lists. */
const LISTED = 12;

/** What is in a data set, in lines: one or two a split, then what is worth a second look. */
export function summaryLines({ splits, duplicates, notes }: DatasetSummary): string[] {
  const test = splits.test?.rows ?? 0;
  return [
    ...Object.entries(splits).flatMap(([name, split]) => splitLines(name, split)),
    ...(duplicates
      ? [`note: ${formatCount(duplicates)} of ${formatCount(test)} test texts are training texts too`]
      : []),
    ...notes.map((note) => `note: ${note}`),
  ];
}

function splitLines(name: string, { rows, pairs, labels, tokens }: SplitSummary): string[] {
  const more = labels.length > LISTED ? `, ${labels.length - LISTED} more` : '';
  const listed = labels.slice(0, LISTED).map((each) => labelWords(each, rows));
  return [
    `${name}: ${formatCount(rows)} ${pairs ? 'pairs of texts' : 'texts'}; ${listed.join(', ')}${more}`,
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
