import { BertuneError } from '../../../../lib/errors.js';
import { tokenizerFiles } from '../../../../lib/formats/checkpoint/tokenizer-files.js';
import { Tokenizer } from '../../../../lib/tokenizer/index.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { ADDED_TOKENS, CODES, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY } from '../seeds.js';

const NAME = 'tokenizer.json';
const CONFIG = 'tokenizer_config.json';
const OLD = 'vocab.txt';
const TEXT = JSON.stringify(TOKENIZER);
const DOCUMENT = new JsonDocument(TOKENIZER);
const BESIDE = new Map([
  [CONFIG, new JsonDocument(TOKENIZER_CONFIG)],
  ['special_tokens_map.json', new JsonDocument(SPECIAL_TOKENS)],
  ['added_tokens.json', new JsonDocument(ADDED_TOKENS)],
]);

/** Special tokens that only the class knows come behind the vocabulary. */
const IMPLIED = 5;
const TEXTS = ['Hello [MASK] world, unaffable ΣΟΦΟΣ!', '', '中文 é \ud800', 'x'.repeat(300)];

const withModel = (what: string, model: object): Input => ({
  files: { [NAME]: JSON.stringify({ ...TOKENIZER, model: { ...TOKENIZER.model, ...model } }) },
  what,
});

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(TEXT)),
    ...cuts(OLD, Buffer.from(VOCABULARY)),
    ...cuts(CONFIG, Buffer.from(JSON.stringify(TOKENIZER_CONFIG))),
    withModel('an id of 2^40', { vocab: { ...TOKENIZER.model.vocab, cat: 2 ** 40 } }),
    withModel('words of any length', { max_input_chars_per_word: 1e300 }),
    withModel('words of no length', { max_input_chars_per_word: -1 }),
    withModel('the unknown token of a prototype', { unk_token: 'constructor' }),
    { files: { [OLD]: VOCABULARY, [CONFIG]: '{"cls_token":"constructor"}' }, what: 'a prototype for a token' },
    { files: { [NAME]: TEXT.replace('"BertNormalizer"', '['.repeat(1e5) + ']'.repeat(1e5)) }, what: '100,000 levels' },
  ],
  generate(random) {
    const files: Record<string, string | Uint8Array> = {};
    const done: string[] = [];
    const isOld = random.chance(0.2);
    if (isOld) {
      const { bytes, what } = damage(Buffer.from(VOCABULARY), random);
      files[OLD] = bytes;
      done.push(what);
    } else if (random.chance(0.7)) {
      const { text, what } = DOCUMENT.mutated(random);
      files[NAME] = text;
      done.push(what);
    } else {
      const { bytes, what } = damage(Buffer.from(TEXT), random);
      files[NAME] = bytes;
      done.push(what);
    }
    for (const [name, document] of BESIDE) {
      if (!random.chance(0.2)) continue;
      const { text, what } = document.mutated(random);
      files[name] = text;
      done.push(`${name}: ${what}`);
    }
    return { files, what: done.join('; ') };
  },
  async read(directory) {
    const tokenizer = await Tokenizer.load(directory);
    const { vocabSize } = tokenizer;
    sound(
      Number.isSafeInteger(vocabSize) && vocabSize >= 0 && vocabSize <= 2 ** 31,
      `the vocabulary has ${vocabSize} ids`,
    );
    const areIds = (ids: Iterable<number>) =>
      [...ids].every((id) => Number.isInteger(id) && id >= 0 && id < vocabSize + IMPLIED);
    const most = Math.max(8, tokenizer.specialTokens + 1);
    for (const text of TEXTS) {
      const ids = tokenizer.encode(text, most);
      sound(areIds(ids), `${JSON.stringify(text)} is [${ids}] of ${vocabSize}`);
      sound(ids.length <= most, `${ids.length} ids, not ${most}`);
    }
    await refusedOnly(async () => {
      const { ids, offsets } = await tokenizer.encodeTexts(TEXTS, Math.max(8, tokenizer.specialPairTokens + 1), {
        pairs: TEXTS,
      });
      sound(areIds(ids) && offsets.at(-1) === ids.length, 'pairs are not packed');
    });
    for (const { name } of (await tokenizerFiles(directory)).files) sound(name.length > 0, 'a file without a name');
  },
  codes: CODES,
};

/** Pairs may be refused when they are asked for, by an error of ours. */
async function refusedOnly(work: () => Promise<void>): Promise<void> {
  await work().catch((error) => {
    if (!(error instanceof BertuneError)) throw error;
  });
}
