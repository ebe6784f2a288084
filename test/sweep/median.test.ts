import { mkdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { MedianRule } from '../../lib/experiments/median.js';
import type { EvaluateResult } from '../../lib/tasks/evaluation.js';
import type { BestMetric } from '../../lib/tasks/index.js';
import type { EpochSummary } from '../../lib/training/events.js';
import { useTemporaryDirectory } from '../lib/files.js';

describe('median stopping', () => {
  const directory = useTemporaryDirectory();
  const rule = (name: string, metric: BestMetric = 'f1_macro', grace = 1, group = 'data') =>
    MedianRule.of({ curves: directory.path('curves'), group, grace }, name, metric);
  const epoch = (number: number, value: number, metric = 'f1_macro') =>
    ({ epoch: number, evaluation: { [metric]: value } as unknown as EvaluateResult }) as EpochSummary;

  /** Runs that have left their metrics. */
  async function others(curves: number[][], metric: BestMetric = 'f1_macro', group = 'data'): Promise<void> {
    for (const [i, values] of curves.entries()) {
      const other = await rule(`other${i}${group}`, metric, 100, group);
      for (const [i, value] of values.entries()) await other.ends(epoch(i + 1, value, metric));
    }
  }

  it('ends what is below the median of the others after the same epoch, behind the grace', async () => {
    await others([[0.5, 0.6], [0.5, 0.7], [0.5, 0.8], [0.9]]);
    const own = await rule('own');
    expect(await own.ends(epoch(1, 0.1))).to.equal(false);
    expect(await own.ends(epoch(2, 0.7))).to.equal(false);
    expect(own.ended).to.equal(undefined);
    const worse = await rule('worse');
    await worse.ends(epoch(1, 0.1));
    expect(await worse.ends(epoch(2, 0.65))).to.equal(true);
    expect(worse.ended).to.deep.equal({
      rule: 'median',
      epoch: 2,
      metric: 'f1_macro',
      value: 0.65,
      median: 0.7,
      of: 4,
    });
  });

  it('knows metrics of which less is better', async () => {
    await others(
      [
        [3, 3],
        [4, 4],
        [5, 5],
      ],
      'loss',
    );
    const [low, high] = [await rule('low', 'loss'), await rule('high', 'loss')];
    for (const each of [low, high]) await each.ends(epoch(1, 4, 'loss'));
    expect(await low.ends(epoch(2, 3.9, 'loss'))).to.equal(false);
    expect(await high.ends(epoch(2, 4.5, 'loss'))).to.equal(true);
  });

  it('compares with three others at least, of the same data', async () => {
    await others([
      [0.9, 0.9],
      [0.9, 0.9],
    ]);
    await others(
      [
        [0.9, 0.9],
        [0.9, 0.9],
      ],
      'f1_macro',
      'elsewhere',
    );
    const own = await rule('own');
    await own.ends(epoch(1, 0.1));
    expect(await own.ends(epoch(2, 0.1))).to.equal(false);
  });

  it('goes on with the metrics that a run left, and passes over what is no file of one', async () => {
    await others([
      [0.5, 0.5],
      [0.5, 0.5],
      [0.5, 0.5],
    ]);
    await mkdir(directory.path('curves'), { recursive: true });
    await writeFile(directory.path('curves/broken.json'), '{"values": [');
    await (await rule('own')).ends(epoch(1, 0.4));
    const resumed = await rule('own');
    expect(await resumed.ends(epoch(2, 0.4))).to.equal(true);
    expect(resumed.ended).to.include({ epoch: 2, of: 3 });
  });

  it('ends nothing by a metric that has no value', async () => {
    await others([
      [0.5, 0.5],
      [0.5, 0.5],
      [0.5, 0.5],
    ]);
    const own = await rule('own');
    await own.ends(epoch(1, Number.NaN));
    expect(await own.ends(epoch(2, Number.NaN))).to.equal(false);
  });
});
