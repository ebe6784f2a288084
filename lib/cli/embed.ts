import type { Command } from 'commander';
import { type EmbedOptions, POOLINGS } from '../model/embedding.js';
import { NEW_CLASSIFIER } from '../model/load.js';
import { choice, given, positiveInteger } from './arguments.js';
import {
  addColumnOptions,
  addModelOptions,
  addOutputOptions,
  addTextOptions,
  answerTexts,
  type TextArguments,
} from './texts/command.js';
import { EMBEDDING_FORMATS, type Embedding } from './texts/formats.js';

interface EmbedArguments extends TextArguments, Pick<EmbedOptions, 'pooling' | 'normalize' | 'maxLength'> {}

/** Adds `bertune embed`. */
export function embedCommand(program: Command): void {
  const command = program.command('embed').description('embed texts; writes one JSON object per line: text, embedding');
  addModelOptions(command)
    .addOption(positiveInteger('--max-length <n>', 'longest text in tokens (default: what the model takes)'))
    .addOption(choice('--pooling <name>', "mean of a text's tokens, or the first alone (default: mean)", POOLINGS))
    .option('--normalize', 'divide embeddings by their length, so that a product of two is their cosine');
  addTextOptions(command, 'embed');
  addOutputOptions(command, '.jsonl; .npy for numpy: the embeddings alone, float32');
  addColumnOptions(command).action(embed);
}

async function embed(texts: string[], options: EmbedArguments): Promise<void> {
  const { pooling, normalize, maxLength } = options;
  await answerTexts<Embedding>(texts, options, {
    verb: 'embed',
    formats: EMBEDDING_FORMATS,
    scores: false,
    begin: (model, signal) => ({
      answer: async (batch) => {
        const rows = await model.embed(batch, { ...given({ pooling, normalize, maxLength }), signal });
        return rows.map((embedding) => ({ embedding }));
      },
      pairs: null,
      // No classifier is asked.
      notes: model.notes.filter((note) => note !== NEW_CLASSIFIER),
    }),
  });
}
