import { formatShort } from '../format.js';
import { definitionOf } from '../methods/index.js';
import { option } from '../options/names.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type TaskKind, taskOf } from '../tasks/index.js';
import { listLabels } from '../tasks/labels.js';
import { defaultLearningRate } from './defaults.js';
import type { TrainerOptions, TrainerSettings } from './options.js';
import type { EpochRow } from './position.js';
import type { EvaluateRow, LogHistoryRow, LogRow } from './state.js';

/** What was seen of a run that came to its end. */
export interface SeenRun {
  task: TaskKind;
  settings: TrainerSettings;
  hiddenSize: number;
  /** Names of the model's classes (NC). */
  labels: readonly string[];
  /** Training examples that have each label (NC). */
  counts: readonly number[];
  /** The training loss of a model that has learnt nothing. */
  guessing: number;
  stopped: 'done' | 'early';
  /** Optimizer steps done. */
  steps: number;
  /** Optimizer steps that a run on this data takes by default. */
  usualSteps: number;
  epochs: readonly EpochRow[];
  logHistory: readonly LogHistoryRow[];
  /** Of the validation split, or of another that the run did not train on; null: none was measured. */
  evaluation: EvaluateResult | null;
}

/** An option that advice may name. */
type AdvisedOption = keyof Pick<
  TrainerOptions,
  'epochs' | 'maxSteps' | 'learningRate' | 'classWeights' | 'positiveWeights' | 'tuneThresholds' | 'loadBestModel'
>;

/** What to do about something that was seen. */
export interface Advice {
  code: 'DIVERGED' | 'STILL_FALLING' | 'OVERFITTING' | 'AT_CHANCE' | 'FEW_EXAMPLES' | 'NEVER_PREDICTED';
  /** What was seen and what to do, but for the options. */
  text: string;
  /** Options to train with next time, each a way by itself. */
  options: Readonly<Partial<Record<AdvisedOption, string | number | boolean>>>;
}

/** A loss so many times that of guessing is one that no model has by chance ... */
const DIVERGED = 2;
/** ... but for a classifier of other classes in its first few steps. */
const DIVERGED_AT_ONCE = 10;
const FIRST_STEPS = 10;

/** By how much the loss of a last quarter is lower where more steps will help: on validation data, on training data. */
const FALLS_IN_VALIDATION = 0.05;
const FALLS_IN_TRAINING = 0.1;
/** Shares of the loss of guessing below which there is little left to learn. */
const LEARNT_IN_VALIDATION = 0.2;
const LEARNT_IN_TRAINING = 0.5;

/** How much higher than its lowest a validation loss is in a model that has learnt its examples by heart. */
const OVERFITTED = 1.25;
/** Differences of loss, and of accuracy, that mean nothing. */
const LOSS_NOISE = 0.05;
const ACCURACY_NOISE = 0.005;

/** A run of fewer steps tells nothing but that it was short. */
const FEW_STEPS = 30;
/** A training loss that is still so much of the first one has hardly fallen. */
const HARDLY_FALLEN = 0.95;

/** A class of fewer training examples is hard to learn. */
const FEW_EXAMPLES = 10;

/**
 * Advice for the next run, from what was seen of one. A good run gets none: every rule would rather be silent than wrong.
 */
export function advise(seen: SeenRun): Advice[] {
  const { isFitted = false } = definitionOf(seen.settings.method.kind);
  const diverged = isFitted ? [] : divergence(seen);
  if (diverged.length > 0) return diverged;
  const loss = isFitted ? [] : [...stillFalling(seen), ...overfitting(seen)];
  const few = fewExamples(seen);
  const never = neverPredicted(seen);
  const isExplained = loss.length + few.length + never.length > 0;
  return [...loss, ...(isExplained ? [] : atChance(seen)), ...few, ...never];
}

const isLogged = (row: LogHistoryRow): row is LogRow => 'loss' in row;
const isEvaluated = (row: LogHistoryRow): row is EvaluateRow => 'eval_loss' in row;

/** Training losses at the start, a quarter before the end, and at the end; null where too little was logged. */
function trainingLosses({ logHistory, epochs }: SeenRun): { first: number; before: number; last: number } | null {
  const logged = logHistory.filter(isLogged).map(({ loss }) => loss);
  const losses = logged.length >= 8 ? logged : epochs.map(({ train_loss }) => train_loss);
  if (losses.length < 2) return null;
  const quarter = Math.max(1, Math.floor(losses.length / 4));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    first: losses[0]!,
    before: mean(losses.slice(-2 * quarter, -quarter)),
    last: mean(losses.slice(-quarter)),
  };
}

