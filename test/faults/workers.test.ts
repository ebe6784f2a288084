import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/classifier.js';
import type { NativeAddon } from '../../lib/native.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { ADDON, dataset, initialize, PROGRAM, sessionConfig, trainPlan } from '../native/support.js';
import { gc, seeded } from './collector.js';
import { note, scaled } from './scale.js';

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
const BUSY = new URL('busy-program.mjs', import.meta.url);
/** The longest that a worker is left alone: enough for a round of everything on a quiet machine. */
const MOST_MILLISECONDS = 400;

describe('workers that are terminated', () => {
  const directory = useTemporaryDirectory();

  it('take nothing with them, at whatever point', async () => {
    const rounds = scaled(6, 1000);
    const seed = Date.now() % 1e6;
    const random = seeded(seed);
    await writeTinyCheckpoint(directory.path('model'));
    await using model = await TextClassifier.load(directory.path('model'), { device: 'cpu', threads: 1 });
    const { texts } = tinySplit('main', 40, 9);
    const expected = await model.predict(texts);
    const workerData = {
      library: LIBRARY,
      model: directory.path('model'),
      output: directory.path('out'),
      task: 'all',
      exit: null,
    };
    const resident: number[] = [];
    const threads: number[] = [];
    let begun = 0;
    const round = async () => {
      const worker = new Worker(BUSY, { workerData, execArgv: [] });
      const failures: unknown[] = [];
      worker.on('error', (error) => failures.push(error));
      // Some end while they load the library or the addon, the others in the middle of work.
      if (random() < 0.15) await sleep(random() * 300);
      else {
        await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
        begun += 1;
        await sleep(random() * MOST_MILLISECONDS);
      }
      await worker.terminate();
      expect(failures, `seed ${seed}`).to.deep.equal([]);
    };
    for (let done = 0; done < rounds; done += 2) {
      await Promise.all([round(), round()]);
      expect(await model.predict(texts), `seed ${seed}`).to.deep.equal(expected);
      if (done % 50 === 0) {
        gc();
        resident.push(process.memoryUsage().rss / 2 ** 20);
        threads.push(process.report ? (process.report.getReport() as never as { libuv: unknown[] }).libuv.length : 0);
      }
    }
    // After a warm-up of 200 rounds memory stays where it is.
    const [warm, last] = [resident[4], resident.at(-1)!];
    if (warm !== undefined)
      expect(last - warm, `MiB grown, seed ${seed}: ${resident.map(Math.round)}`).to.be.below(100);
    note('workers terminated at random points', rounds);
    note('of these in the middle of work', begun);
    if (warm !== undefined) note('MiB of memory grown over them, after 200', Math.round(last - warm));
  }).timeout(3_600_000);
});

describe('the addon', () => {
  const directory = useTemporaryDirectory();

  async function losses(addon: NativeAddon): Promise<number[]> {
    const session = await addon.createSession(sessionConfig());
    await initialize(session);
    const handle = await session.addDataset(dataset());
    const { losses } = await session.train(trainPlan(handle, 5));
    await session.dispose();
    return [...losses];
  }

  it('works when it is loaded twice, from one file and from a copy, also in another context', async () => {
    const require = createRequire(import.meta.url);
    const first = require(ADDON) as NativeAddon;
    const expected = await losses(first);
    const copy = directory.path('copy.node');
    await copyFile(ADDON, copy);
    const second = require(copy) as NativeAddon;
    expect(second).to.not.equal(first);
    const again = { exports: {} as NativeAddon };
    process.dlopen(again, ADDON);
    expect(again.exports).to.not.equal(first);
    const context = createContext({ process, path: ADDON });
    const inside = runInContext(
      'const it = { exports: {} }; process.dlopen(it, path); it.exports',
      context,
    ) as NativeAddon;
    const all = [first, second, again.exports, inside];
    for (const found of await Promise.all(all.map(losses))) expect(found).to.deep.equal(expected);
  });

  it('works in several workers from a copy each, some of which end early', async () => {
    const { ids, offsets, labels } = dataset();
    const plan = trainPlan(0);
    const input = (addon: string, task: string) => ({
      addon,
      config: sessionConfig(),
      dataset: { ids: [...ids], offsets: [...offsets], labels: [...labels!] },
      plan: { ...plan, order: [...plan.order], learningRates: undefined, classWeights: undefined },
      task,
    });
    const start = async (index: number, task: string) => {
      const copy = directory.path(`${index}.node`);
      await copyFile(ADDON, copy);
      return new Worker(PROGRAM, { workerData: input(index % 2 ? copy : ADDON, task), execArgv: [] });
    };
    const results: string[] = [];
    await Promise.all(
      Array.from({ length: scaled(4, 16) }, async (_, index) => {
        const worker = await start(index, index % 4 < 2 ? 'train' : 'work');
        const exit = once(worker, 'exit');
        const [message] = await once(worker, 'message');
        if (index % 4 < 2) {
          results.push(message);
          expect(await exit).to.deep.equal([0]);
        } else await worker.terminate();
      }),
    );
    expect(new Set(results).size).to.equal(1);
    expect(fileURLToPath(BUSY)).to.include('busy');
  });
});
