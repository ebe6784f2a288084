import { expect } from 'chai';
import { cellsOfShare, readShare, shareOfEnvironment, shareWords } from '../../lib/experiments/sweep/share.js';
import { expectRefusal } from '../lib/files.js';

const CELLS = Array.from({ length: 10 }, (_, i) => i + 1);

describe('shares of a sweep', () => {
  it('are every Nth cell', () => {
    expect(cellsOfShare(CELLS, readShare('--cell', '1/4'))).to.deep.equal([1, 5, 9]);
    expect(cellsOfShare(CELLS, readShare('--cell', '4/4'))).to.deep.equal([4, 8]);
    expect(cellsOfShare(CELLS, readShare('--cell', '7'))).to.deep.equal([7]);
    expect(cellsOfShare(CELLS, readShare('--cell', '11'))).to.deep.equal([]);
    expect(cellsOfShare(CELLS, readShare('--cell', '12/12'))).to.deep.equal([]);
    expect(cellsOfShare([], readShare('--cell', '1'))).to.deep.equal([]);
    const all = [1, 2, 3].flatMap((k) => cellsOfShare(CELLS, { number: k, of: 3 }));
    expect(all.sort((a, b) => a - b)).to.deep.equal(CELLS);
    expect(shareWords({ number: 1, of: 4 }, 10)).to.equal('share 1 of 4: 3 of 10 cells');
    expect(shareWords({ number: 4, of: 4 }, 10)).to.equal('share 4 of 4: 2 of 10 cells');
    expect(shareWords({ number: 11 }, 10)).to.equal('cell 11, which there is not');
  });

  for (const text of ['', '0', '0/3', '4/3', '1/0', '-1/3', '1/3/5', 'a/b', '1.5/3']) {
    it(`are not ${JSON.stringify(text)}`, () =>
      expectRefusal(() => readShare('--cell', text), 'INVALID_OPTION', '--cell'));
  }

  it('are those of a SLURM array, wherever its numbers begin', () => {
    const task = (id: string, others = {}) =>
      shareOfEnvironment({ SLURM_ARRAY_TASK_ID: id, SLURM_ARRAY_TASK_COUNT: '4', ...others });
    expect(task('1', { SLURM_ARRAY_TASK_MIN: '1' })).to.include({ number: 1, of: 4, source: 'SLURM_ARRAY_TASK_ID=1' });
    expect(task('3', { SLURM_ARRAY_TASK_MIN: '0' })).to.include({ number: 4, of: 4 });
    expect(task('16', { SLURM_ARRAY_TASK_MIN: '10', SLURM_ARRAY_TASK_STEP: '2' })).to.include({ number: 4, of: 4 });
  });

  it('are one cell of an indexed Job', () => {
    expect(shareOfEnvironment({ JOB_COMPLETION_INDEX: '0' })).to.deep.equal({
      number: 1,
      source: 'JOB_COMPLETION_INDEX=0',
    });
    expect(shareOfEnvironment({ JOB_COMPLETION_INDEX: '' })).to.equal(undefined);
    expect(shareOfEnvironment({})).to.equal(undefined);
  });
});
