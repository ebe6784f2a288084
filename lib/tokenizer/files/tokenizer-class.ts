import { BertuneError } from '../../errors.js';
import type { Component, TokenizerDefinition } from '../definition.js';
import type { Arguments, SpecialName } from './arguments.js';
import type { TokenizerFiles } from './source.js';
import { contentOf, type Special } from './token.js';

/** A tokenizer without its added tokens, and without what it puts around texts. */
export type Parts = Pick<TokenizerDefinition, 'model' | 'normalizer' | 'pre_tokenizer' | 'decoder'>;

/** How a class of transformers makes a tokenizer of files. */
export interface TokenizerClass {
  /** The inputs of the model, where the files name no others. */
  modelInputNames: readonly string[];
  /** Its special tokens, where the files name no others. */
  specialTokens: Readonly<Partial<Record<SpecialName, Special>>>;
  /** Further special tokens, where the files name none. */
  extra: readonly Special[];
  /**
   * Makes the parts of the tokenizer.
   *
   * @throws BertuneError CHECKPOINT_INVALID
   */
  build(files: TokenizerFiles, given: Arguments, special: SpecialTokens): Promise<Parts>;
  /** What it puts around texts. Undefined where tokenizer.json says that. */
  postProcessor?(special: SpecialTokens, idOf: (content: string) => number): Component;
}

/** The special tokens of a tokenizer by name: those of the class, those that the files name, those of the model's own. */
export class SpecialTokens {
  constructor(
    private readonly tokens: ReadonlyMap<string, Special | null>,
    private readonly directory: string,
  ) {}

  /** All, in the order in which they are added. */
  get all(): Special[] {
    return [...this.tokens.values()].filter((token) => token !== null);
  }

  /** The text of one; undefined where there is none. */
  get(name: SpecialName): string | undefined {
    const token = this.tokens.get(name) ?? null;
    return token === null ? undefined : contentOf(token);
  }

  /** The text of one that the tokenizer cannot do without. */
  required(name: SpecialName): string {
    const content = this.get(name);
    if (content) return content;
    throw new BertuneError('CHECKPOINT_INVALID', `Expected a ${name} in the tokenizer's files in ${this.directory}`);
  }

  /** The text of one that stands in a template, whose notation is taken apart at these characters. */
  inTemplate(name: SpecialName): string {
    const content = this.required(name);
    if (!/[\p{White_Space}:]|^\$/u.test(content)) return content;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Cannot use the ${name} ${JSON.stringify(content)} in ${this.directory}: it has a space, a colon or a leading $`,
    );
  }
}

/** A piece of a template: a special token, or one of the texts, with its segment. */
export type TemplatePiece = readonly [token: string, segment: number] | readonly ['$A' | '$B', segment: number];

/** tokenizer.json's TemplateProcessing. */
export function template(
  single: readonly TemplatePiece[],
  pair: readonly TemplatePiece[],
  idOf: (content: string) => number,
): Component {
  const isText = (token: string) => token === '$A' || token === '$B';
  const pieces = (list: readonly TemplatePiece[]) =>
    list.map(([id, type_id]) =>
      isText(id) ? { Sequence: { id: id.slice(1), type_id } } : { SpecialToken: { id, type_id } },
    );
  const tokens = [...new Set(single.map(([token]) => token).filter((token) => !isText(token)))];
  return {
    type: 'TemplateProcessing',
    single: pieces(single),
    pair: pieces(pair),
    special_tokens: Object.fromEntries(tokens.map((id) => [id, { id, ids: [idOf(id)], tokens: [id] }])),
  };
}
