import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { createSchedule, type ScheduleName } from '../../lib/training/schedule.js';
import { expectRefusal, fixture } from './files.js';

interface ScheduleCase {
  name: string;
  peak: number;
  steps: number;
  warmup_steps: number;
  power?: number;
  num_cycles?: number;
  rates: number[];
}

describe('schedule', () => {
  const { cases } = JSON.parse(readFileSync(fixture('schedule.json'), 'utf8')) as { cases: ScheduleCase[] };

  for (const { name, peak, steps, warmup_steps: warmupSteps, power, num_cycles: cycles, rates } of cases) {
    it(`equals transformers' ${name} over ${steps} steps, ${warmupSteps} of them warm-up, ${power ?? cycles ?? 1}`, () => {
      const shape = name.replace('_with_warmup', '') as ScheduleName;
      const schedule = createSchedule(shape, {
        learningRate: peak,
        totalSteps: steps,
        warmupSteps,
        ...(power && { power }),
        ...(cycles && { cycles }),
      });
      rates.forEach((rate, step) => {
        expect(schedule(step), `step ${step}`).to.be.closeTo(rate, 1e-15 * peak);
      });
    });
  }

  it('starts at the full rate without warm-up and ends one step above zero', () => {
    const schedule = createSchedule('linear', { learningRate: 2e-5, totalSteps: 15000 });
    expect(schedule(0)).to.equal(2e-5);
    expect(schedule(14999)).to.be.closeTo(2e-5 / 15000, 1e-18);
    expect(schedule(15000)).to.equal(0);
    expect(schedule(15001)).to.equal(0);
  });

  it('starts at zero with warm-up and reaches the full rate when it ends', () => {
    for (const name of ['linear', 'constant', 'cosine'] as const) {
      const schedule = createSchedule(name, { learningRate: 1, totalSteps: 20, warmupSteps: 4 });
      expect([0, 1, 2, 3, 4].map(schedule), name).to.deep.equal([0, 0.25, 0.5, 0.75, 1]);
    }
  });

  it('refuses what it cannot use', async () => {
    const options = { learningRate: 1e-3, totalSteps: 10 };
    await expectRefusal(() => createSchedule('step' as ScheduleName, options), 'INVALID_OPTION', 'linear, constant');
    await expectRefusal(
      () => createSchedule('linear', { ...options, learningRate: -1e-5 }),
      'INVALID_OPTION',
      'Expected a number of at least 0 for learningRate but received -0.00001',
    );
    await expectRefusal(
      () => createSchedule('polynomial', { ...options, learningRate: 1e-7 }),
      'INVALID_OPTION',
      '1e-7',
    );
    await expectRefusal(() => createSchedule('polynomial', { ...options, power: 0 }), 'INVALID_OPTION', 'power');
    await expectRefusal(() => createSchedule('linear', { ...options, totalSteps: 0 }), 'INVALID_OPTION', 'totalSteps');
    await expectRefusal(() => createSchedule('cosine', { ...options, warmupSteps: -1 }), 'INVALID_OPTION', 'warmup');
  });
});
