import { expect } from 'chai';
import stringWidth from 'string-width';
import { markdownTable, tableWidth, textTable } from '../../lib/report/table.js';

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

  it('breaks the widest cells at spaces where it is wider than the terminal, and no word', () => {
    const reason = 'no: this build has no CUDA backend, and there is no driver for the device either';
    const table = { columns: [{ title: 'device' }, { title: 'available' }], rows: [['cuda', reason]] };
    expect(tableWidth(table)).to.equal(reason.length + 8);
    const lines = textTable(table, 40).trimEnd().split('\n');
    expect(Math.max(...lines.map((line) => line.length))).to.be.at.most(40);
    expect(
      lines
        .slice(2)
        .map((line) => line.slice(8))
        .join(' '),
    ).to.equal(reason);
    expect(lines[3]).to.match(/^ {8}\S/);
    expect(textTable(table, 200).split('\n')).to.have.lengthOf(4);
    const path = '/'.padEnd(60, 'x');
    expect(textTable({ ...table, rows: [['cuda', path]] }, 40)).to.contain(path);
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
