import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeFilesAtomic } from '../../lib/files/output.js';
import { tokenizerFiles } from '../../lib/formats/checkpoint/tokenizer-files.js';
import type { AddedToken } from '../../lib/tokenizer/definition.js';
import { readDefinition } from '../../lib/tokenizer/files/read-definition.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { expectRefusal, fixture, useTemporaryDirectory } from './files.js';

type Json = Record<string, unknown>;

/** What a file holds: a text, JSON, or a file that cases share with changes of its keys. */
type Content = string | Json | { use: string; with?: Json; without?: string[] };

interface Case {
  name: string;
  files: Record<string, Content>;
  /** Places of the lists of ids in `outputs`, by text: whole, cut, of a pair. */
  ids: number[];
  cut: number[];
  pair: number;
  model_max_length: number | null;
  truncation_side: string;
  split_special_tokens: boolean;
  pad_token: string | null;
  model_input_names: string[];
  /** Id, content and flags: single_word, lstrip, rstrip, normalized, special. */
  added_tokens: [number, string, string][];
}

const { length, texts, shared, outputs, cases } = JSON.parse(readFileSync(fixture('tokenizer-files.json'), 'utf8')) as {
  length: number;
  texts: string[];
  shared: Record<string, string | Json>;
  outputs: number[][];
  cases: Case[];
};

function contents(content: Content): string {
  if (typeof content === 'string') return content;
  if (!('use' in content)) return JSON.stringify(content);
  const { use, with: replaced, without = [] } = content as { use: string; with?: Json; without?: string[] };
  const base = shared[use]!;
  if (typeof base === 'string') return base;
  const kept = Object.fromEntries(Object.entries(base).filter(([key]) => !without.includes(key)));
  return JSON.stringify({ ...kept, ...replaced });
}

function flagsOf({ single_word, lstrip, rstrip, normalized, special }: AddedToken): string {
  return [single_word, lstrip, rstrip, normalized, special].map(Number).join('');
}

