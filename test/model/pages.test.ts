import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from './tiny-session.js';

/** A kernel that has large pages for whoever asks. */
const hasLargePages = (): boolean => {
  try {
    return !readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').includes('[never]');
  } catch {
    return false;
  }
};

/** MiB that this process holds: all, and in large pages. */
function held(): { resident: number; large: number } {
  const lines = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(lines)?.[1]) / 1024;
  return { resident: of('Rss'), large: of('AnonHugePages') };
}

(hasLargePages() ? describe : describe.skip)('pages of memory on the CPU', () => {
  it('are large for weights, and small for the moments of words that no text has', async () => {
    const model = { ...MODEL, vocabSize: 100_000, hiddenSize: 64 };
    const table = (model.vocabSize * model.hiddenSize * 4) / 2 ** 20;
    const before = held();
    const session = await makeSession(METHODS.full!, 1, model, { device: 'cpu', precision: 'fp32' });
    const loaded = held();
    expect(loaded.large - before.large, 'MiB in large pages').to.be.above(table / 2);

    // Words from everywhere in the vocabulary.
    const ids = Int32Array.from({ length: 23 }, (_, i) => (4301 * i + 3) % model.vocabSize);
    const dataset = await addExamples(session, { ids });
    await session.train(makePlan(dataset, { firstStep: 0 }));
    const trained = held();
    expect(trained.resident - loaded.resident, 'MiB that training takes').to.be.below(table);
    await session.dispose();
  });
});
