import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { rankingReport, rankingScores } from '../../lib/metrics/ranking.js';
import { taskOf } from '../../lib/tasks/index.js';
import { fixture } from './files.js';

interface RankingCase {
  name: string;
  scores: number[][];
  targets: number[][];
  auroc: number;
  auroc_micro: number;
  average_precision: number;
  average_precision_micro: number;
}

const { cases } = JSON.parse(readFileSync(fixture('ranking.json'), 'utf8')) as { cases: RankingCase[] };

describe('AUROC and average precision', () => {
  for (const { name, scores, targets, ...expected } of cases) {
    it(`equal scikit-learn's: ${name}`, () => {
      const classes = scores[0]!.length;
      const { macro, micro } = rankingReport(Float64Array.from(scores.flat()), classes, (i, c) => targets[i]![c] === 1);
      expect(macro.auroc).to.be.closeTo(expected.auroc, 1e-12);
      expect(macro.averagePrecision).to.be.closeTo(expected.average_precision, 1e-12);
      expect(micro.auroc).to.be.closeTo(expected.auroc_micro, 1e-12);
      expect(micro.averagePrecision).to.be.closeTo(expected.average_precision_micro, 1e-12);
    });
  }

  it('are not defined where nothing is to be told apart', () => {
    expect(rankingScores(Float64Array.of(0.1, 0.9), () => true)).to.deep.equal({ auroc: null, averagePrecision: 1 });
    expect(rankingScores(Float64Array.of(0.1, 0.9), () => false)).to.deep.equal({
      auroc: null,
      averagePrecision: null,
    });
  });

  it('are scores of an evaluation', () => {
    const [one] = cases;
    const labels = Int32Array.from(one!.targets, (row) => row.indexOf(1));
    const guesses = Int32Array.from(one!.scores, (row) => row.indexOf(Math.max(...row)));
    const names = ['a', 'b', 'c', 'd'];
    const { scores } = taskOf('single-label').measure(labels, guesses, names, Float64Array.from(one!.scores.flat()));
    expect(scores.auroc).to.be.closeTo(one!.auroc, 1e-12);
    expect(scores.average_precision).to.be.closeTo(one!.average_precision, 1e-12);
    const several = cases[2]!;
    const targets = Float32Array.from(several.targets.flat());
    const all = Float64Array.from(several.scores.flat());
    const measured = taskOf('multi-label').measure(targets, targets, [...names, 'e'], all).scores;
    expect(measured.auroc).to.be.closeTo(several.auroc, 1e-12);
    expect(measured.auroc_micro).to.be.closeTo(several.auroc_micro, 1e-12);
    expect(measured.average_precision_micro).to.be.closeTo(several.average_precision_micro, 1e-12);
  });
});
