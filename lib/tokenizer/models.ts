import { ComponentError } from './component.js';
import { Bpe } from './models/bpe.js';
import type { Model, ModelSettings } from './models/model.js';
import { Unigram } from './models/unigram.js';
import { WordLevel } from './models/word-level.js';
import { WordPiece } from './models/word-piece.js';

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
  throw new ComponentError(`model ${type}`, `is not known here; use ${Object.keys(MODELS).join(', ')}`);
}

/** Older files do not say what their model is: it is known by its settings. */
function typeOf(model: ModelSettings): string {
  if ('merges' in model) return 'BPE';
  if (Array.isArray(model.vocab)) return 'Unigram';
  return 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
}
