import { expect } from 'chai';
import { findAll } from '../../lib/tokenizer/pattern/matcher.js';
import { PatternError } from '../../lib/tokenizer/pattern/parse.js';
import { compile } from '../../lib/tokenizer/pattern/program.js';

/** What a pattern matches in a text. */
function matches(pattern: string, text: string): string[] {
  return [...findAll(compile(pattern), text)].flatMap((match) => (match === undefined ? [] : [text.slice(...match)]));
}

/** How often the search lets other work run, each 4,096 steps: what it costs. */
function pauses(pattern: string, text: string): number {
  return [...findAll(compile(pattern), text)].filter((match) => match === undefined).length;
}

describe('patterns of tokenizers', () => {
  // All of these were made with Oniguruma, by Split of Hugging Face's library.
  const EXPECTED: [pattern: string, text: string, matches: string[]][] = [
    ['a|ab', 'abab', ['a', 'a']],
    ['(?:ab|a)b?', 'abbab', ['abb', 'ab']],
    ['a*?b|a', 'aaabaa', ['aaab', 'a', 'a']],
    ['\\s+(?!\\S)|\\s+', 'a   b  ', ['  ', ' ', '  ']],
    ['(?<=[a-z])(?=[A-Z])', 'camelCaseTag', ['', '']],
    ['(?<!\\d)\\d{2,3}(?!\\d)', '1 22 333 4444', ['22', '333']],
    ['^\\w|\\w$', 'ab\ncd', ['a', 'b', 'c', 'd']],
    ['\\Aa|b\\z|\\bc', 'a b c\nb', ['a', 'c', 'b']],
    ["(?i:'S|k)", "'s 'ſ K \u212a", ["'s", "'ſ", 'K', '\u212a']],
    ['[[:punct:]&&[^.]]+', 'a,.;$', [',', ';$']],
    ['[\\p{L}&&[^\\p{Lu}]]|\\p{^L}', 'aB1', ['a', '1']],
    ['[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+', ' hello.you', [' hello', '.you']],
    ['[一-龥]|\\x{20000}|\\u00e9', 'a我𠀀é', ['我', '𠀀', 'é']],
    ['\\w', '²½a', ['²', '½', 'a']],
    ['[\\w]', '²½a', ['a']],
    ['\\p{Word}', '²½a', ['²', '½', 'a']],
    ['\\P{Word}', '²-', ['-']],
    ['[\\p{Word}]', '²½a', ['a']],
    ['\\p{Punct}', 'a$.+', ['.']],
    ['[\\p{Punct}]', 'a$.+', ['.']],
    ['(?m:.)|.', 'a\n', ['a', '\n']],
    ['(?x) a b # c\n | c', 'ab c', ['ab', 'c']],
    ['b*', 'abb', ['', 'bb']],
    // What led to a match is not what led to nothing: the next search starts there.
    ['(?:(?!\\S)\\p{L}?|\\P{L}?)(?:\\w(?![a-c]{2})|é)*', 'ab K', ['ab', 'K']],
    ['(\\w*?)(?![a-c]{2})(?:é|[^a])*', 'ab\r\n1a1', ['ab\r\n1', '1']],
  ];

  for (const [pattern, text, expected] of EXPECTED) {
    it(`match as Oniguruma does: ${JSON.stringify(pattern)}`, () => {
      expect(matches(pattern, text)).to.deep.equal(expected);
    });
  }

  it('take time in proportion to the text, whatever they are', () => {
    const length = 200_000;
    for (const pattern of ['(a+)+$', '(a|a)*b', '(?:a+)+b|a', '\\s+$', 'a*a*a*a*a*b', '(?:a|aa)+?c', 'a+b|a']) {
      for (const text of ['a'.repeat(length), `${'a'.repeat(length)}!`, `${' '.repeat(length)}x`]) {
        expect(pauses(pattern, text), pattern).to.be.below(length / 40);
      }
    }
  });

  it('are refused by what they have where that is not known', () => {
    for (const [pattern, reason] of [
      ['(a)\\1', 'has \\1'],
      ['(?<x>a)\\k<x>', 'has \\k'],
      ['(?>a+)b', 'has (?>'],
      ['(?:ab)++', 'repeats a group possessively'],
      ['(?:a*)*', 'repeats what may be empty'],
      ['(?=a+)b', 'looks at a text of any length'],
      ['(?i:straße)', 'ignores the case'],
      ['(?i:fff)', 'ligature'],
      ['\\p{Nonsense}', 'which is not supported'],
      ['\\R', 'has \\R'],
      ['(a', 'has a ( without its )'],
      ['a)', 'has a ) without its ('],
      ['[a', 'has a [ without its ]'],
      ['*a', 'repeats nothing'],
      ['a(?#c){2}', 'quantifier after a comment'],
      ['(?x) \\d + ', 'quantifier after a comment, a flag or a space'],
      ['(?x)a\u00a0b', 'space beyond ASCII'],
      ['\\p{Unknown}', 'which is not supported'],
      ['a{2000}', 'repeats more than 1000 times'],
      ['(?:(?:a{999}){999}){999}', 'too large'],
      ['('.repeat(200) + ')'.repeat(200), 'nests groups'],
      ['a'.repeat(20_000), 'is longer than'],
    ] as const) {
      expect(() => compile(pattern), pattern.slice(0, 40)).to.throw(PatternError, reason);
    }
  });
});
