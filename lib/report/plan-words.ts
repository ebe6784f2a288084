import { formatCount, formatFixed, formatSetting } from '../format.js';
import { defaultEpochsReason } from '../training/defaults.js';
import type { TrainingPlan } from '../training/events.js';
import type { TrainerOptions, TrainerSettings } from '../training/options.js';

/** A run that is about to begin. */
export interface PlannedRun {
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
