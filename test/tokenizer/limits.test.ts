import { expect } from 'chai';
import type { Component, TokenizerDefinition } from '../../lib/tokenizer/definition.js';
import { Encoder } from '../../lib/tokenizer/encoder.js';
import { readTemplate } from '../../lib/tokenizer/template.js';
import { DEFINITIONS } from './differences.js';

const WORDS = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: { '<unk>': 0, a: 1, b: 2 }, unk_token: '<unk>' },
} satisfies TokenizerDefinition;

function encoder(changes: Record<string, unknown>): Encoder {
  return new Encoder({ ...WORDS, ...changes } as TokenizerDefinition, false);
}

/** The ids of a text, and how often other work could run meanwhile. */
function encode(tokenizer: Encoder, text: string): { ids: number[]; steps: number } {
  const ids: number[] = [];
  let steps = 0;
  for (const part of tokenizer.encode(text)) {
    steps++;
    if (typeof part === 'number') ids.push(part);
    else if (part !== undefined) for (const id of 'unfinished' in part ? part.unfinished : part) ids.push(id);
  }
  return { ids, steps };
}

const split = (pattern: string): Component => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const STRIP: Component = { type: 'Strip', strip_left: true, strip_right: true };
const doubling: Component = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' };
const added = (content: string, flags = {}) => ({ id: 3, content, normalized: false, special: true, ...flags });