function divergence(seen: SeenRun): Advice[] {
  const { task, settings, steps, epochs, guessing } = seen;
  const losses = trainingLosses(seen);
  const last = losses?.last ?? epochs.at(-1)?.train_loss ?? 0;
  // Values may be far from the 0 that a new model answers: their first loss tells nothing.
  const isFar =
    taskOf(task).labels !== 'values' && last > (steps < FIRST_STEPS ? DIVERGED_AT_ONCE : DIVERGED) * guessing;
  const hasRisen = losses !== null && last > 1.1 * guessing && last > 2 * losses.first;
  if (!isFar && !hasRisen) return [];
  const { learningRate } = settings;
  const usual = usualRate(seen);
  return [
    {
      code: 'DIVERGED',
      text:
        `The training diverged: its loss is ${formatShort(last)}, and a model that guesses has ${formatShort(guessing)}. Do not use this model; ` +
        'train again with a lower learning rate',
      options: { learningRate: learningRate > usual ? usual : Number((learningRate / 10).toPrecision(2)) },
    },
  ];
}

function stillFalling(seen: SeenRun): Advice[] {
  if (seen.stopped === 'early') return [];
  const { guessing } = seen;
  const validation = seen.logHistory.filter(isEvaluated).map(({ eval_loss }) => eval_loss);
  const quarter = Math.max(1, Math.floor(validation.length / 4));
  const isMeasured = validation.length >= 2;
  const losses = isMeasured ? { before: validation.at(-1 - quarter)!, last: validation.at(-1)! } : trainingLosses(seen);
  if (losses === null) return [];
  const { before, last } = losses;
  const [falls, learnt] = isMeasured
    ? [FALLS_IN_VALIDATION, LEARNT_IN_VALIDATION]
    : [FALLS_IN_TRAINING, LEARNT_IN_TRAINING];
  if (last > (1 - falls) * before || last < learnt * guessing) return [];
  const { learningRate } = seen.settings;
  const usual = usualRate(seen);
  const isLow = learningRate <= usual / 2;
  const longer = trainLonger(seen);
  return [
    {
      code: 'STILL_FALLING',
      text:
        `The ${isMeasured ? 'validation' : 'training'} loss is still falling at the end (${formatShort(last)}, ${formatShort(before)} shortly before): ` +
        `${longer.words}${isLow ? ', or train with a higher learning rate' : ''}`,
      options: { ...longer.options, ...(isLow && { learningRate: usual }) },
    },
  ];
}

function overfitting({ task, settings, logHistory, epochs }: SeenRun): Advice[] {
  const rows = logHistory.filter(isEvaluated);
  const last = rows.at(-1);
  if (settings.loadBestModel || last === undefined) return [];
  const best = rows.reduce((a, b) => (b.eval_loss < a.eval_loss ? b : a));
  const trainLoss = (step: number) => epochs.find((row) => row.step === step)?.train_loss ?? Number.NaN;
  const hasRisen = last.eval_loss > OVERFITTED * best.eval_loss && last.eval_loss - best.eval_loss > LOSS_NOISE;
  const score = (row: EvaluateRow) => row[`eval_${taskOf(task).tellingMetric}`] ?? Number.NaN;
  const gotBetter = score(last) > score(best) + ACCURACY_NOISE;
  if (!hasRisen || gotBetter || !(trainLoss(last.step) < trainLoss(best.step))) return [];
  const epoch = Number(best.epoch.toFixed(2));
  return [
    {
      code: 'OVERFITTING',
      text:
        `The validation loss was lowest after epoch ${epoch} (${formatShort(best.eval_loss)}) and has risen to ${formatShort(last.eval_loss)} ` +
        'since, while the training loss fell: train for less, or keep the best epoch',
      options: { epochs: epoch, loadBestModel: true },
    },
  ];
}

/** A run that tells nothing apart on texts it was not trained on, where nothing else explains it. */
function atChance(seen: SeenRun): Advice[] {
  const { settings, steps, evaluation } = seen;
  const guess = evaluation && taskOf(evaluation.task).noBetterThan(evaluation.metrics);
  if (guess === null) return [];
  const { isFitted = false } = definitionOf(settings.method.kind);
  const longer = trainLonger(seen);
  if (steps < FEW_STEPS && !isFitted) {
    const text = `${steps === 1 ? 'One step is' : `${steps} steps are`} too few to learn from: ${longer.words}`;
    return [{ code: 'AT_CHANCE', text, options: longer.options }];
  }
  const seenWords = `${guess}: `;
  if (isFitted) return [{ code: 'AT_CHANCE', text: `${seenWords}try another method, or add examples`, options: {} }];
  const losses = trainingLosses(seen);
  const usual = usualRate(seen);
  const { learningRate } = settings;
  if (losses && losses.last < 0.7 * losses.first) {
    const text = `${seenWords}the training loss fell all the same, so see whether the labels of both splits mean the same`;
    return [{ code: 'AT_CHANCE', text, options: {} }];
  }
  const lossWords = losses && losses.last > HARDLY_FALLEN * losses.first ? 'the training loss hardly fell; ' : '';
  if (learningRate > 1.5 * usual || learningRate < usual / 1.5) {
    const text = `${seenWords}${lossWords}try a ${learningRate > usual ? 'lower' : 'higher'} learning rate`;
    return [{ code: 'AT_CHANCE', text, options: { learningRate: usual } }];
  }
  const text = `${seenWords}${lossWords}try another method, add examples, or ${longer.words}`;
  return [{ code: 'AT_CHANCE', text, options: longer.options }];
}

