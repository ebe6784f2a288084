import { expect } from 'chai';
import { printable } from '../../lib/printable.js';

describe('printable', () => {
  it('leaves text of any script alone', () => {
    for (const text of ['joy', 'Größe', '喜び', '👩‍👩‍👧 ok', 'a\u0301', '']) expect(printable(text)).to.equal(text);
  });

  it('shows what a terminal would obey', () => {
    expect(printable('\x1b[31mred\x1b[0m')).to.equal('\\x1b[31mred\\x1b[0m');
    expect(printable('a\nb\r\tc')).to.equal('a\\nb\\r\\tc');
    expect(printable('\x00\x07\x7f\x9b2J')).to.equal('\\x00\\x07\\x7f\\x9b2J');
  });

  it('shows marks that turn the direction of writing, and halves of surrogate pairs', () => {
    expect(printable('a\u202eb\u2066c\u2028')).to.equal('a\\u202eb\\u2066c\\u2028');
    expect(printable('\ud83d')).to.equal('\\ud83d');
    expect(printable('x\ude00y')).to.equal('x\\ude00y');
  });
});
