import { expect } from 'chai';
import { cellsOf, type SweepParts } from '../../lib/experiments/sweep/cells.js';
import { type Axis, drawsOf, gridOf } from '../../lib/experiments/sweep/space.js';
import { METHOD_KINDS, type MethodKind } from '../../lib/methods/index.js';
import { expectRefusal } from '../lib/files.js';

const method = (...values: MethodKind[]): Axis => ({
  name: 'method',
  flag: '--method',
  target: { of: 'method' },
  values,
});
const rank = (values: Axis['values']): Axis => ({
  name: 'rank',
  flag: '--rank',
  target: { of: 'options', name: 'rank', methods: ['lora'] },
  values,
});
const trained = (name: Extract<Axis['target'], { of: 'trainer' }>['name'], values: Axis['values']): Axis => ({
  name: name === 'learningRate' ? 'learning rate' : name,
  flag: `--${name}`,
  target: { of: 'trainer', name },
  values,
});
const RATES = trained('learningRate', [1e-4, 3e-4]);
const SEEDS = trained('seed', [1, 2, 3]);

const parts = (axes: Axis[], others: Partial<SweepParts> = {}): SweepParts => ({
  axes,
  models: [{ name: 'bert-mini', digest: 'm' }],
  data: [{ source: 'd', digest: 'd', record: { source: 'd', labels: ['a', 'b'], splits: { train: 10 } } }],
  where: {},
  grace: null,
  random: null,
  ...others,
});

