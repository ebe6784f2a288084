import { expect } from 'chai';
import { Pace } from '../../lib/model/batches.js';
import { RecentSteps } from '../../lib/training/position.js';

describe('Pace', () => {
  it('begins with one unit and grows at most fourfold towards the target', () => {
    const pace = new Pace(0.1);
    const counts: number[] = [];
    for (let i = 0; i < 5; i++) {
      const units = pace.next();
      counts.push(units);
      pace.measured(units, units * 0.001);
    }
    expect(counts).to.deep.equal([1, 4, 16, 64, 100]);
  });

  it('gives one unit where a unit takes longer than the target', () => {
    const pace = new Pace(0.1);
    pace.measured(pace.next(), 3);
    expect(pace.next()).to.equal(1);
  });

  it('slows down when units become slower', () => {
    const pace = new Pace(0.1);
    pace.measured(50, 0.1);
    pace.measured(50, 0.3);
    expect(pace.next()).to.equal(25);
  });

  it('bears calls that take no time', () => {
    const pace = new Pace(0.1);
    pace.measured(1, 0);
    expect(pace.next()).to.equal(4);
  });
});

describe('RecentSteps', () => {
  it('looks back over at least so many steps, and no more calls than that takes', () => {
    const recent = new RecentSteps(3);
    recent.add({ steps: 2, loss: 8, correct: 1, examples: 4 });
    expect(recent.loss).to.equal(4);
    recent.add({ steps: 2, loss: 2, correct: 3, examples: 4 });
    expect(recent.loss).to.equal(2.5);
    expect(recent.accuracy).to.equal(0.5);
    recent.add({ steps: 1, loss: 1, correct: 4, examples: 4 });
    expect(recent.loss).to.equal(1);
    expect(recent.accuracy).to.equal(7 / 8);
  });
});
