import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import type { AnyClassifier } from '../model/classifier.js';
import { taskOf } from '../tasks/index.js';
import type { Prediction } from '../tasks/prediction.js';
import {
  addLongTextOptions,
  given,
  type LongTextArguments,
  longTextOptions,
  names,
  number,
  positiveInteger,
  textKindOption,
} from './arguments.js';
import {
  addColumnOptions,
  addModelOptions,
  addOutputOptions,
  addTextOptions,
  answerTexts,
  type TextArguments,
} from './texts/command.js';
import { PREDICTION_FORMATS } from './texts/formats.js';

interface PredictArguments extends TextArguments, LongTextArguments {
  textKind?: 'trained' | 'any';
  topK?: number;
  uncertainty?: true;
  threshold?: number;
  scores?: true;
}

/** Adds `bertune predict`. */
export function predictCommand(program: Command): void {
  const command = program
    .command('predict')
    .description(
      'classify texts; writes one JSON object per line: text, label, score, scores (by task also labels, or value)',
    );
  addModelOptions(command)
    .addOption(names('--labels <names>', 'names of the classes 0, 1, ... if the model only numbers them'))
    .addOption(textKindOption());
  addLongTextOptions(command);
  addTextOptions(command, 'classify');
  addOutputOptions(command, '.csv .tsv .jsonl')
    .addOption(positiveInteger('--top-k <n>', 'list the best n labels with their scores'))
    .option('--scores', "write every label's score")
    .option('--uncertainty', 'write margin and entropy, to choose what to label next')
    .addOption(
      number('--threshold <x>', 'multi-label: score above which a label is predicted (default: as tuned, or 0.5)', {
        min: 0,
        max: 1,
      }),
    );
  addColumnOptions(command, 'predicted_').action(predict);
}

async function predict(texts: string[], options: PredictArguments): Promise<void> {
  await answerTexts<Prediction>(texts, options, {
    verb: 'predict',
    formats: PREDICTION_FORMATS,
    scores: options.scores ?? false,
    begin: (model, signal) => {
      expectTaskArguments(model, options);
      const settings = {
        ...longTextOptions(options),
        ...given({ threshold: options.threshold, topK: options.topK, uncertainty: options.uncertainty }),
        textKind: 'any' as const,
        signal,
      };
      return {
        answer: (batch) => model.predict(batch, settings),
        pairs: options.textKind === 'any' ? null : model.pairs,
        notes: model.notes,
      };
    },
  });
}

/** @throws BertuneError INVALID_OPTION for options that mean nothing to the model's task */
function expectTaskArguments(model: AnyClassifier, { topK, scores, uncertainty, threshold }: PredictArguments): void {
  const task = taskOf(model.task);
  const odd = [
    ...(topK !== undefined && task.labels === 'values' ? ['--top-k'] : []),
    ...(scores !== undefined && task.labels === 'values' ? ['--scores'] : []),
    ...(uncertainty !== undefined && task.labels === 'values' ? ['--uncertainty'] : []),
    ...(threshold !== undefined && task.labels !== 'classes' ? ['--threshold'] : []),
  ];
  if (odd.length === 0) return;
  const verb = odd.length === 1 ? 'has' : 'have';
  throw new BertuneError(
    'INVALID_OPTION',
    `${odd.join(' and ')} ${verb} no effect on a model for ${task.title}; leave it out`,
  );
}
