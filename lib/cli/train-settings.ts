import { findRanks } from '../distributed/ranks.js';
import { sourceWords } from '../experiments/experiment.js';
import type { Run } from '../experiments/run.js';
import { formatCount, formatSetting } from '../format.js';
import { definitionOf } from '../methods/index.js';
import { rateWords, stepsWords } from '../report/run-lines.js';
import type { TrainingPlan } from '../training/events.js';
import { TRAINER_OPTIONS, type TrainerSettings } from '../training/options.js';

/**
 * What a run is going to do, in lines: everything that was chosen, and the defaults that depend on method, model or
 * machine, marked as such.
 *
 * @param plan what the trainer said when it started
 */
export function settingsLines(run: Run, plan: TrainingPlan): string[] {
  const { model, trainer, splits } = run;
  const { settings } = trainer;
  const { options } = run.experiment;
  const planned = { settings, options, hiddenSize: model.config.hiddenSize, plan };
  const ranks = settings.distributed === 'none' ? null : findRanks();
  const splitWords = Object.entries(splits).map(([name, examples]) => `${name} ${formatCount(examples)}`);
  const rows: [string, string][] = [
    [
      'model',
      `${run.experiment.model}${run.experiment.adapter === undefined ? '' : ` with ${run.experiment.adapter}`}`,
    ],
    ['data', `${sourceWords(run.experiment.data)}: ${splitWords.join(', ')}; ${plan.tokens} training tokens`],
    ['labels', `in the model's order: ${model.labels.join(', ')}`],
    ['method', definitionOf(settings.method.kind).words(settings.method)],
    ['parameters', `${formatCount(plan.trainableParameters)} of ${formatCount(plan.totalParameters)} train`],
    ['device', `${model.device} ${model.precision}, ${model.threads} thread${model.threads === 1 ? '' : 's'}`],
    ...(ranks === null
      ? []
      : [['processes', `${ranks.size}, started by ${ranks.launcher}`] satisfies [string, string]]),
    ...(definitionOf(settings.method.kind).isFitted
      ? []
      : ([
          ['steps', stepsWords(planned)],
          ['learning rate', rateWords(planned)],
        ] satisfies [string, string][])),
    [
      'longest text',
      `${run.maxLength} tokens${options.maxLength === undefined ? ' (default of the model)' : ''}` +
        (plan.truncated > 0
          ? `, ${formatCount(plan.truncated)} training ${plan.truncated === 1 ? 'text is' : 'texts are'} cut`
          : '') +
        (plan.examples > splits.train! ? `; ${formatCount(plan.examples)} windows of the training texts` : ''),
    ],
    ...(plan.classWeights === null
      ? []
      : [['class weights', weightWords(model.labels, plan.classWeights)] satisfies [string, string]]),
    ['seed', String(settings.seed)],
    ...otherRows(run),
    ...(settings.saveStrategy === 'no' ? [] : [['checkpoints', checkpointWords(settings)] satisfies [string, string]]),
    ...(plan.resumed === null
      ? []
      : [['goes on', `from step ${plan.resumed.step}, ${plan.resumed.directory}`] satisfies [string, string]]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    ...[...run.notes, ...plan.notes, ...(plan.resumed?.notes ?? [])].map((note) => `note: ${note}`),
  ];
}

/** Options whose settings are told in other lines. */
const TOLD = new Set<string>([
  ...['method', 'learningRate', 'epochs', 'maxSteps', 'batchSize', 'gradientAccumulation', 'schedule', 'warmupSteps'],
  ...['warmupRatio', 'classWeights', 'maxLength', 'seed', 'outputDirectory', 'saveStrategy', 'saveSteps'],
  'saveTotalLimit',
]);

/** What else was chosen, each in a line. */
function otherRows({ experiment: { options }, trainer: { settings } }: Run): [string, string][] {
  return (Object.keys(TRAINER_OPTIONS) as (keyof typeof TRAINER_OPTIONS)[])
    .filter((name) => !TOLD.has(name) && name in options)
    .map((name) => {
      const value = settings[name];
      const words = name.replaceAll(/[A-Z]|[0-9]+/g, (part) => ` ${part.toLowerCase()}`);
      return [words, typeof value === 'number' ? formatSetting(value) : String(value)];
    });
}

function weightWords(labels: readonly string[], weights: readonly number[]): string {
  return labels.map((label, i) => `${label} ${formatSetting(Number(weights[i]!.toPrecision(4)))}`).join(', ');
}

function checkpointWords({ saveStrategy, saveSteps, saveTotalLimit }: TrainerSettings): string {
  const times = {
    no: '',
    epoch: 'every epoch',
    steps: `every ${formatCount(saveSteps)} steps`,
    best: 'after the best evaluation',
  };
  const when = times[saveStrategy];
  return saveTotalLimit === null ? when : `${when}, at most ${formatCount(saveTotalLimit)} kept`;
}