/** Classes that were trained on too few examples, and are missed. */
function fewExamples({ evaluation, counts, labels }: SeenRun): Advice[] {
  if (evaluation === null || !('perClass' in evaluation.metrics)) return [];
  const { micro, perClass } = evaluation.metrics;
  // Where no label is learnt, it is not for want of examples of one.
  if (micro.f1 === 0) return [];
  const missed = labels.filter((_, i) => {
    const { support, recall } = perClass[i]!;
    return counts[i]! < FEW_EXAMPLES && support > 0 && recall < 0.5;
  });
  if (missed.length === 0) return [];
  const most = Math.max(...missed.map((label) => counts[labels.indexOf(label)]!));
  const examples = `${most} training example${most === 1 ? '' : 's'}`;
  const have = missed.length === 1 ? `has ${examples} and is` : `have at most ${examples} each and are`;
  return [{ code: 'FEW_EXAMPLES', text: `${listLabels(missed)} ${have} mostly missed: add examples`, options: {} }];
}

/** Rare classes that a model never answers, though there was something to learn from. */
function neverPredicted({ settings, evaluation, counts, labels }: SeenRun): Advice[] {
  const isWeighted = settings.classWeights !== null || settings.positiveWeights !== null || settings.tuneThresholds;
  if (evaluation === null || !('perClass' in evaluation.metrics) || isWeighted) return [];
  const { metrics } = evaluation;
  const isOneClass = taskOf(evaluation.task).labels === 'class';
  const all = counts.reduce((sum, count) => sum + count, 0);
  const isRare = (count: number) => count >= FEW_EXAMPLES && count < all / (2 * labels.length);
  const isPredicted = (i: number) =>
    'confusion' in metrics ? metrics.confusion.some((row) => row[i] !== 0) : metrics.perClass[i]!.recall > 0;
  const missed = labels.filter((_, i) => isRare(counts[i]!) && metrics.perClass[i]!.support > 0 && !isPredicted(i));
  if (missed.length === 0) return [];
  const sum = missed.reduce((total, label) => total + counts[labels.indexOf(label)]!, 0);
  return [
    {
      code: 'NEVER_PREDICTED',
      text:
        `${listLabels(missed)} ${missed.length === 1 ? 'is' : 'are'} never predicted${isOneClass ? '' : ' right'}, being ${sum} of ${all} training examples: ` +
        'give rare classes more weight',
      options: isOneClass ? { classWeights: 'balanced' } : { positiveWeights: 'balanced', tuneThresholds: true },
    },
  ];
}

function usualRate({ settings, hiddenSize }: SeenRun): number {
  return defaultLearningRate(settings.method, hiddenSize);
}

/** How to train longer: as long as usual where that is much longer, otherwise twice as long. */
function trainLonger(seen: SeenRun): { words: string; options: Advice['options'] } {
  const { settings, stopped, steps, usualSteps, epochs } = seen;
  if (stopped === 'early')
    return { words: `let it continue with a higher ${option('earlyStoppingPatience')}`, options: {} };
  const name = settings.maxSteps === null ? 'epochs' : 'maxSteps';
  if (usualSteps > 2 * steps) {
    return { words: `leave out ${option(name)}, to train for the usual ${usualSteps} steps`, options: {} };
  }
  const longer = name === 'maxSteps' ? 2 * steps : 2 * Math.ceil(epochs.at(-1)?.epoch ?? 1);
  return { words: 'train longer', options: { [name]: longer } };
}

/** Advice as a sentence, with options as the caller writes them: `learningRate: 3e-4`, `--learning-rate 3e-4`. */
export function adviceText({ text, options }: Advice): string {
  const ways = Object.entries(options).map(([name, value]) => option(name, value));
  return ways.length === 0 ? `${text}.` : `${text} (${ways.join(' or ')}).`;
}
