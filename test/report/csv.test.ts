import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { csv, csvLine } from '../../lib/report/csv.js';

describe('csv', () => {
  it('writes a line a row and leaves out what is not there', () => {
    expect(
      csv(
        ['a', 'b', 'c'],
        [
          [1, 'x', undefined],
          [-0.5, null, true],
        ],
      ),
    ).to.equal('a,b,c\n1,x,\n-0.5,,true\n');
  });

  it('quotes delimiters, quotes, line ends and outer spaces', () => {
    expect(csv(['a'], [['x,y'], ['say "hi"'], ['two\nlines'], [' x ']])).to.equal(
      'a\n"x,y"\n"say ""hi"""\n"two\nlines"\n" x "\n',
    );
  });

  it('keeps spreadsheets from running text as a formula, and numbers as they are', () => {
    expect(csv(['a'], [['=1+1'], ['@x'], ['+1+1'], ['-x'], [-1], ['\t=1']])).to.equal(
      "a\n'=1+1\n'@x\n'+1+1\n'-x\n-1\n\"'\t=1\"\n",
    );
  });

  it('writes one line, with tabs as well', () => {
    expect(csvLine(['a b', 'c\td', 1], '\t')).to.equal('a b\t"c\td"\t1\n');
    expect(csvLine(['+49 30 1234', '=x', '=y'], ',', 2)).to.equal("+49 30 1234,=x,'=y\n");
  });

  it('is read back by a parser as it was written', () => {
    const safe = fc.string({ unit: 'grapheme' }).filter((text) => !/^[=+\-@\t\r\n＝＋－＠]/.test(text));
    fc.assert(
      fc.property(fc.array(fc.tuple(safe, safe), { minLength: 1 }), (rows) => {
        expect(parse(csv(['a', 'b'], rows))).to.deep.equal([['a', 'b'], ...rows]);
      }),
    );
  });
});
