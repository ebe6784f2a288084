import { expect } from 'chai';
import { areNumbers, genericLabels, matchLabels } from '../../lib/tasks/labels.js';
import { randomNumbers } from './tiny-model.js';

describe('labels', () => {
  const rowsOf = (names: string[], classes: string[]) => matchLabels(names, classes).rows;

  it('are matched by name, whatever the order', () => {
    expect(matchLabels(['b', 'a'], ['a', 'b', 'c'])).to.deep.equal({ rows: [1, 0], notes: [] });
    expect(matchLabels(['x'], ['a', 'b'])).to.deep.equal({ rows: [undefined], notes: [] });
  });

  it('are forgiven case and outer spaces, with a note', () => {
    const { rows, notes } = matchLabels(['positive', ' Negative'], ['NEGATIVE', 'POSITIVE']);
    expect(rows).to.deep.equal([1, 0]);
    expect(notes).to.deep.equal([
      'Labels are matched whatever their case and outer spaces: "positive" is "POSITIVE", " Negative" is "NEGATIVE".',
    ]);
  });

  it('are forgiven nothing where there is a doubt', () => {
    expect(rowsOf(['POS'], ['pos', 'Pos'])).to.deep.equal([undefined]);
    expect(rowsOf(['pos', 'POS'], ['pos', 'neg'])).to.deep.equal([0, undefined]);
    expect(rowsOf(['Pos', 'POS'], ['pos', 'neg'])).to.deep.equal([undefined, undefined]);
    expect(rowsOf(['pos', 'Pos'], ['Pos', 'pos'])).to.deep.equal([1, 0]);
    expect(matchLabels(['Pos', 'POS'], ['pos', 'neg'], { oneToOne: false }).rows).to.deep.equal([0, 0]);
  });

  it('that are integers match classes without names, and no others', () => {
    expect(rowsOf(['1', '0'], ['LABEL_0', 'LABEL_1'])).to.deep.equal([1, 0]);
    expect(rowsOf(['0', '1'], ['LABEL_1', 'LABEL_0'])).to.deep.equal([1, 0]);
    expect(rowsOf(['0', '2'], ['LABEL_0', 'LABEL_1'])).to.deep.equal([0, undefined]);
    expect(matchLabels(['0'], ['LABEL_0']).notes.join()).to.contain('"0" is "LABEL_0"');
    expect(rowsOf(['0', '1'], ['negative', 'positive'])).to.deep.equal([undefined, undefined]);
    expect(rowsOf(['0', 'x'], ['LABEL_0', 'LABEL_1'])).to.deep.equal([undefined, undefined]);
    expect(rowsOf(['00', '1'], ['LABEL_0', 'LABEL_1'])).to.deep.equal([undefined, undefined]);
    expect(rowsOf(['1', '2'], ['2', '1'])).to.deep.equal([1, 0]);
  });

  it('only number the classes, or name them', () => {
    expect(areNumbers(genericLabels(3))).to.equal(true);
    expect(areNumbers(['0', '1'])).to.equal(true);
    for (const names of [['1', '2'], ['LABEL_1', 'LABEL_0'], ['LABEL_0', 'a'], ['0', 'LABEL_1'], ['a']])
      expect(areNumbers(names), names.join()).to.equal(false);
  });

  it('keep their names under any order and spelling, and never share a class', () => {
    const random = randomNumbers(17);
    const below = (n: number) => Math.floor(random() * n);
    const WORDS = [
      'pos',
      'Pos',
      'POS ',
      'neg',
      'NEG',
      ' x',
      'X',
      '0',
      '1',
      '2',
      'LABEL_0',
      'LABEL_1',
      'ß',
      'ss',
      'İ',
      'i',
    ];
    const draw = () => [...new Set(Array.from({ length: 1 + below(8) }, () => WORDS[below(WORDS.length)]!))];
    const fold = (name: string) => name.trim().toLowerCase();
    for (let trial = 0; trial < 5000; trial++) {
      const [names, classes] = [draw(), draw()];
      const { rows } = matchLabels(names, classes);
      const used = rows.filter((row) => row !== undefined);
      expect(new Set(used).size, `${names} | ${classes}`).to.equal(used.length);
      names.forEach((name, i) => {
        const found = rows[i] === undefined ? undefined : classes[rows[i]]!;
        if (classes.includes(name)) expect(found, `${names} | ${classes}`).to.equal(name);
        else if (found !== undefined) expect([fold(name), `label_${name}`]).to.include(fold(found));
      });
      // Another order of the classes changes no name's class.
      const turned = classes.toSorted(() => random() - 0.5);
      const others = matchLabels(names, turned).rows;
      expect(others.map((row) => row !== undefined && turned[row])).to.deep.equal(
        rows.map((row) => row !== undefined && classes[row]),
      );
    }
  });
});
