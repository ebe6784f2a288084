import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, gunzipSync } from 'node:zlib';
import { BertuneError } from '../../lib/errors.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { fixture } from '../lib/files.js';

/* As in test/fixtures/generators/encodings.py, which made the digests with Hugging Face's tokenizers. */
const EVERY = 8;
const SINGLE_LENGTH = 11;
const PAIR_LENGTH = 14;
const DISTANCE = 7;
const NO_LIMIT = 1_000_000;

const read = (name: string) => readFileSync(fixture(`tokenizers/${name}`));
const readJson = (name: string) => JSON.parse(gunzipSync(read(name)).toString()) as unknown;

export const TEXTS = readJson('texts.json.gz') as string[];
export const DEFINITIONS = readJson('definitions.json.gz') as Record<string, object>;
const CHARACTERS = characters();
const FURTHER = TEXTS.filter((_, i) => i % EVERY === 0).length;

/** The texts that a tokenizer encodes otherwise than Hugging Face's library. */
export interface Differences {
  /** Single texts as they are. */
  singles: string[];
  /** Single texts that are cut, and pairs. */
  further: string[];
  /** Whether any character is encoded otherwise. */
  characters: boolean;
}

/**
 * Encodes every text with the tokenizer of a name, in a directory that may be written to.
 *
 * @param everyCharacter whether to try every character as well, which takes as long as all the texts. Defaults to true.
 */
export async function differences(name: string, directory: string, everyCharacter = true): Promise<Differences> {
  const place = Object.keys(DEFINITIONS).indexOf(name);
  const stored = read('digests.bin').subarray(4 * place * (TEXTS.length + FURTHER));
  const [right, left] = [await load(name, 'right', directory), await load(name, 'left', directory)];
  const standIns = [numbers(idsOf(right, '', NO_LIMIT)), await pairOf(right, '', '', NO_LIMIT)];
  const isSame = (lists: string[], digest: number) =>
    [lists, lists.map((list) => emptied(list, standIns))].some((each) => crc32(each.join('|')) === digest);
  const singles = TEXTS.filter(
    (text, i) => !isSame([numbers(idsOf(right, text, NO_LIMIT))], stored.readUInt32LE(4 * i)),
  );
  const further: string[] = [];
  for (let i = 0; i < TEXTS.length; i += EVERY) {
    const [text, pair] = [TEXTS[i]!, TEXTS[(i + DISTANCE) % TEXTS.length]!];
    const lists = [await pairOf(right, text, pair, NO_LIMIT)];
    for (const tokenizer of [right, left]) {
      lists.push(numbers(idsOf(tokenizer, text, SINGLE_LENGTH)), await pairOf(tokenizer, text, pair, PAIR_LENGTH));
    }
    if (!isSame(lists, stored.readUInt32LE(4 * (TEXTS.length + i / EVERY)))) further.push(text);
  }
  const ofCharacters = () => CHARACTERS.map((text) => numbers(idsOf(right, text, NO_LIMIT))).join('|');
  const characters = everyCharacter && crc32(ofCharacters()) !== read('characters.bin').readUInt32LE(4 * place);
  return { singles, further, characters };
}

/** Texts with every character below U+30000, and the tags, between two letters. */
function characters(): string[] {
  const codes = Array.from({ length: 0x30200 }, (_, i) => (i < 0x30000 ? i : i - 0x30000 + 0xe0000));
  const letters = codes
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => `a${String.fromCodePoint(code)}b `);
  const texts: string[] = [];
  for (let i = 0; i < letters.length; i += 64) texts.push(letters.slice(i, i + 64).join(''));
  return texts;
}

async function load(name: string, truncation_side: string, directory: string): Promise<Tokenizer> {
  const model_input_names = ['input_ids', 'token_type_ids', 'attention_mask'];
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', truncation_side, model_input_names };
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(DEFINITIONS[name]));
  await writeFile(join(directory, 'tokenizer_config.json'), JSON.stringify(config));
  return Tokenizer.load(directory);
}

/** The library gives no ids for texts without tokens; here something stands in for them, or they are refused. */
function emptied(list: string, [single, pair]: readonly string[]): string {
  if (list === single) return '';
  return list === pair ? ';' : list;
}

/** The ids of a text; none where it is refused as it has no tokens. */
function idsOf(tokenizer: Tokenizer, text: string, maxLength: number): Iterable<number> {
  try {
    return tokenizer.encode(text, maxLength);
  } catch (error) {
    if (error instanceof BertuneError && error.code === 'INVALID_DATA') return [];
    throw error;
  }
}

async function pairOf(tokenizer: Tokenizer, text: string, pair: string, maxLength: number): Promise<string> {
  try {
    const { ids, typeIds = new Int32Array(ids.length) } = await tokenizer.encodeTexts([text], maxLength, {
      pairs: [pair],
    });
    return `${numbers(ids)};${numbers(typeIds)}`;
  } catch (error) {
    if (error instanceof BertuneError && error.code === 'INVALID_DATA') return ';';
    throw error;
  }
}

function numbers(values: Iterable<number>): string {
  return [...values].join(',');
}
