import { ComponentError, flatten, Settings } from './component.js';
import type { Component } from './definition.js';
import type { Part } from './packer.js';

/** What a tokenizer's post-processor puts around a text, or around and between the two of a pair. */
export interface Template {
  /** In front of the texts, between each and the next, and behind the last: one more than there are texts. */
  around: readonly Part[];
  /** Segment of each text's own tokens. */
  types: readonly number[];
}

/** Far above any number of segments. */
const MAX_TYPES = 1000;

/** Ids are 32-bit numbers to everything that computes with them. */
const MAX_IDS = 2 ** 31 - 1;

/** A thing in a template: one of the texts, or ids; and its segment. */
type Item =
  | { readonly text: 0 | 1; readonly type: number }
  | { readonly ids: readonly number[]; readonly type: number };

/** The kinds of post-processors that add something, by their names in tokenizer.json. */
const PROCESSORS: Readonly<Record<string, (settings: Settings, texts: 1 | 2) => Item[]>> = {
  BertProcessing: bert,
  RobertaProcessing: roberta,
  TemplateProcessing: template,
};

/**
 * What a post-processor puts around texts. Without one it is nothing, and a pair's second text has the segment 1, as in
 * Hugging Face's tokenizers library.
 *
 * @param texts 1, or 2 for pairs
 * @param hasSegments whether the model is told them; else all are 0
 * @throws ComponentError for one of a kind or with a setting that is not known here
 */
export function readTemplate(component: Component | null, texts: 1 | 2, hasSegments: boolean): Template {
  const { around, types } = withSegments(component, texts);
  if (hasSegments) return { around, types };
  return { around: around.map(({ ids }) => ({ ids, types: 0 })), types: types.map(() => 0) };
}

function withSegments(component: Component | null, texts: 1 | 2): Template {
  // ByteLevel changes nothing but the offsets of tokens.
  const parts = flatten('post_processor', component, 'processors').filter(({ type }) => type !== 'ByteLevel');
  const [part, more] = parts;
  if (part === undefined)
    return { around: Array.from({ length: texts + 1 }, () => noIds), types: texts === 1 ? [0] : [0, 1] };
  if (more !== undefined)
    throw new ComponentError('post_processor Sequence', `use one of ${part.type} and ${more.type}`);
  const settings = new Settings('post_processor', part);
  if (!Object.hasOwn(PROCESSORS, part.type!)) {
    throw settings.error(`is not supported; use ${Object.keys(PROCESSORS).join(', ')}`);
  }
  const items = PROCESSORS[part.type!]!(settings, texts);
  const places = items.flatMap((item, i) => ('text' in item ? [{ ...item, i }] : []));
  if (places.length !== texts || places.some(({ text }, i) => text !== i)) {
    throw settings.error(`has ${texts === 1 ? 'a text' : 'two texts'} to place once each, in order; write it so`);
  }
  const starts = [0, ...places.map(({ i }) => i + 1)];
  const ends = [...places.map(({ i }) => i), items.length];
  return {
    around: starts.map((start, i) => joined(items.slice(start, ends[i]!))),
    types: places.map(({ type }) => type),
  };
}

/** How many tokens a template adds. */
export function addedTokens({ around }: Template): number {
  return around.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** One more than the largest id that a template adds. */
export function templateIdLimit({ around }: Template): number {
  return around.reduce((limit, { ids }) => ids.reduce((a, id) => Math.max(a, id + 1), limit), 0);
}

/** Puts the ids of texts into their template. */
export function fillTemplate({ around, types }: Template, ids: readonly (readonly number[])[]): Part[] {
  return around.flatMap((part, i) => (i < ids.length ? [part, { ids: ids[i]!, types: types[i]! }] : [part]));
}

const noIds: Part = { ids: [], types: 0 };

function joined(items: readonly Item[]): Part {
  const withIds = items.flatMap((item) => ('ids' in item ? [item] : []));
  return {
    ids: withIds.flatMap(({ ids }) => ids),
    types: withIds.flatMap(({ ids, type }) => ids.map(() => type)),
  };
}

/** A text between two tokens. */
function between(cls: number, sep: number): Item[] {
  return [
    { ids: [cls], type: 0 },
    { text: 0, type: 0 },
    { ids: [sep], type: 0 },
  ];
}

function bert(settings: Settings, texts: 1 | 2): Item[] {
  const [cls, sep] = [tokenId(settings, 'cls'), tokenId(settings, 'sep')];
  const single = between(cls, sep);
  return texts === 1 ? single : [...single, { text: 1, type: 1 }, { ids: [sep], type: 1 }];
}

function roberta(settings: Settings, texts: 1 | 2): Item[] {
  const [cls, sep] = [tokenId(settings, 'cls'), tokenId(settings, 'sep')];
  const single = between(cls, sep);
  return texts === 1 ? single : [...single, { ids: [sep], type: 0 }, { text: 1, type: 0 }, { ids: [sep], type: 0 }];
}

/** A token and its id, as in ["[CLS]", 101]. */
function tokenId(settings: Settings, key: string): number {
  const value = settings.get(key);
  if (Array.isArray(value) && value.length === 2 && isId(value[1])) return value[1];
  throw settings.error(`${key} must be a token and its id`);
}

function template(settings: Settings, texts: 1 | 2): Item[] {
  const key = texts === 1 ? 'single' : 'pair';
  const items = settings.get(key);
  const tokens = settings.get('special_tokens') ?? {};
  if (!Array.isArray(items)) throw settings.error(`${key} must be an array`);
  return items.map((item: Component): Item => {
    const { Sequence: sequence, SpecialToken: special } = item as Record<string, Record<string, unknown> | undefined>;
    const type = (sequence ?? special)?.type_id;
    const id = (sequence ?? special)?.id;
    if (!Number.isSafeInteger(type) || (type as number) < 0 || (type as number) >= MAX_TYPES) {
      throw settings.error(`${key} must give each of its parts a type_id from 0 to ${MAX_TYPES - 1}`);
    }
    if (sequence !== undefined) return { text: id === 'A' ? 0 : 1, type: type as number };
    const ids = Object.hasOwn(tokens as object, String(id))
      ? (tokens as Record<string, Component>)[String(id)]?.ids
      : 0;
    if (Array.isArray(ids) && ids.every(isId)) return { ids, type: type as number };
    throw settings.error(`special_tokens must give the ids of ${JSON.stringify(id)}`);
  });
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < MAX_IDS;
}