describe('cells of a sweep', () => {
  it('are the combinations of all values, the seeds of a combination together', () => {
    const cells = cellsOf(parts([method('lora'), rank([4, 8]), RATES, SEEDS]));
    expect(cells.map(({ title }) => title).slice(0, 4)).to.deep.equal([
      'LoRA r=4, learning rate 1e-4, seed 1',
      'LoRA r=4, learning rate 1e-4, seed 2',
      'LoRA r=4, learning rate 1e-4, seed 3',
      'LoRA r=4, learning rate 3e-4, seed 1',
    ]);
    expect(cells).to.have.lengthOf(12);
    expect(new Set(cells.map(({ group }) => group)).size).to.equal(4);
    expect(cells[0]).to.deep.include({
      values: { rank: 4, 'learning rate': 1e-4 },
      options: { learningRate: 1e-4, seed: 1 },
      group: 'LoRA r=4, learning rate 1e-4',
    });
    expect(cells[0]?.method).to.include({ kind: 'lora', rank: 4, alpha: 16 });
  });

  it('do not multiply by the options of other methods', () => {
    const cells = cellsOf(parts([method('full', 'lora'), rank([4, 8]), SEEDS]));
    expect(cells.map(({ method }) => method.kind)).to.deep.equal([
      ...['full', 'full', 'full'],
      ...['lora', 'lora', 'lora', 'lora', 'lora', 'lora'],
    ]);
    expect(cells[0]?.values).to.deep.equal({ method: 'full' });
  });

  it('do not multiply by an option that only applies with another', () => {
    const cells = cellsOf(parts([trained('schedule', ['linear', 'polynomial']), trained('schedulePower', [1, 2])]));
    expect(cells.map(({ options }) => options)).to.deep.equal([
      { schedule: 'linear' },
      { schedule: 'polynomial', schedulePower: 1 },
      { schedule: 'polynomial', schedulePower: 2 },
    ]);
  });

  it('leave out what a method that is solved for at once has no use for', () => {
    const evaluated = [trained('evaluationStrategy', ['epoch', 'steps']), trained('evalSteps', [10])];
    const best = [trained('loadBestModel', [true]), trained('labelForBest', ['b'])];
    const optionsBy = (axes: Axis[]) =>
      cellsOf(parts([method('full', 'logreg'), ...axes])).map(({ method: { kind }, options }) => ({ kind, options }));
    expect(optionsBy(evaluated)).to.deep.equal([
      { kind: 'full', options: { evaluationStrategy: 'epoch' } },
      { kind: 'full', options: { evaluationStrategy: 'steps', evalSteps: 10 } },
      { kind: 'logreg', options: { evaluationStrategy: 'epoch' } },
    ]);
    expect(optionsBy(best)).to.deep.equal([
      { kind: 'full', options: { loadBestModel: true, labelForBest: 'b' } },
      { kind: 'logreg', options: {} },
    ]);
  });

  it('can be of every method', () => {
    expect(cellsOf(parts([method(...METHOD_KINDS)])).map(({ title }) => title)).to.have.lengthOf(METHOD_KINDS.length);
  });

  describe('are named by what decides their result', () => {
    const nameOf = (axes: Axis[], others: Partial<SweepParts> = {}) => cellsOf(parts(axes, others))[0]!.id;
    const plain = nameOf([method('full')]);

    it('whatever is written out', () => {
      expect(plain).to.match(/^[0-9a-f]{16}$/);
      expect(nameOf([])).to.equal(plain);
      expect(nameOf([method('full'), trained('seed', [42])])).to.equal(plain);
      expect(nameOf([method('full'), trained('batchSize', [16])])).to.equal(plain);
      const elsewhere = { name: '/elsewhere/bert-mini', digest: 'm' };
      expect(nameOf([method('full')], { models: [elsewhere] })).to.equal(plain);
    });

    for (const [what, axes, others] of [
      ['another seed', [method('full'), trained('seed', [1])], {}],
      ['another method', [method('linear')], {}],
      ['another rate', [method('full'), trained('learningRate', [1e-4])], {}],
      ['another model', [method('full')], { models: [{ name: 'bert-mini', digest: 'n' }] }],
      ['another precision', [method('full')], { where: { precision: 'bf16' } }],
      ['median stopping', [method('full')], { grace: 1 }],
    ] as [string, Axis[], Partial<SweepParts>][]) {
      it(`which is not that of ${what}`, () => expect(nameOf(axes, others)).not.to.equal(plain));
    }
  });

  it('are refused before any is run', async () => {
    await expectRefusal(() => cellsOf(parts([trained('batchSize', [0])])), 'INVALID_OPTION', 'batchSize');
    const twice = [trained('epochs', [1]), trained('maxSteps', [5])];
    await expectRefusal(() => cellsOf(parts(twice)), 'INVALID_OPTION', 'epochs or maxSteps');
    const many = [
      trained(
        'seed',
        Array.from({ length: 100_001 }, (_, i) => i),
      ),
    ];
    await expectRefusal(() => cellsOf(parts(many)), 'INVALID_OPTION', '100001');
    const span = trained('learningRate', { from: 1e-5, to: 1e-3, isInteger: false });
    await expectRefusal(() => gridOf([span]), 'INVALID_OPTION', '--learningRate', 'random');
  });

  it('are drawn with every seed, the same for the same seed of the draw', async () => {
    const axes = [method('lora'), rank([4, 8, 16]), RATES, SEEDS];
    const draw = (seed: number, count = 4) =>
      cellsOf(parts(axes, { random: { count, seed } })).map(({ title }) => title);
    expect(draw(1)).to.have.lengthOf(12);
    expect(draw(1)).to.deep.equal(draw(1));
    expect(draw(1)).not.to.deep.equal(draw(2));
    expect(draw(1, 6).sort()).to.deep.equal(
      cellsOf(parts(axes))
        .map(({ title }) => title)
        .sort(),
    );
    await expectRefusal(() => draw(1, 7), 'INVALID_OPTION', 'come to 6');
  });

  it('are drawn from ranges: by the logarithm where it is wide', () => {
    const axes = [
      trained('learningRate', { from: 1e-5, to: 1e-3, isInteger: false }),
      trained('batchSize', { from: 8, to: 10, isInteger: true }),
    ];
    const draws = drawsOf(axes, 7);
    const points = Array.from({ length: 3000 }, () => draws.next().value);
    const rates = points.map((point) => Number(point.get(axes[0]!)));
    expect(Math.min(...rates)).to.be.within(1e-5, 1.1e-5);
    expect(Math.max(...rates)).to.be.within(0.9e-3, 1e-3);
    expect(rates.filter((rate) => rate < 1e-4).length / rates.length).to.be.within(0.45, 0.55);
    const sizes = points.map((point) => Number(point.get(axes[1]!)));
    for (const size of [8, 9, 10]) expect(sizes.filter((each) => each === size).length).to.be.within(900, 1100);
    expect(new Set(sizes).size).to.equal(3);
  });
});
