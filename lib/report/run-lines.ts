import type { DatasetSummary, LabelShare, SplitSummary, TokenLengths, ValueSummary } from '../data/summary.js';
import { formatCount, formatFixed, formatMetric, formatSetting, formatShare } from '../format.js';
import { DEFAULT_TASK, type TaskKind, taskOf } from '../tasks/index.js';
import { defaultEpochsReason } from '../training/defaults.js';
import type { EpochSummary, TrainingPlan } from '../training/events.js';
import type { TrainerOptions, TrainerSettings } from '../training/options.js';
import type { LogRow } from '../training/state.js';
import { headlineOf } from './metrics.js';

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
  return task === DEFAULT_TASK ? [] : [`task: ${taskOf(task).title}`];
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

/** Of texts that are longer than they may be it is not known by how much. */
function lengthWords({ min, median, p95, max, cut, maxLength }: TokenLengths): string {
  const words = (length: number) => (length > maxLength ? `more than ${maxLength}` : String(length));
  const most = p95 > maxLength ? '' : `, 95 % up to ${p95}`;
  const share = cut < 0.001 ? 'less than 0.1' : (100 * cut).toFixed(1);
  const longer = `${cut === 0 ? 'none is' : `${share} % of texts are`} longer than ${maxLength}`;
  return `tokens ${words(min)} to ${words(max)}, median ${words(median)}${most}; ${longer}`;
}

function labelWords({ label, count }: LabelShare, rows: number): string {
  return `${label} ${formatCount(count)} (${formatShare(count, rows)})`;
}

function valueWords({ name, min, mean, max }: ValueSummary): string {
  const words = [min, max, mean].map((value) => formatSetting(Number(value.toPrecision(4))));
  return `${name} ${words[0]} to ${words[1]}, mean ${words[2]}`;
}

/** A run that is about to begin. */
interface PlannedRun {
  /** As they are used. */
  settings: TrainerSettings;
  /** As the user gave them: what is not there is a default. */
  options: Omit<TrainerOptions, 'method'>;
  hiddenSize: number;
  plan: TrainingPlan;
}

/** How long a run is, and why: `600: 6 epochs of 100 (default: at least 600 steps), 16 examples each`. */
export function stepsWords({ settings, options, plan }: PlannedRun): string {
  const { totalSteps, stepsPerEpoch } = plan;
  const meanTokens = plan.tokens / plan.examples;
  const epochs = totalSteps / stepsPerEpoch;
  const isDefault = options.epochs === undefined && options.maxSteps === undefined;
  return (
    `${formatCount(totalSteps)}: ${epochs === 1 ? '1 epoch' : `${formatFixed(epochs, 2).replace(/\.?0+$/, '')} epochs`} of ` +
    formatCount(stepsPerEpoch) +
    (isDefault ? ` (default: ${defaultEpochsReason(settings.method.kind, { stepsPerEpoch, meanTokens })})` : '') +
    `, ${formatCount(settings.batchSize * settings.gradientAccumulation)} examples each`
  );
}

/** The learning rate, and why: `3e-4 (default for full at hidden size 256), linear, 60 steps of warm-up`. */
export function rateWords({ settings, options, hiddenSize, plan }: PlannedRun): string {
  const { learningRate, method, schedule } = settings;
  const reason =
    options.learningRate === undefined ? ` (default for ${method.kind} at hidden size ${formatCount(hiddenSize)})` : '';
  const warmup = plan.warmupSteps > 0 ? `, ${formatCount(plan.warmupSteps)} steps of warm-up` : '';
  return `${formatSetting(learningRate)}${reason}, ${schedule}${warmup}`;
}

/** A row of the log of steps in one line. */
export function logLine({ epoch, step, loss, grad_norm, learning_rate }: LogRow): string {
  return [
    `epoch ${formatFixed(epoch, 2)}`,
    `step ${step}`,
    `loss ${formatMetric(loss)}`,
    `gradient norm ${formatFixed(grad_norm, 3)}`,
    `learning rate ${formatSetting(Number(learning_rate.toPrecision(4)))}`,
  ].join('  ');
}

/** An epoch that has ended, in one line. */
export function epochLine({ epoch, epochs, step, trainLoss, evaluation }: EpochSummary): string {
  return [
    `epoch ${formatFixed(epoch, Number.isInteger(epoch) ? 0 : 2)}/${epochs}`,
    `step ${step}`,
    `training loss ${formatMetric(trainLoss)}`,
    ...(evaluation === null
      ? []
      : [`validation loss ${formatMetric(evaluation.loss)}`, ...headlineOf(evaluation.task, evaluation)]),
  ].join('  ');
}
