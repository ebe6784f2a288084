import { expect } from 'chai';
import { Admission } from '../../lib/api/serving/admission.js';
import { Call } from '../../lib/api/serving/call.js';
import { Rate, TokenEstimate } from '../../lib/api/serving/estimates.js';
import { Backlog } from '../../lib/api/serving/queue.js';

const END = { signal: undefined, timeout: undefined, onSettled: () => {} };

describe('the admission of calls', () => {
  /** A device that does 10 tokens in a millisecond, and batches of 100. */
  function admission(maxQueueTime = 1000): Admission {
    const rate = new Rate(100);
    rate.add(10, 100, 10);
    return new Admission({ maxBatchTokens: 100, maxQueuedTexts: 100_000, maxQueueTime }, rate);
  }

  it('counts a turn of each call before the first text of a new one, however long the others texts are', () => {
    const backlog = new Backlog();
    const calls = Array.from({ length: 10 }, () => new Call(1, 512, null, END));
    for (const call of [...calls, new Call(10_000, 50_000, null, END)]) backlog.count(call);
    const before = { ...backlog, running: undefined };
    expect(admission().wait({ texts: 1, tokens: 10 }, before)).to.equal((10 * 512 + 5) / 10);
    expect(admission().wait({ texts: 20_000, tokens: 1 }, before)).to.equal((10 * 512 + 50_000) / 10);
    for (const call of calls) backlog.remove(call);
    expect(backlog).to.include({ texts: 10_000, tokens: 50_000, turnTokens: 5 });
  });

  it('refuses for others with a time to come back, and for its own length without', () => {
    const before = { texts: 100, tokens: 3000, turnTokens: 3000, running: undefined };
    const ask = (tokens: number, timeout: number | undefined, queueTime?: number, elapsed = 0) =>
      admission(queueTime).expectRoom({ texts: 1, tokens, timeout, elapsed }, before);
    ask(10, undefined);
    expect(() => ask(10, undefined, 200))
      .to.throw('wait at most 200 ms but it would be about 300 ms')
      .with.property('retryAfter', 100);
    ask(500, 400);
    expect(() => ask(500, 320))
      .to.throw('within 320 ms')
      .with.include({ code: 'QUEUE_FULL', retryAfter: 30 });
    expect(() => ask(500, 400, 1000, 60))
      .to.throw('within 400 ms')
      .with.property('code', 'QUEUE_FULL');
    expect(() => ask(5000, 400))
      .to.throw('these texts alone take about 500 ms')
      .with.property('code', 'TIMED_OUT');
  });
});

describe('the estimate of tokens', () => {
  const encoded = (...lengths: number[]) => ({
    ids: new Int32Array(lengths.reduce((a, b) => a + b, 0)),
    offsets: Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]),
    truncated: 0,
  });

  it('is one token a character at first, then as the texts before, and never more than is read', () => {
    const estimate = new TokenEstimate(2);
    expect(estimate.tokensOf({ texts: ['abcd', 'x'.repeat(1000)] }, 512)).to.equal(6 + 512);
    // Four characters a token; the second text was cut and says nothing.
    estimate.learn({ texts: ['x'.repeat(100_000), 'x'.repeat(9000)] }, encoded(25_002, 30_000), 30_000);
    expect(estimate.tokensOf({ texts: ['x'.repeat(400)] }, 512)).to.be.within(102, 103);
    expect(estimate.tokensOf({ texts: ['x'.repeat(200)], pairs: ['x'.repeat(200)] }, 512)).to.be.within(102, 103);
    expect(estimate.tokensOf({ texts: ['x'.repeat(4000)] }, 512)).to.equal(512);
    // One a character from now on: a few long texts are enough to see it.
    for (let i = 0; i < 20; i++) estimate.learn({ texts: ['x'.repeat(10_000)] }, encoded(10_002), 30_000);
    expect(estimate.tokensOf({ texts: ['x'.repeat(400)] }, 512)).to.be.within(380, 402);
  });
});
