import { ComponentError } from './component.js';
import { Bpe } from './models/bpe.js';
import { type Model, type ModelSettings, textSetting, Vocabulary } from './models/model.js';
import { Unigram } from './models/unigram.js';
import { WordPiece } from './models/word-piece.js';
import type { Steps } from './steps.js';

/** A token per word. */
class WordLevel implements Model {
  readonly size: number;
  readonly idLimit: number;
  private readonly vocabulary: Vocabulary;
  private readonly unknownToken: string;

  constructor(model: ModelSettings) {
    this.vocabulary = new Vocabulary('WordLevel', model.vocab);
    this.unknownToken = textSetting('WordLevel', model, 'unk_token') ?? '<unk>';
    this.size = this.vocabulary.ids.size;
    this.idLimit = this.vocabulary.idLimit;
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.ids.get(token);
  }

  // biome-ignore lint/correctness/useYield: nothing here takes long
  *encode(word: string): Steps<readonly number[]> {
    return [this.idOf(word) ?? this.vocabulary.unknown(this.unknownToken)];
  }
}

/** Every kind of model, by its name in tokenizer.json. */
const MODELS: Readonly<Record<string, new (model: ModelSettings) => Model>> = {
  BPE: Bpe,
  Unigram,
  WordLevel,
  WordPiece,
};

/**
 * The model of a tokenizer.
 *
 * @throws ComponentError for one of a kind or with a setting that is not known here
 */
export function readModel(model: ModelSettings): Model {
  const type = model.type ?? typeOf(model);
  if (Object.hasOwn(MODELS, type)) return new MODELS[type]!(model);
  throw new ComponentError(`model ${type}`, `is not supported; use ${Object.keys(MODELS).join(', ')}`);
}

/** Older files do not say what their model is: it is known by its settings. */
function typeOf(model: ModelSettings): string {
  if ('merges' in model) return 'BPE';
  if (Array.isArray(model.vocab)) return 'Unigram';
  return 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
}
