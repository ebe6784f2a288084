import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import { expect } from 'chai';
import fc from 'fast-check';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { expectRefusal, fixture, useTemporaryDirectory } from './files.js';

const BERT_MINI = fileURLToPath(new URL('../../assets/models/bert-mini', import.meta.url));
const BERT_BASE = fixture('bert-base-uncased');

const PAIR_LENGTHS = { '': 100_000, 512: 512, 16: 16, 15: 15, 8: 8 } as const;

type PairFixture = { text: string; pair: string } & {
  [Length in keyof typeof PAIR_LENGTHS as `ids${Length}` | `type_ids${Length}`]: number[];
};

interface TokenizerFixture {
  pairs: PairFixture[];
  cases: { text: string; ids: number[]; ids512: number[]; ids16: number[] }[];
}

/*
 * SHA-256 of the ids of 'a' + c + 'b' for every character c below U+30000, without special tokens: by the Rust library
 * (tokenizers 0.23.2), each as ' '.join(map(str, ids)) + '\n'. A JavaScript engine with a Unicode later than 17 may
 * know more marks and punctuation than the tables in lib/tokenizer/unicode.ts.
 */
const VOCABULARIES = [
  {
    name: 'bert-mini',
    directory: BERT_MINI,
    cls: 2,
    sep: 3,
    adds: false,
    vocabSize: 8192,
    characters: 'cefcab508fde3d5fcfc1b47c3f6d693cc068ef5e9bda5d186f3d4f61776c2fe4',
  },
  {
    name: 'bert-base-uncased',
    directory: BERT_BASE,
    cls: 101,
    sep: 102,
    adds: true,
    vocabSize: 30522,
    characters: 'cdbdce428639a11b0b2b458ae282fe0ce492477e8875951d90ad70885022536f',
  },
] as const;

