import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { TimeSlice, throwIfAborted } from '../../lib/time-slice.js';
import { expectRefusal } from './files.js';

describe('time slice', () => {
  it('is over after a few milliseconds and starts anew after the event loop ran', async () => {
    const slice = new TimeSlice();
    let ran = false;
    setImmediate(() => {
      ran = true;
    });
    const started = performance.now();
    while (!slice.isOver) expect(performance.now() - started).to.be.below(1000);
    expect(ran).to.equal(false);
    await slice.next();
    expect(ran).to.equal(true);
  });

  it('stops at a signal, with its reason', async () => {
    const controller = new AbortController();
    const slice = new TimeSlice(controller.signal);
    await setTimeout(1);
    controller.abort('enough');
    const error = await expectRefusal(slice.next(), 'ABORTED');
    expect(error.cause).to.equal('enough');
    await expectRefusal(() => new TimeSlice(controller.signal), 'ABORTED');
    await expectRefusal(() => throwIfAborted(controller.signal), 'ABORTED');
    throwIfAborted(undefined);
  });
});
