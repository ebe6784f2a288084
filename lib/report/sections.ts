import { formatCount, formatFixed, formatShare } from '../format.js';
import { option } from '../options/names.js';
import { printable } from '../printable.js';
import { type Task, taskOf } from '../tasks/index.js';
import { beforeTable, comparisonTable, loraTable, MEMORY_NOTE, referenceTable, togetherNotes } from './comparison.js';
import {
  confusedPairs,
  confusionTable,
  epochTable,
  labelTable,
  measuredOn,
  metricsTable,
  taskOfRuns,
} from './metrics.js';
import type { ComparisonRecord, MetricsRecord, RunRecord, SweepRecord } from './records.js';
import { cellNotes, countCells, countWords, SWEEP_NOTE, sweepTable } from './sweep.js';
import { markdownTable, markdownText, type Table, tableWidth, textTable, USUAL_WIDTH } from './table.js';

/** Pairs of labels that are listed where the matrix is too wide. */
const MOST_CONFUSIONS = 15;

/** A titled part of a report: lines of text, a table, lines of text. */
export interface Section {
  readonly title: string;
  readonly lead?: readonly string[];
  readonly table?: Table;
  readonly notes?: readonly string[];
}

/** The model before fine-tuning. */
export function beforeSection(run: RunRecord): Section {
  return { title: 'Before fine-tuning', ...(run.test ? { table: beforeTable(run) } : { lead: [failure(run)] }) };
}

/** One run: what it trained and its epochs. */
export function runSection(run: RunRecord): Section {
  if (run.error !== undefined && run.log_history.length === 0) return { title: run.title, lead: [failure(run)] };
  const { parameters } = run;
  return {
    title: run.title,
    ...(parameters === undefined
      ? {}
      : {
          lead: [
            `${formatCount(parameters.trainable)} of ${formatCount(parameters.total)} parameters trained ` +
              `(${formatShare(parameters.trainable, parameters.total)})`,
          ],
        }),
    table: epochTable(run),
    notes: [...calibrationLines(run), ...(run.error === undefined ? [] : [failure(run)])],
  };
}

/** A line on how far scores were from what is right, before and after they were calibrated; none where they were not. */
export function calibrationLines({ calibration }: RunRecord): string[] {
  if (calibration === undefined) return [];
  const { temperature, ece_before, ece_after } = calibration;
  return [
    `Scores calibrated on the validation split: temperature ${formatFixed(temperature, 3)}, expected calibration error ` +
      `${formatFixed(ece_before, 4)} before, ${formatFixed(ece_after, 4)} after`,
  ];
}

/** How a run does on its test split, or on its validation split: in one line, and by label; none where on neither. */
export function measuredSections(run: Pick<RunRecord, 'test' | 'validation' | 'thresholds'>): Section[] {
  const measured = measuredOn(run);
  if (measured === undefined) return [];
  const { split, metrics } = measured;
  return [
    { title: split === 'test' ? 'Test' : 'Validation', table: metricsTable(metrics) },
    labelSection(metrics, run.thresholds),
  ];
}

/** How a model does on a split by label, or by value. */
export function labelSection(metrics: MetricsRecord, thresholds?: RunRecord['thresholds']): Section {
  return {
    title: taskOf(metrics.task).labels === 'values' ? 'By value' : 'By label',
    table: labelTable(metrics, thresholds),
  };
}

/** What helps where a run has neither a test nor a validation split. */
export const notMeasured = () =>
  'nothing is measured, as the data have no validation or test split: ' +
  `${option('split.validation', 0.1)} or ${option('split.test', 0.1)} holds one out of the training rows`;

/** What was taken for what: the whole matrix where it fits, otherwise the most frequent confusions; none of another task. */
export function confusionSections(metrics: MetricsRecord, width: number): Section[] {
  return metrics.confusion === undefined ? [] : [confusionSection(metrics, width)];
}

function confusionSection(metrics: MetricsRecord, width: number): Section {
  const matrix = confusionTable(metrics);
  if (tableWidth(matrix) <= width) return { title: 'Confusion', table: matrix };
  const most = confusedPairs(metrics, MOST_CONFUSIONS);
  const rest = `${metrics.labels?.length} labels are too many for a matrix here; --json has it whole`;
  if (most.rows.length === 0) return { title: 'Confusion', lead: ['No text was taken for another label.'] };
  return { title: 'Largest confusions', table: most, notes: [rest] };
}

/** A sweep: how many cells are done, and what each combination of settings comes to. */
export function sweepSection(sweep: SweepRecord, task: Task): Section {
  return {
    title: 'Sweep',
    lead: [countWords(countCells(sweep.cells))],
    table: sweepTable(sweep, task),
    notes: [...cellNotes(sweep.cells), SWEEP_NOTE],
  };
}

/** What comes after the runs, or of a sweep: LoRA by rank, the comparison, the published numbers beside ours. */
export function closingSections(
  comparison: Pick<ComparisonRecord, 'model' | 'data' | 'runs' | 'reference' | 'sweep'>,
): Section[] {
  const { model, data, runs, reference, sweep } = comparison;
  if (sweep !== undefined) return [sweepSection(sweep, taskOfRuns(runs))];
  const lora = loraTable(runs);
  const failures = runs.filter((run) => run.error !== undefined).map(failure);
  return [
    ...(lora.rows.length > 0 ? [{ title: 'LoRA by rank', table: lora }] : []),
    { title: 'Comparison', table: comparisonTable(runs), notes: [...failures, MEMORY_NOTE, ...togetherNotes(runs)] },
    ...(reference === undefined || reference.length === 0
      ? []
      : [
          {
            title: 'Beside the notebook',
            lead: [
              `here: ${model} on ${data.source}`,
              'notebook: google-bert/bert-base-uncased on dair-ai/emotion, on a consumer GPU; its prefix tuning left the ' +
                'classifier frozen',
            ],
            table: referenceTable(runs, reference),
          },
        ]),
  ];
}

/** What became of a run that did not come to its end. */
export function failure(run: RunRecord): string {
  return `${run.title} ${run.status}: error [${run.error?.code ?? 'INTERNAL'}]: ${run.error?.message ?? 'no result'}`;
}

/** A section for a terminal of `width` columns; `emphasize` marks its title. Ends with an empty line. */
export function sectionText(
  section: Section,
  emphasize: (text: string) => string = (text) => text,
  width = USUAL_WIDTH,
): string {
  const { title, lead = [], table, notes = [] } = section;
  const block = (lines: readonly string[]) => lines.map((line) => `${printable(line)}\n`).join('');
  return [
    `${emphasize(printable(title))}\n`,
    block(lead),
    table ? `\n${textTable(table, width)}` : '',
    table && notes.length > 0 ? '\n' : '',
    block(notes),
  ]
    .join('')
    .concat('\n');
}

/** A section in Markdown under a heading of the second level. Ends with an empty line. */
export function sectionMarkdown({ title, lead = [], table, notes = [] }: Section): string {
  const paragraphs = [
    `## ${markdownText(title)}`,
    ...lead.map(markdownText),
    ...(table ? [markdownTable(table).trimEnd()] : []),
    ...notes.map(markdownText),
  ];
  return paragraphs.map((text) => `${text}\n\n`).join('');
}