describe('limits of tokenizers', () => {
  it('are kept to by patterns that backtrack', () => {
    const tokenizer = encoder({ pre_tokenizer: split('(a+)+$') });
    expect(encode(tokenizer, `${'a'.repeat(40)}!`).ids).to.deep.equal([0]);
    expect(encode(tokenizer, 'aa a').ids).to.deep.equal([0, 1]);
    expect(encode(tokenizer, `${'a'.repeat(300_000)}!`).ids).to.deep.equal([0]);
  });

  it('bound what a text may grow to', () => {
    const normalizers = Array.from({ length: 40 }, () => doubling);
    const tokenizer = encoder({ normalizer: { type: 'Sequence', normalizers } });
    expect(encode(tokenizer, 'b').ids).to.deep.equal([2]);
    expect(() => encode(tokenizer, 'a')).to.throw('normalizer Replace: makes a text longer than');
    const prepends = Array.from({ length: 20 }, () => ({ type: 'Prepend', prepend: 'a'.repeat(10_000) }));
    expect(() => encode(encoder({ normalizer: { type: 'Sequence', normalizers: prepends } }), 'a')).to.throw('Prepend');
    const levels = Array.from({ length: 30 }, () => ({ type: 'ByteLevel', add_prefix_space: false, use_regex: false }));
    expect(() => encode(encoder({ pre_tokenizer: { type: 'Sequence', pretokenizers: levels } }), 'é')).to.throw(
      'ByteLevel',
    );
  });

  it('leave a text that is empty, or becomes so, to be empty', () => {
    const normalizers = [STRIP, { type: 'Replace', pattern: { Regex: '^' }, content: 'b' }];
    const tokenizer = encoder({ normalizer: { type: 'Sequence', normalizers } });
    for (const text of ['', '  ']) expect(encode(tokenizer, text).ids).to.deep.equal([]);
    expect(encode(tokenizer, 'b').ids).to.deep.equal([0]);
  });

  it('are known for every part, which is named', () => {
    let nested: Component = { type: 'NFC' };
    for (let i = 0; i < 1000; i++) nested = { type: 'Sequence', normalizers: [nested] };
    const bpe = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] };
    const cases: [changes: Record<string, unknown>, message: string][] = [
      [{ normalizer: { type: 'Mystery' } }, 'normalizer Mystery: is not supported'],
      [{ normalizer: nested }, 'normalizer Sequence: nest at most 8'],
      [
        { normalizer: { type: 'Sequence', normalizers: new Array(100).fill({ type: 'NFC' }) } },
        'normalizer: use at most 64',
      ],
      [{ normalizer: { type: 'Replace', pattern: 'a', content: '' } }, 'normalizer Replace: pattern must be {"String"'],
      [
        { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } },
        'normalizer Precompiled: precompiled_charsmap is broken',
      ],
      [{ pre_tokenizer: { type: 'Mystery' } }, 'pre_tokenizer Mystery: is not supported'],
      [
        { pre_tokenizer: split('(a)\\1') },
        'pre_tokenizer Split: the pattern "(a)\\\\1" has \\1, which is not supported here',
      ],
      [
        { pre_tokenizer: { type: 'Digits' } },
        'pre_tokenizer Digits: individual_digits is missing; set it to true or false',
      ],
      [
        { pre_tokenizer: { type: 'Metaspace', replacement: '__' } },
        'Metaspace: replacement is "__"; set it to one character',
      ],
      [{ pre_tokenizer: { type: 'FixedLength', length: 0 } }, 'FixedLength: length must be a positive integer'],
      [{ model: { type: 'Mystery', vocab: {} } }, 'model Mystery: is not supported'],
      [{ model: { ...bpe, dropout: 0.1 } }, 'model BPE: dropout'],
      [{ model: { ...bpe, merges: ['a b'] } }, 'model BPE: the vocabulary lacks "ab"'],
      [{ model: { ...bpe, merges: [['a']] } }, 'model BPE: merge 1 must be a pair'],
      [{ model: { type: 'Unigram', vocab: [['a', 0]], unk_id: 1 } }, 'model Unigram: unk_id'],
      [{ added_tokens: [added('x'.repeat(33_000))] }, 'has 33000 characters; use at most 1000'],
      [
        {
          normalizer: { type: 'Lowercase' },
          added_tokens: [added('Foo', { normalized: true }), added('foo', { normalized: true })],
        },
        'added token "foo": is the same as "Foo" once it is normalized',
      ],
      [
        { normalizer: STRIP, added_tokens: [added('\n', { normalized: true })] },
        'is empty once it is normalized; declare it with "normalized": false',
      ],
    ];
    for (const [changes, message] of cases) expect(() => encoder(changes), message).to.throw(message);
    const processors = ['BertProcessing', 'RobertaProcessing'].map((type) => ({ type, cls: ['a', 1], sep: ['b', 2] }));
    expect(() => readTemplate({ type: 'Sequence', processors }, 1, true)).to.throw(
      'use one of BertProcessing and Roberta',
    );
    expect(() => readTemplate({ type: 'Mystery' }, 1, true)).to.throw('post_processor Mystery: is not supported');
  });

  it('of a vocabulary show when a text needs what it lacks', () => {
    const { unk_token: _, ...model } = WORDS.model;
    const tokenizer = encoder({ model: { ...model, unk_token: '<none>' } });
    expect(encode(tokenizer, 'a b').ids).to.deep.equal([1, 2]);
    expect(() => encode(tokenizer, 'a c')).to.throw('model WordLevel: the text has a word without a token');
    const pieces = encoder({ model: { type: 'Unigram', vocab: [['a', -1]] } });
    expect(encode(pieces, 'a').ids).to.deep.equal([0]);
    expect(() => encode(pieces, 'b')).to.throw('there is no unk_id');
  });

  it('of time between two pauses do not depend on the text', () => {
    const length = 60_000;
    const texts = ['a', ' ', '!', '我', 'e\u0301', 'a b ', '\n', '1'].map((unit) => unit.repeat(length / unit.length));
    const names = ['bert', 'roberta', 'gpt-2', 'llama', 'xlm-roberta', 'unigram, not split', 'bpe, fused unknowns'];
    for (const name of [...names, 'words, Split by a pattern', 'words, Punctuation removed']) {
      const tokenizer = new Encoder(DEFINITIONS[name] as TokenizerDefinition, false);
      for (const text of texts) {
        const { steps } = encode(tokenizer, text);
        expect(steps, `${name}, ${JSON.stringify(text.slice(0, 3))}`).to.be.at.least(length / 4096 - 2);
      }
    }
  });

  it('stop a long text after the tokens that are asked for', () => {
    for (const name of ['bert', 'roberta', 'llama 3', 'words, Whitespace', 'bert, added tokens of all kinds']) {
      const tokenizer = new Encoder(DEFINITIONS[name] as TokenizerDefinition, false);
      const ids: number[] = [];
      let steps = 0;
      for (const part of tokenizer.encode('feel happy. '.repeat(100_000))) {
        steps++;
        if (part !== undefined) ids.push(0);
        if (ids.length >= 100) break;
      }
      expect(steps, name).to.be.below(1000);
    }
  });
});
