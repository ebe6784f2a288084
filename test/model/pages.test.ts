import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from './tiny-session.js';

/** MiB of this process's memory for which large pages were asked, and of that for which small ones were. */
function advised(): { large: number; small: number } {
  const found = { large: 0, small: 0 };
  for (const [, size, flags] of readFileSync('/proc/self/smaps', 'utf8').matchAll(
    /^Size: +(\d+) kB$[\s\S]*?^VmFlags:(.*)$/gm,
  )) {
    if (/ hg\b/.test(flags!)) found.large += Number(size) / 1024;
    if (/ nh\b/.test(flags!)) found.small += Number(size) / 1024;
  }
  return found;
}

(existsSync('/sys/kernel/mm/transparent_hugepage') ? describe : describe.skip)('pages of memory on the CPU', () => {
  it('are large for weights and moments, but small for the moments of words, most of which a text does not have', async () => {
    const model = { ...MODEL, vocabSize: 100_000, hiddenSize: 64 };
    const table = (model.vocabSize * model.hiddenSize * 4) / 2 ** 20;
    const before = advised();
    const session = await makeSession(METHODS.full!, 1, model, { device: 'cpu', precision: 'fp32' });
    const loaded = advised();
    expect(loaded.large - before.large, 'MiB of large pages').to.be.within(3 * table - 4, 3 * table + 4);
    const dataset = await addExamples(session);
    await session.train(makePlan(dataset, { firstStep: 0 }));
    const trained = advised();
    expect(trained.small - loaded.small, 'MiB of small pages').to.be.within(2 * table - 1, 2 * table + 1);
    expect(trained.large - loaded.large, 'MiB of large pages').to.be.within(-2 * table - 1, -2 * table + 1);
    await session.dispose();
  });
});