describe('tokenizer', () => {
  const temporary = useTemporaryDirectory();

  /** The files of bert-base-uncased, with changes, in a directory of their own. */
  async function variant(changes: Record<string, unknown>, config: Record<string, unknown> = {}): Promise<Tokenizer> {
    const json = JSON.parse(await readFile(`${BERT_BASE}/tokenizer.json`, 'utf8')) as Record<string, unknown>;
    await writeFile(temporary.path('tokenizer.json'), JSON.stringify({ ...json, ...changes }));
    await writeFile(temporary.path('tokenizer_config.json'), JSON.stringify(config));
    return Tokenizer.load(temporary.path());
  }

  for (const { name, directory, cls, sep, adds, vocabSize, characters } of VOCABULARIES) {
    describe(name, () => {
      const { cases, pairs } = JSON.parse(readFileSync(fixture(`tokenizer-${name}.json`), 'utf8')) as TokenizerFixture;
      let tokenizer: Tokenizer;

      before(async () => {
        tokenizer = await Tokenizer.load(directory);
      });

      it('knows its vocabulary', () => {
        expect(tokenizer.directory).to.equal(directory);
        expect(tokenizer.vocabSize).to.equal(vocabSize);
        expect(tokenizer.padTokenId).to.equal(0);
        expect(tokenizer.modelMaxLength).to.equal(name === 'bert-mini' ? 512 : Number.POSITIVE_INFINITY);
        expect(tokenizer.specialTokens).to.equal(adds ? 2 : 0);
      });

      it('gives the ids of the tokenizers library, whole and truncated', async () => {
        for (const [limit, key] of [
          [100_000, 'ids'],
          [512, 'ids512'],
          [16, 'ids16'],
        ] as const) {
          const expected = cases.map((example) => (example[key].length === 0 ? [cls, sep] : example[key]));
          cases.forEach(({ text }, i) => {
            expect(tokenizer.encode(text, limit), `${key} of ${JSON.stringify(text)}`).to.deep.equal(expected[i]);
          });
          const texts = cases.map(({ text }) => text);
          const { ids, offsets, typeIds, truncated } = await tokenizer.encodeTexts(texts, limit);
          expect([...ids]).to.deep.equal(expected.flat());
          expect(offsets[0]).to.equal(0);
          expected.forEach((each, i) => {
            expect(offsets[i + 1]! - offsets[i]!).to.equal(each.length);
          });
          expect(typeIds).to.equal(undefined);
          expect(truncated).to.equal(cases.filter((example) => example.ids.length > limit).length);
        }
      });

      it('gives ids and segments of pairs as the tokenizers library does, whole and cut longest first', async () => {
        const texts = pairs.map(({ text }) => text);
        const seconds = pairs.map(({ pair }) => pair);
        for (const suffix of ['', 512, 16, 15, 8] as const) {
          const limit = PAIR_LENGTHS[suffix];
          const encoded = await tokenizer.encodeTexts(texts, limit, { pairs: seconds });
          const types = encoded.typeIds ?? new Int32Array(encoded.ids.length);
          pairs.forEach((pair, i) => {
            const [start, end] = [encoded.offsets[i]!, encoded.offsets[i + 1]!];
            const [ids, typeIds] = [pair[`ids${suffix}`], pair[`type_ids${suffix}`]];
            const what = `${limit} tokens of ${JSON.stringify([pair.text, pair.pair]).slice(0, 100)}`;
            expect([...encoded.ids.subarray(start, end)], what).to.deep.equal(ids.length === 0 ? [cls, sep] : ids);
            expect([...types.subarray(start, end)], what).to.deep.equal(ids.length === 0 ? [0, 0] : typeIds);
          });
          const cut = pairs.filter((pair) => pair.ids.length > limit).length;
          expect(encoded.truncated).to.equal(cut);
        }
        expect(tokenizer.specialPairTokens).to.equal(adds ? 3 : 0);
        const least = adds ? 3 : 1;
        await expectRefusal(
          tokenizer.encodeTexts(['a'], least - 1, { pairs: ['b'] }),
          'INVALID_OPTION',
          `an integer of at least ${least}`,
        );
      });

      it('sees every character as the tokenizers library does', () => {
        const hash = createHash('sha256');
        for (let character = 0; character < 0x30000; character++) {
          if (character >= 0xd800 && character <= 0xdfff) continue;
          const ids = tokenizer.encode(`a${String.fromCodePoint(character)}b`, 512);
          hash.update(`${(adds ? ids.slice(1, -1) : ids).join(' ')}\n`);
        }
        expect(hash.digest('hex')).to.equal(characters);
      });

      it('makes [CLS] [SEP] of a text without tokens', async () => {
        for (const text of ['', ' ', '\u200b\u0000']) expect(tokenizer.encode(text, 512)).to.deep.equal([cls, sep]);
        const { ids, offsets, truncated } = await tokenizer.encodeTexts(['', 'a', ''], 512);
        expect([...ids.subarray(0, 2), ...ids.subarray(-2)]).to.deep.equal([cls, sep, cls, sep]);
        expect([...offsets]).to.deep.equal(adds ? [0, 2, 5, 7] : [0, 2, 3, 5]);
        expect(truncated).to.equal(0);
      });

      it('packs no texts at all', async () => {
        const { ids, offsets, truncated } = await tokenizer.encodeTexts([], 512);
        expect([ids.length, [...offsets], truncated]).to.deep.equal([0, [0], 0]);
      });

      it('agrees with the npm package on ASCII, however long', () => {
        const json = JSON.parse(readFileSync(`${directory}/tokenizer.json`, 'utf8')) as object;
        const reference = new PackageTokenizer(json, {});
        const piece = fc.oneof(
          fc.constantFrom(' ', 'feel', 'ing ', 'unbelievable', '[SEP]', '[sep', '\n', '\t\t', "n't", 'x'.repeat(99)),
          fc.string({ maxLength: 12 }),
        );
        const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
        const long = fc.tuple(text, fc.integer({ min: 1, max: 9000 })).map(([some, length]) => {
          return (some === '' ? 'a' : some).repeat(length).slice(0, length);
        });
        fc.assert(
          fc.property(fc.oneof(text, long), (input) => {
            expect(tokenizer.encode(input, 100_000)).to.deep.equal(
              reference.encode(input).ids.length === 0 ? [cls, sep] : reference.encode(input).ids,
            );
          }),
          { numRuns: 150, seed: 1 },
        );
      });
    });
  }

  describe('truncation', () => {
    it('keeps [SEP] at any length, from two on', async () => {
      const tokenizer = await Tokenizer.load(BERT_BASE);
      const whole = tokenizer.encode('a text of nine words that is cut short', 100);
      expect(whole).to.have.length(11);
      for (let limit = 2; limit <= 12; limit++) {
        const expected = limit < 11 ? [...whole.slice(0, limit - 1), 102] : whole;
        expect(tokenizer.encode('a text of nine words that is cut short', limit)).to.deep.equal(expected);
        const packed = await tokenizer.encodeTexts(['a text of nine words that is cut short'], limit);
        expect([...packed.ids]).to.deep.equal(expected);
        expect(packed.truncated).to.equal(limit < 11 ? 1 : 0);
      }
    });

    it('refuses lengths without room for the special tokens', async () => {
      const tokenizer = await Tokenizer.load(BERT_BASE);
      for (const length of [1, 0, -1, 2.5, Number.NaN, Infinity]) {
        await expectRefusal(() => tokenizer.encode('a', length), 'INVALID_OPTION', 'an integer of at least 2');
        await expectRefusal(tokenizer.encodeTexts(['a'], length), 'INVALID_OPTION', 'maxLength');
      }
    });
  });

  describe('long texts', () => {
    let tokenizer: Tokenizer;

    before(async () => {
      tokenizer = await Tokenizer.load(BERT_BASE);
    });

    it('are read no further than their tokens go', () => {
      for (const [text, expected] of [
        ['happy ', 3407],
        ['我', 1855],
      ] as const) {
        const long = text.repeat(2_000_000);
        const before = process.cpuUsage();
        expect(tokenizer.encode(long, 512)).to.deep.equal([101, ...new Array<number>(510).fill(expected), 102]);
        expect(process.cpuUsage(before).user / 1000, 'ms of work').to.be.below(1000);
      }
    });

    it('are one unknown token where they are one word, and nothing where they are invisible', () => {
      for (const text of ['x', 'é', 'e\u0301', '\u{1f600}', 'a\u200b', '가']) {
        expect(tokenizer.encode(text.repeat(100_000), 512), text).to.deep.equal([101, 100, 102]);
      }
      for (const text of [' ', '\u200d', '\u0301', '\0']) {
        expect(tokenizer.encode(text.repeat(100_000), 512)).to.deep.equal([101, 102]);
      }
    });

    it('give the same ids wherever a window ends', () => {
      const words = 'a naïve café, e\u0301te\u0301 我\u{20000}b [MASK] \u{1f600}!';
      const alone = tokenizer.encode(words, 512).slice(1, -1);
      for (let shift = 4060; shift < 4100; shift++) {
        const ids = tokenizer.encode(`${' '.repeat(shift)}${words}${' '.repeat(5000)}`, 512);
        expect(ids.slice(1, -1), `${shift}`).to.deep.equal(alone);
      }
    });

    it('do not hold the event loop, and can be stopped', async () => {
      const texts = Array.from({ length: 200 }, () => 'x\u0301'.repeat(50_000));
      const controller = new AbortController();
      const encoding = tokenizer.encodeTexts(texts, 512, { signal: controller.signal });
      await setTimeout(10);
      controller.abort('enough');
      const error = await expectRefusal(encoding, 'ABORTED');
      expect(error.cause).to.equal('enough');
      await expectRefusal(tokenizer.encodeTexts(['a'], 512, { signal: controller.signal }), 'ABORTED');
    });
  });

  it('refuses texts that are no strings', async () => {
    const tokenizer = await Tokenizer.load(BERT_MINI);
    await expectRefusal(() => tokenizer.encode(5 as unknown as string, 512), 'INVALID_OPTION', 'a string for text');
    const texts = ['a', null] as unknown as string[];
    await expectRefusal(tokenizer.encodeTexts(texts, 512), 'INVALID_OPTION', 'Expected a string for texts[1]');
  });

  describe('settings', () => {
    it('of tokenizer_config.json overrule those of tokenizer.json, as in transformers', async () => {
      const bert = { tokenizer_class: 'BertTokenizer' };
      const pad_token = { __type: 'AddedToken', content: '[MASK]', special: true };
      const lower = await variant({}, { ...bert, model_max_length: 128, pad_token });
      expect([lower.modelMaxLength, lower.padTokenId]).to.deep.equal([128, 103]);
      expect(lower.encode('Hello Café', 9)).to.deep.equal([101, 7592, 7668, 102]);
      const other = { model_max_length: 1e30, pad_token: '<other>' };
      const cased = await variant({}, { ...bert, ...other, do_lower_case: false });
      expect([cased.modelMaxLength, cased.padTokenId]).to.deep.equal([Number.POSITIVE_INFINITY, 30522]);
      expect(cased.encode('Hello café', 9)).to.deep.equal([101, 100, 100, 102]);
      const stripped = await variant({}, { ...bert, do_lower_case: false, strip_accents: true });
      expect(stripped.encode('Hello café', 9)).to.deep.equal([101, 100, 7668, 102]);
      const together = await variant({}, { ...bert, tokenize_chinese_chars: false });
      expect(together.encode('我我', 9)).to.deep.equal([101, 1855, 30381, 102]);
      const plain = await variant({}, { tokenizer_class: 'PreTrainedTokenizerFast', do_lower_case: false });
      expect([plain.encode('Hello', 9), plain.padTokenId]).to.deep.equal([[101, 7592, 102], -1]);
    });

    it('give segments where the post-processor does', async () => {
      const special = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
      const single = [special('[CLS]', 2), { Sequence: { id: 'A', type_id: 1 } }, special('[SEP]', 3)];
      const post_processor = {
        type: 'TemplateProcessing',
        single,
        pair: [...single, { Sequence: { id: 'B', type_id: 1 } }],
        special_tokens: {
          '[CLS]': { id: '[CLS]', ids: [101], tokens: ['[CLS]'] },
          '[SEP]': { id: '[SEP]', ids: [102], tokens: ['[SEP]'] },
        },
      };
      const tokenizer = await variant({ post_processor }, { model_input_names: ['input_ids', 'token_type_ids'] });
      const { ids, typeIds } = await tokenizer.encodeTexts(['hello', '', 'so so so'], 4);
      expect([...ids]).to.deep.equal([101, 7592, 102, 101, 102, 101, 2061, 2061, 102]);
      expect([...typeIds!]).to.deep.equal([2, 1, 3, 2, 3, 2, 1, 1, 3]);
      const unaware = await variant({ post_processor });
      expect((await unaware.encodeTexts(['hello'], 4)).typeIds).to.equal(undefined);
    });

    it('find added tokens in the raw text, the longest first', async () => {
      const token = (id: number, content: string) => ({ id, content, normalized: false, special: true });
      const added = [token(0, '[PAD]'), token(100, '[UNK]'), token(30522, '[E]'), token(30523, '[E][E]x')];
      const tokenizer = await variant({ added_tokens: [token(101, '[CLS]'), token(102, '[SEP]'), ...added] });
      expect(tokenizer.vocabSize).to.equal(30524);
      expect(tokenizer.encode('so[E]so [E][E]x', 9)).to.deep.equal([101, 2061, 30522, 2061, 30523, 102]);
    });
  });

  describe('files', () => {
    it('of older checkpoints are vocab.txt alone', async () => {
      await copyFile(`${BERT_BASE}/vocab.txt`, temporary.path('vocab.txt'));
      const [old, current] = [await Tokenizer.load(temporary.path()), await Tokenizer.load(BERT_BASE)];
      expect(old.vocabSize).to.equal(30522);
      for (const text of ['', 'i feel Naïve, [MASK] [SEP]!', '我', 'x'.repeat(101)]) {
        expect(old.encode(text, 16)).to.deep.equal(current.encode(text, 16));
      }
    });

    it('of other kinds are read as well', async () => {
      const tokenizer = await variant({ normalizer: { type: 'Lowercase' }, pre_tokenizer: { type: 'Whitespace' } });
      expect(tokenizer.encode('Hello feeling 我', 4)).to.deep.equal([101, 7592, 3110, 102]);
      expect((await tokenizer.encodeTexts(['Hello feeling so', 'so'], 4)).truncated).to.equal(1);
    });

    it('are refused where they are missing or broken', async () => {
      await expectRefusal(Tokenizer.load(temporary.path('none')), 'NOT_FOUND', 'tokenizer.json or vocab.txt', 'none');
      await expectRefusal(Tokenizer.load(''), 'INVALID_OPTION', 'directory');
      for (const [content, pattern] of [
        ['{"model"', 'Expected JSON'],
        ['[]', 'a JSON object'],
        ['{}', 'a vocabulary'],
        ['{"model": {"type": "WordPiece", "vocab": {"a": -1}}}', 'a token id for "a"'],
        [
          '{"model": {"type": "WordPiece", "vocab": {}}, "added_tokens": [{"content": "x"}]}',
          'a token id for id of added_tokens[0]',
        ],
        ['{"model": {"vocab": {}}, "normalizer": {"type": "Mystery"}}', 'Cannot use the tokenizer'],
      ] as const) {
        await writeFile(temporary.path('tokenizer.json'), content);
        await expectRefusal(Tokenizer.load(temporary.path()), 'CHECKPOINT_INVALID', pattern);
      }
      const bare = '{"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": 0}}}';
      await writeFile(temporary.path('tokenizer.json'), bare);
      const tokenizer = await Tokenizer.load(temporary.path());
      await expectRefusal(() => tokenizer.encode('', 8), 'INVALID_DATA');
      await writeFile(temporary.path('tokenizer_config.json'), '"no object"');
      await expectRefusal(Tokenizer.load(temporary.path()), 'CHECKPOINT_INVALID', 'tokenizer_config.json');
    });

    it('of a vocabulary without [CLS] add it, and without [UNK] are refused', async () => {
      await writeFile(temporary.path('vocab.txt'), '[PAD]\n[UNK]\n[SEP]\n[MASK]\na\n');
      const tokenizer = await Tokenizer.load(temporary.path());
      expect([tokenizer.encode('a', 9), tokenizer.vocabSize]).to.deep.equal([[5, 4, 2], 6]);
      await writeFile(temporary.path('vocab.txt'), '[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n');
      await expectRefusal(Tokenizer.load(temporary.path()), 'CHECKPOINT_INVALID', 'unknown token "[UNK]"');
    });
  });
});
