import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/model/classifier.js';
import { bundled } from '../bundled.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import type { Work } from './predict-worker.js';

const texts = tinySplit('workers', 60, 9).texts;

const WORKER = await bundled('predict-worker.ts', import.meta.url);

describe('several worker threads', () => {
  const directory = useTemporaryDirectory();
  let expected: number[];

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('model'));
    await using classifier = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
    expected = (await classifier.predict(texts)).map(({ score }) => score);
  });

  const start = (rounds: number) =>
    new Worker(WORKER, {
      workerData: { model: directory.path('model'), texts, rounds } satisfies Work,
    });

  /** The worker's scores, once it has ended by itself. */
  async function finish(worker: Worker): Promise<number[][]> {
    const rounds: number[][] = [];
    worker.on('message', (scores: number[]) => rounds.push(scores));
    const [status] = await once(worker, 'exit');
    expect(status).to.equal(0);
    return rounds;
  }

  it('predict at once what the main thread predicts, and end without disturbing each other', async () => {
    const ending = [start(Number.POSITIVE_INFINITY), start(Number.POSITIVE_INFINITY)];
    const staying = Array.from({ length: 4 }, () => finish(start(50)));
    for (const worker of ending) {
      // Terminated in the middle of its second prediction or a later one.
      await once(worker, 'message');
      await worker.terminate();
    }
    for (const rounds of await Promise.all(staying)) {
      expect(rounds).to.have.length(50);
      for (const scores of rounds) {
        scores.forEach((score, i) => {
          expect(score).to.be.closeTo(expected[i]!, 1e-6);
        });
      }
    }
  });
});
