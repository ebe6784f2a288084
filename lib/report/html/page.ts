import { formatCount } from '../../format.js';
import { taskOfRuns } from '../metrics.js';
import { escapeHtml, pairsTable, paragraphs, section } from './elements.js';
import { type ReportInput, reportInput } from './input.js';
import { shadeStyles } from './matrix.js';
import { runColors } from './palette.js';
import {
  comparisonSection,
  costsSection,
  curvesSection,
  rankSection,
  settingsSection,
  sizeSection,
  sizeTitle,
} from './sections/comparison.js';
import { dataSection } from './sections/data.js';
import { referenceSection } from './sections/reference.js';
import { runDetails } from './sections/run.js';
import { sweepSection } from './sections/sweep.js';
import { styles } from './styles.js';
import { verdict } from './verdict.js';

/** Nothing is loaded and nothing is run, whatever the texts of a report say. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/**
 * Draws a report from the contents of a results.json: a page of its own that loads nothing and runs nothing. Importing this
 * module loads the libraries that draw; import it only where a report is wanted.
 *
 * @param results what results.json of `bertune compare` or `bertune train` holds
 * @returns the text of report.html
 * @throws BertuneError INVALID_DATA for anything else
 */
export function renderReport(results: unknown): string {
  const input = reportInput(results);
  const { runs } = input;
  const sections = [
    { id: 'sweep', title: 'Sweep', content: sweepSection(input.sweep, taskOfRuns(runs)) },
    {
      id: 'comparison',
      title: input.sweep === undefined ? 'Comparison' : 'The best runs',
      content: comparisonSection(runs),
    },
    { id: 'reference', title: 'Beside the notebook', content: referenceSection(input) },
    { id: 'curves', title: 'Training', content: curvesSection(runs) },
    { id: 'size', title: sizeTitle(runs), content: sizeSection(runs) },
    { id: 'costs', title: 'Time and memory', content: costsSection(runs) },
    { id: 'ranks', title: 'LoRA by rank', content: rankSection(runs) },
    {
      id: 'runs',
      title: 'Runs',
      content: runs.map((run, index) => runDetails(run, index, runs.length === 1)).join('\n'),
    },
    { id: 'settings', title: 'Settings', content: settingsSection(runs) },
    { id: 'data', title: 'Data', content: dataSection(input) },
    { id: 'environment', title: 'Environment', content: environmentTable(input) },
  ].filter(({ content }) => content !== '');
  const title = titleOf(input);
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapeHtml(title)}</title>`,
    '<link rel="icon" href="data:,">',
    `<style>${styles(runColors(runs))}${shadeStyles()}</style>`,
    '</head>',
    '<body>',
    header(input, title, sections),
    '<main>',
    ...sections.map(({ id, title: heading, content }) => section(id, heading, content)),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function titleOf({ preset, runs, sweep }: ReportInput): string {
  if (sweep !== undefined) return `Sweep: ${formatCount(sweep.cells.length)} cells`;
  return preset === undefined ? `Training: ${runs[0]?.title ?? 'a run'}` : `Comparison: ${preset}`;
}

function header(input: ReportInput, title: string, sections: readonly { id: string; title: string }[]): string {
  const { model, data, created, runs } = input;
  const splits = Object.entries(data.splits).map(([name, examples]) => `${name} ${examples.toLocaleString('en-US')}`);
  const facts: [string, string][] = [
    ['model', model],
    ['data', `${data.source} (${[...splits, `${data.labels.length} labels`].join(', ')})`],
    [
      'device',
      ['device', 'precision', 'processor']
        .map((key) => input.environment[key])
        .filter(Boolean)
        .join(' · '),
    ],
    ['made', dateText(created)],
  ];
  const rows = facts
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`);
  const links = sections.map(({ id, title: heading }) => `<li><a href="#${id}">${escapeHtml(heading)}</a></li>`);
  return (
    `<header><h1>${escapeHtml(title)}</h1>${paragraphs([verdict(runs)], 'verdict')}` +
    `<dl class="facts">${rows.join('')}</dl>` +
    `<nav aria-label="Contents"><ul>${links.join('')}</ul></nav></header>`
  );
}

/** A time as people read it, in the zone of UTC; another text as it is. */
function dateText(created: string): string {
  const date = new Date(created);
  return Number.isNaN(date.getTime()) ? created : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function environmentTable({ environment }: ReportInput): string {
  const pairs = Object.entries(environment).map(([name, value]) => [name, String(value)] as const);
  return pairs.length === 0 ? '' : pairsTable(pairs, 'Environment');
}
