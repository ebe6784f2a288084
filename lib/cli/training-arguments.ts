import type { Command } from 'commander';
import { SCHEDULES } from '../schedule.js';
import { BEST_METRICS, type BestMetric, type TrainerOptions } from '../training/options.js';
import {
  choice,
  given,
  nonNegativeInteger,
  number,
  positiveInteger,
  positiveIntegerOr,
  seedNumber,
  weights,
} from './arguments.js';

/** What the options about training say: those of a Trainer, three under shorter names. */
export interface TrainingArguments
  extends Omit<
    TrainerOptions,
    'method' | 'evaluationStrategy' | 'loadBestModel' | 'earlyStoppingPatience' | 'earlyStoppingThreshold'
  > {
  eval?: 'epoch' | 'no';
  loadBest?: true;
  metricForBest?: BestMetric;
  earlyStopping?: number;
}

const BELOW_ONE = { min: 0, max: 1, maxExclusive: true };
const POSITIVE = { min: 0, minExclusive: true };
const NOT_NEGATIVE = { min: 0 };

/** Adds the options about training. */
export function addTrainingOptions(command: Command): Command {
  return command
    .optionsGroup('Training:')
    .addOption(
      number('--learning-rate <x>', 'highest learning rate (default: by method and size of the model)', NOT_NEGATIVE),
    )
    .addOption(number('--epochs <x>', 'passes over the training data (default: 3, more on small data)', POSITIVE))
    .addOption(positiveInteger('--max-steps <n>', 'optimiser steps, in place of --epochs').conflicts('epochs'))
    .addOption(positiveInteger('--batch-size <n>', 'examples a batch (default: 16)'))
    .addOption(positiveInteger('--gradient-accumulation <n>', 'batches a step (default: 1)'))
    .addOption(choice('--schedule <name>', 'how the learning rate falls (default: linear)', SCHEDULES))
    .addOption(
      nonNegativeInteger(
        '--warmup-steps <n>',
        'steps over which it rises first (default: 0; a tenth with the default learning rate)',
      ),
    )
    .addOption(
      number('--warmup-ratio <x>', 'the same as a share of all steps', { min: 0, max: 1 }).conflicts('warmupSteps'),
    )
    .addOption(number('--weight-decay <x>', "AdamW's weight decay (default: 0.01)", NOT_NEGATIVE))
    .addOption(number('--max-grad-norm <x>', 'gradient norm to clip to, 0 for none (default: 1)', NOT_NEGATIVE))
    .addOption(number('--adam-beta1 <x>', '(default: 0.9)', BELOW_ONE))
    .addOption(number('--adam-beta2 <x>', '(default: 0.999)', BELOW_ONE))
    .addOption(number('--adam-eps <x>', '(default: 1e-8)', POSITIVE))
    .addOption(number('--label-smoothing <x>', 'share of the target spread over all labels (default: 0)', BELOW_ONE))
    .addOption(weights('--class-weights <w>', 'balanced, or a weight a label: good=1,bad=2.5 (default: none)'))
    .addOption(positiveInteger('--max-length <n>', 'longest text in tokens (default: what the model takes)'))
    .addOption(seedNumber('--seed <n>', 'of new weights, order and dropout (default: 42)'))
    .addOption(
      positiveIntegerOr(
        '--logging-steps <n>',
        'steps between rows of the log, or epoch (default: 30 to 50 rows a run)',
        ['epoch'],
      ),
    )
    .addOption(choice('--eval <when>', 'when to use the validation split (default: epoch)', ['epoch', 'no']))
    .option('--load-best', 'put back the best epoch at the end')
    .addOption(choice('--metric-for-best <name>', 'what the best epoch is told by (default: f1_macro)', BEST_METRICS))
    .addOption(positiveInteger('--early-stopping <n>', 'stop after so many epochs that are no better'));
}

/** The options of a Trainer that the arguments ask for. */
export function trainerOptions(options: TrainingArguments): Omit<TrainerOptions, 'method'> {
  return given({
    learningRate: options.learningRate,
    epochs: options.epochs,
    maxSteps: options.maxSteps,
    batchSize: options.batchSize,
    gradientAccumulation: options.gradientAccumulation,
    schedule: options.schedule,
    warmupSteps: options.warmupSteps,
    warmupRatio: options.warmupRatio,
    weightDecay: options.weightDecay,
    maxGradNorm: options.maxGradNorm,
    adamBeta1: options.adamBeta1,
    adamBeta2: options.adamBeta2,
    adamEps: options.adamEps,
    labelSmoothing: options.labelSmoothing,
    classWeights: options.classWeights,
    maxLength: options.maxLength,
    seed: options.seed,
    loggingSteps: options.loggingSteps,
    evaluationStrategy: options.eval,
    loadBestModel: options.loadBest,
    metricForBest: options.metricForBest,
    earlyStoppingPatience: options.earlyStopping,
  });
}
