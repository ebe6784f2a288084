import { expect } from 'chai';
import { globPaths } from '../../lib/data/glob.js';
import { expectRefusal } from './files.js';

describe('patterns of files', () => {
  const paths = ['a.csv', 'b-1.csv', 'x/a.csv', 'x/y/[z].csv', 'é.csv'];

  for (const [pattern, expected] of [
    ['*.csv', ['a.csv', 'b-1.csv', 'é.csv']],
    ['**/a.csv', ['a.csv', 'x/a.csv']],
    ['x/**/*.csv', ['x/a.csv', 'x/y/[z].csv']],
    ['x**v', ['x/a.csv', 'x/y/[z].csv']],
    ['?.csv', ['a.csv', 'é.csv']],
    ['b-[0-9].csv', ['b-1.csv']],
    ['[!b-é]*.csv', ['a.csv']],
    ['x/y/[z].csv', ['x/y/[z].csv']],
    ['x/*', ['x/a.csv']],
    ['./x/y/', ['x/y/[z].csv']],
    ['x', ['x/a.csv', 'x/y/[z].csv']],
    ['*.tsv', []],
  ] as const) {
    it(`${pattern} stands for ${expected.length} of ${paths.length}`, () => {
      expect(globPaths([pattern], paths)).to.deep.equal(expected);
    });
  }

  it('give each path once, in their own order', () => {
    expect(globPaths(['x/a.csv', '**/a.csv', '*'], paths)).to.deep.equal(['x/a.csv', 'a.csv', 'b-1.csv', 'é.csv']);
  });

  it('are refused where a file they name is not there', async () => {
    await expectRefusal(() => globPaths(['*.csv', 'c.csv'], paths), 'NOT_FOUND', 'c.csv');
  });

  it('are refused where they are long, or take long', async () => {
    await expectRefusal(() => globPaths(['a'.repeat(4097)], paths), 'INVALID_DATA', '4096 characters');
    const many = Array.from({ length: 2000 }, (_, i) => `${'a'.repeat(200)}${i}.csv`);
    for (const part of ['*a', `*[${'b-z'.repeat(90)}a]`]) {
      const pattern = `${part.repeat(Math.floor(4000 / part.length))}b`;
      await expectRefusal(() => globPaths(Array<string>(100).fill(pattern), many), 'INVALID_DATA', 'take too long');
    }
    const folders = Array.from({ length: 20_000 }, (_, i) => `data/part-${i % 100}/file-${i}.csv`);
    expect(globPaths(['**/*.csv', 'data/*/file-*', ...folders], folders)).to.deep.equal(folders);
  });
});
