import { expect } from 'chai';
import stringWidth from 'string-width';
import { markdownTable, textTable } from '../../lib/report/table.js';

const columns = [{ title: 'method' }, { title: 'parameters', align: 'right' as const }];

describe('tables', () => {
  it('aligns columns under a rule, without spaces at the ends of lines', () => {
    const rows = [
      ['full', '109,486,854'],
      ['LoRA r=4', '152,070'],
    ];
    expect(textTable({ columns, rows })).to.equal(
      ['method     parameters', '────────  ───────────', 'full      109,486,854', 'LoRA r=4      152,070', ''].join(
        '\n',
      ),
    );
    expect(textTable({ columns: [...columns].reverse(), rows: [['1', 'a']] })).to.equal(
      ['parameters  method', '──────────  ──────', '         1  a', ''].join('\n'),
    );
  });

  it('counts columns as a terminal does', () => {
    const rows = [
      ['喜び', '1'],
      ['joy', '22'],
      ['e\u0301motion', '333'],
      ['👩‍👩‍👧', '4444'],
    ];
    const lines = textTable({ columns, rows }).trimEnd().split('\n');
    expect(new Set(lines.map((line) => stringWidth(line)))).to.have.lengthOf(1);
  });

  it('widens to numbers wider than their title, and stays a table without rows', () => {
    const wide = '1'.repeat(40);
    const lines = textTable({ columns, rows: [['x', wide]] }).split('\n');
    expect(lines[0]).to.have.lengthOf('method'.length + 2 + 40);
    expect(lines[2]).to.equal(`x       ${wide}`);
    expect(textTable({ columns, rows: [] }).split('\n')).to.have.lengthOf(3);
  });

  it('never lets a cell reach the terminal as a command or a line', () => {
    const text = textTable({ columns, rows: [['\x1b[2Jjoy\n', '1']] });
    expect(text).to.contain('\\x1b[2Jjoy\\n').and.not.contain('\x1b');
    expect(text.split('\n')).to.have.lengthOf(4);
  });

  it('writes Markdown in which text stays text', () => {
    const rows = [['a|b *c* <img src=x> `d`\n', '1']];
    expect(markdownTable({ columns, rows })).to.equal(
      ['| method | parameters |', '| --- | ---: |', '| a\\|b \\*c\\* &lt;img src=x> \\`d\\`\\\\n | 1 |', ''].join('\n'),
    );
  });
});
