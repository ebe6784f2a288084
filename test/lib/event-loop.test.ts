import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const LIMIT_MILLISECONDS = 20;

describe('the event loop', () => {
  let delays: Record<'texts' | 'control' | 'predict' | 'train', number>;

  before(async () => {
    const probe = fileURLToPath(new URL('event-loop-probe.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', probe]);
    delays = JSON.parse(stdout);
  });

  it('is seen to be held up when it is', () => {
    expect(delays.control).to.be.greaterThan(LIMIT_MILLISECONDS);
  });

  it('runs while 2,000 texts are classified', () => {
    expect(delays.texts).to.equal(2000);
    expect(delays.predict).to.be.lessThan(LIMIT_MILLISECONDS);
  });

  it('runs through an epoch of training with its evaluation', () => {
    expect(delays.train).to.be.lessThan(LIMIT_MILLISECONDS);
  });
});
