import type { Steps } from '../steps.js';
import { type Model, type ModelSettings, textSetting, Vocabulary } from './model.js';

/** A token a word. */
export class WordLevel implements Model {
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
