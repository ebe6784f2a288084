import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { tokenizerFiles } from '../../lib/checkpoint/tokenizer-files.js';
import { writeFilesAtomic } from '../../lib/files/output.js';
import { type AddedToken, readDefinition } from '../../lib/tokenizer/definition.js';
import { Tokenizer } from '../../lib/tokenizer.js';
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
});
