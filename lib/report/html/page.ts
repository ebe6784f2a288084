import { formatCount } from '../../format.js';
import { taskOfRuns } from '../metrics.js';
import type { RunRecord } from '../records.js';
import { escapeHtml, factList, paragraphs, type Section, section } from './elements.js';
import { isSingle, type ReportInput, type ReportOptions, reportInput } from './input.js';
import { shadeStyles } from './matrix.js';
import { runColors } from './palette.js';
import {
  comparisonSection,
  costsSection,
  curvesSection,
  rankSection,
  sizeSection,
  sizeTitle,
} from './sections/comparison.js';
import { dataSection } from './sections/data.js';
import { referenceSection } from './sections/reference.js';
import { runDetails } from './sections/run.js';
import { settingsSection } from './sections/settings.js';
import { singleSections } from './sections/single.js';
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
 * @param options what it is to show
 * @returns the text of report.html
 * @throws BertuneError INVALID_DATA for anything else
 */
export function renderReport(results: unknown, options: ReportOptions = {}): string {
  const input = reportInput(results, options);
  const { runs } = input;
  const sections = [
    ...(isSingle(input) ? singleSections(input) : comparisonSections(input)),
    { id: 'data', title: 'Data', content: dataSection(input) },
    { id: 'environment', title: 'Environment', content: environmentOf(input) },
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
    ...sections.map(section),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** The parts of a page of several runs, or of a sweep: charts of its settings stand for those by method. */
function comparisonSections(input: ReportInput): Section[] {
  const { runs, sweep } = input;
  const byMethod = [
    { id: 'size', title: sizeTitle(runs), content: sizeSection(runs) },
    { id: 'costs', title: 'Time and memory', content: costsSection(runs) },
    { id: 'ranks', title: 'LoRA by rank', content: rankSection(runs) },
  ];
  return [
    { id: 'sweep', title: 'Sweep', content: sweepSection(sweep, taskOfRuns(runs)) },
    { id: 'comparison', title: sweep === undefined ? 'Comparison' : 'The best runs', content: comparisonSection(runs) },
    { id: 'reference', title: 'Beside the notebook', content: referenceSection(input) },
    { id: 'curves', title: 'Training', content: curvesSection(runs) },
    ...(sweep === undefined ? byMethod : []),
    { id: 'runs', title: 'Runs', content: runs.map(runDetails).join('\n') },
    { id: 'settings', title: 'Settings', content: settingsSection(runs) },
  ];
}

/** What was trained on what, `bert-mini on goemotions6`, or what was compared. */
function titleOf(input: ReportInput): string {
  const { runs, sweep } = input;
  const trained = runs.filter(({ method }) => method.kind !== 'none').length;
  const what =
    sweep === undefined
      ? isSingle(input)
        ? nameOf(input.model)
        : `${formatCount(trained)} ${trained === 1 ? 'method' : 'methods'} compared`
      : `Sweep of ${formatCount(sweep.cells.length)} ${sweep.cells.length === 1 ? 'run' : 'runs'}`;
  return `${what} on ${nameOf(input.data.source)}`;
}

/** A name of a model or data without the folders of a path; one of the hub, e.g. `dair-ai/emotion`, is whole. */
function nameOf(source: string): string {
  return source
    .split(', ')
    .map((each) =>
      /^(?:[/\\.~]|[A-Za-z]:)/.test(each) ? (each.split(/[/\\]/).findLast((part) => part !== '') ?? each) : each,
    )
    .join(', ');
}

function header(input: ReportInput, title: string, sections: readonly Section[]): string {
  const { model, data, created, runs } = input;
  const splits = Object.entries(data.splits).map(([name, examples]) => `${name} ${examples.toLocaleString('en-US')}`);
  const facts: [string, string][] = [
    ['model', model],
    ['method', isSingle(input) ? runs[0]!.title : ''],
    ['data', `${data.source} (${[...splits, labelWords(data.labels.length, runs)].join(', ')})`],
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

function labelWords(count: number, runs: readonly RunRecord[]): string {
  const word = taskOfRuns(runs).labels === 'values' ? 'value' : 'label';
  return `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** A time as people read it, in the zone of UTC; another text as it is. */
function dateText(created: string): string {
  const date = new Date(created);
  return Number.isNaN(date.getTime()) ? created : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function environmentOf({ environment }: ReportInput): string {
  return factList(Object.entries(environment).map(([name, value]) => [name, String(value)] as const));
}