describe('the files of a tokenizer', () => {
  const temporary = useTemporaryDirectory();

  async function write(files: Record<string, Content>): Promise<string> {
    const directory = temporary.path('source');
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory);
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), contents(content));
    return directory;
  }

  function expectIds(tokenizer: Tokenizer, each: Case): void {
    texts.forEach((text, i) => {
      for (const [most, place] of [
        [100_000, each.ids[i]!],
        [length, each.cut[i]!],
      ] as const) {
        const expected = outputs[place]!;
        // A text is never empty here: without a post-processor it gets the two tokens of BERT.
        if (expected.length === 0) continue;
        expect(tokenizer.encode(text, most), `${most} tokens of ${JSON.stringify(text)}`).to.deep.equal(expected);
      }
    });
  }

  describe('are read as AutoTokenizer reads them', () => {
    for (const each of cases) {
      it(each.name, async () => {
        const directory = await write(each.files);
        const { definition, settings } = await readDefinition(directory);
        const added = definition.added_tokens.map((token) => [token.id, token.content, flagsOf(token)]);
        expect(added).to.deep.equal(each.added_tokens);
        expect({ ...settings, clsToken: null, sepToken: null }).to.deep.equal({
          modelMaxLength: each.model_max_length ?? Number.POSITIVE_INFINITY,
          truncationSide: each.truncation_side,
          splitSpecialTokens: each.split_special_tokens,
          padToken: each.pad_token ?? undefined,
          modelInputNames: each.model_input_names,
          clsToken: null,
          sepToken: null,
        });
        const tokenizer = await Tokenizer.load(directory);
        expectIds(tokenizer, each);
        const pair = await tokenizer.encodeTexts(['hello'], 100_000, { pairs: ['good now'] });
        expect([...pair.ids]).to.deep.equal(outputs[each.pair]);
      });
    }
  });

  describe('are saved as files that say the same where no config.json is beside them', () => {
    for (const each of cases) {
      it(each.name, async () => {
        const source = await readDefinition(await write(each.files));
        const { files, remove } = await tokenizerFiles(temporary.path('source'));
        await mkdir(temporary.path('saved'));
        for (const name of remove) await writeFile(temporary.path('saved', name), '{"left": "by another"}');
        await writeFilesAtomic(temporary.path('saved'), files, { remove });
        expect(await readDefinition(temporary.path('saved'))).to.deep.equal(source);
        expect(files.map(({ name }) => name)).to.include('tokenizer.json');
      });
    }
  });

  describe('of a class that knows a token which the vocabulary lacks', () => {
    const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'hello'];

    it('give it an id that no model need have', async () => {
      const directory = await write({ 'vocab.txt': `${tokens.join('\n')}\n` });
      const tokenizer = await Tokenizer.load(directory);
      expect([tokenizer.vocabSize, tokenizer.encode('hello [MASK]', 9)]).to.deep.equal([5, [2, 4, 5, 3]]);
    });

    it('need a row for one that a file names, or that stands around texts', async () => {
      const vocabulary = `${tokens.join('\n')}\n`;
      const named = await write({ 'vocab.txt': vocabulary, 'tokenizer_config.json': { mask_token: '[MASK]' } });
      expect((await Tokenizer.load(named)).vocabSize).to.equal(6);
      const around = await write({ 'vocab.txt': vocabulary.replace('[CLS]', 'a') });
      expect((await Tokenizer.load(around)).vocabSize).to.equal(6);
    });
  });

  describe('are refused by name', () => {
    const vocabulary = { use: 'vocab' };
    const bert = { model_type: 'bert' };
    const config = (changes: Json) => ({
      'vocab.txt': vocabulary,
      'config.json': bert,
      'tokenizer_config.json': changes,
    });
    const beside = (name: string, content: Content) => ({
      'vocab.txt': vocabulary,
      'config.json': bert,
      [name]: content,
    });
    const definition = (changes: Json, tokenizer_class = 'BertTokenizer') => ({
      'tokenizer.json': { use: 'cased', with: changes },
      'tokenizer_config.json': { tokenizer_class },
    });
    const token = (id: unknown, content: unknown = '[E1]') => ({ id, content });
    const plain = 'PreTrainedTokenizerFast';

    const CLASSES: [string, Record<string, Content>][] = [
      ['word_tokenizer_type', config({ tokenizer_class: 'BertJapaneseTokenizer', word_tokenizer_type: 'mecab' })],
      [
        'special tokens',
        config({
          tokenizer_class: 'BertJapaneseTokenizer',
          mask_token: { __type: 'AddedToken', content: '[MASK]', single_word: true },
        }),
      ],
      ['do_lower_case', config({ tokenizer_class: 'BertJapaneseTokenizer', do_lower_case: true })],
      ['XLNetTokenizer', definition({}, 'XLNetTokenizerFast')],
      ['AlbertTokenizer', definition({}, 'AlbertTokenizer')],
      ['"x.Own"', config({ auto_map: { AutoTokenizer: ['x.Own', null] } })],
      ['"x.OwnFast"', config({ auto_map: [null, 'x.OwnFast'] })],
      ['of type "t5"', { 'tokenizer.json': { use: 'cased' }, 'config.json': { model_type: 't5' } }],
      ['fast_tokenizer_files', config({ fast_tokenizer_files: ['tokenizer.json', 'tokenizer.4.0.json'] })],
      ['tokenizer_class', config({ tokenizer_class: 5 })],
      ['a WordPiece model', { 'tokenizer.json': { use: 'unigram' }, 'config.json': bert }],
      ['a Unigram model', definition({}, 'XLMRobertaTokenizer')],
      ['Cannot use tokenizer.model', beside('tokenizer.model', 'x')],
    ];

    for (const [pattern, files] of CLASSES) {
      it(`${pattern}`, async () => {
        await expectRefusal(readDefinition(await write(files)), 'CHECKPOINT_INVALID', pattern);
      });
    }

    it('where the files of their class are not there', async () => {
      for (const name of [plain, 'XLMRobertaTokenizer', 'RobertaTokenizer']) {
        const directory = await write({ ...config({ tokenizer_class: name }), 'sentencepiece.bpe.model': 'x' });
        await expectRefusal(readDefinition(directory), 'NOT_FOUND', 'tokenizer.json', 'source');
      }
      const empty = await write({ 'config.json': bert });
      await expectRefusal(readDefinition(empty), 'NOT_FOUND', 'Expected tokenizer.json or vocab.txt');
    });

    const VALUES: [file: string, key: string, files: Record<string, Content>][] = [
      ['tokenizer_config.json', 'do_lower_case', config({ do_lower_case: 'true' })],
      ['tokenizer_config.json', 'do_lower_case', config({ do_lower_case: null })],
      ['tokenizer_config.json', 'strip_accents', config({ strip_accents: 1 })],
      ['tokenizer_config.json', 'tokenize_chinese_chars', config({ tokenize_chinese_chars: [] })],
      ['tokenizer_config.json', 'truncation_side', config({ truncation_side: 'middle' })],
      ['tokenizer_config.json', 'split_special_tokens', config({ split_special_tokens: 'yes' })],
      ['tokenizer_config.json', 'model_max_length', config({ model_max_length: '512' })],
      ['tokenizer_config.json', 'model_max_length', config({ model_max_length: -1 })],
      ['tokenizer_config.json', 'max_len', config({ max_len: 0.5 })],
      ['tokenizer_config.json', 'model_input_names', config({ model_input_names: 'input_ids' })],
      ['tokenizer_config.json', 'init_inputs', config({ init_inputs: ['/etc/passwd'] })],
      ['tokenizer_config.json', 'vocab', config({ vocab: { a: 1 } })],
      ['tokenizer_config.json', 'cls_token', config({ cls_token: { content: '[CLS]' } })],
      ['tokenizer_config.json', 'cls_token', config({ cls_token: 5 })],
      ['source', 'cls_token', config({ cls_token: null })],
      ['source', 'cls_token', config({ cls_token: '$A' })],
      ['source', 'sep_token', config({ sep_token: 'a b' })],
      ['source', 'unk_token', config({ unk_token: '' })],
      ['source', 'unknown token', config({ unk_token: '<unk>' })],
      ['tokenizer_config.json', 'extra_special_tokens', config({ additional_special_tokens: '[E1]' })],
      ['tokenizer_config.json', 'extra_special_tokens[0]', config({ additional_special_tokens: [{ content: 'a' }] })],
      ['tokenizer_config.json', 'x of extra_special_tokens', config({ extra_special_tokens: { x: 5 } })],
      ['tokenizer_config.json', 'added_tokens_decoder', config({ added_tokens_decoder: null })],
      ['tokenizer_config.json', 'x of added_tokens_decoder', config({ added_tokens_decoder: { x: token(1) } })],
      ['tokenizer_config.json', '-1 of added_tokens_decoder', config({ added_tokens_decoder: { '-1': token(1) } })],
      ['tokenizer_config.json', '4294967296', config({ added_tokens_decoder: { 4294967296: token(1) } })],
      ['tokenizer_config.json', '7 of added_tokens_decoder', config({ added_tokens_decoder: { 7: '[E1]' } })],
      ['tokenizer_config.json', 'content of 7', config({ added_tokens_decoder: { 7: { lstrip: true } } })],
      ['tokenizer_config.json', 'lstrip of 7', config({ added_tokens_decoder: { 7: { content: 'x', lstrip: 1 } } })],
      ['tokenizer_config.json', 'the id 7', config({ added_tokens_decoder: { 7: { content: '[E1]' } } })],
      ['tokenizer_config.json', 'the id 200', config({ added_tokens_decoder: { 200: { content: '[E1]' } } })],
      ['special_tokens_map.json', 'object', beside('special_tokens_map.json', '[]')],
      ['special_tokens_map.json', 'cls_token', beside('special_tokens_map.json', { cls_token: 5 })],
      ['special_tokens_map.json', 'vocab_file', beside('special_tokens_map.json', { vocab_file: '/etc/passwd' })],
      [
        'special_tokens_map.json',
        'additional_special_tokens[0]',
        beside('special_tokens_map.json', { additional_special_tokens: [{ content: '[E1]' }] }),
      ],
      ['added_tokens.json', 'object', beside('added_tokens.json', '["a"]')],
      ['added_tokens.json', '"<url>"', beside('added_tokens.json', { '<url>': '91' })],
      ['added_tokens.json', '"<url>"', beside('added_tokens.json', { '<url>': -1 })],
      ['added_tokens.json', '"<b>"', beside('added_tokens.json', { '<a>': 97, '<b>': 97 })],
      ['added_tokens.json', 'the id 500', beside('added_tokens.json', { '<url>': 500 })],
      ['tokenizer.json', 'model', definition({ model: null })],
      ['tokenizer.json', 'vocab', definition({ model: { type: 'WordPiece', vocab: 'a' } })],
      ['tokenizer.json', '"a"', definition({ model: { type: 'WordPiece', vocab: { a: -1 } } })],
      ['tokenizer.json', 'added_tokens', definition({ added_tokens: {} })],
      ['tokenizer.json', 'added_tokens[0]', definition({ added_tokens: [null] })],
      ['tokenizer.json', 'id of added_tokens[0]', definition({ added_tokens: [token('5')] }, plain)],
      ['tokenizer.json', 'id of added_tokens[0]', definition({ added_tokens: [token(-5)] }, plain)],
      ['tokenizer.json', 'id of added_tokens[0]', definition({ added_tokens: [token(2 ** 40)] }, plain)],
      ['tokenizer.json', 'content of added_tokens[0]', definition({ added_tokens: [token(5, 5)] }, plain)],
      ['tokenizer.json', 'the id 500', definition({ added_tokens: [token(500)] }, plain)],
      ['tokenizer.json', 'truncation', definition({ truncation: { direction: 'Up' } })],
      ['tokenizer.json', 'post_processor', definition({ post_processor: [] }, plain)],
      ['tokenizer.json', 'normalizer', definition({ normalizer: 'NFC' }, plain)],
      ['tokenizer.json', 'deeper than 128', definition({ normalizer: nested(200) })],
      ['tokenizer_config.json', 'deeper than 128', config({ cls_token: nested(200) })],
      [
        'tokenizer.json',
        'content of added_tokens[0]',
        definition({ added_tokens: [token(5, 'x'.repeat(33_000))] }, plain),
      ],
      ['tokenizer_config.json', 'mask_token', config({ mask_token: 'x'.repeat(33_000) })],
    ];

    for (const [file, key, files] of VALUES) {
      it(`${key} in ${file}`, async () => {
        await expectRefusal(readDefinition(await write(files)), 'CHECKPOINT_INVALID', file, key);
      });
    }

    it('more added tokens than any tokenizer has, soon', async () => {
      const many = Array.from({ length: 150_000 }, (_, i) => `<${i}>`);
      const byName = Object.fromEntries(many.map((content, i) => [content, 97 + i]));
      for (const [file, key, files] of [
        ['tokenizer_config.json', 'extra_special_tokens', config({ additional_special_tokens: many })],
        ['tokenizer_config.json', 'extra_special_tokens', config({ extra_special_tokens: byName })],
        ['tokenizer_config.json', 'added_tokens_decoder', config({ added_tokens_decoder: { ...many } })],
        [
          'special_tokens_map.json',
          'extra_special_tokens',
          beside('special_tokens_map.json', { extra_special_tokens: many }),
        ],
        ['added_tokens.json', 'the file', beside('added_tokens.json', byName)],
        ['tokenizer.json', 'added_tokens', definition({ added_tokens: many })],
      ] as const) {
        const directory = await write(files);
        const started = performance.now();
        const found = readDefinition(directory);
        await expectRefusal(found, 'CHECKPOINT_INVALID', `at most 100000 tokens for ${key}`, file);
        expect(performance.now() - started).to.be.below(20_000);
      }
    });

    it('a line of vocab.txt that is white space but for its end, soon', async () => {
      const directory = await write({
        'vocab.txt': `[UNK]\n${' '.repeat(2_000_000)}x\n${'\u2003'.repeat(2_000_000)}\n`,
      });
      const started = performance.now();
      const { definition: read } = await readDefinition(directory);
      expect(Object.keys(read.model.vocab).map(({ length: characters }) => characters)).to.deep.equal([
        5, 2_000_001, 0,
      ]);
      expect(performance.now() - started).to.be.below(5000);
    });
  });
});

function nested(depth: number): Json {
  let value: Json = {};
  for (let i = 0; i < depth; i++) value = { a: value };
  return value;
}
