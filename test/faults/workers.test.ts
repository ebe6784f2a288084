import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createContext, runInContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { NativeAddon } from '../../lib/native/index.js';
import { bundled } from '../bundled.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { nativeConfig } from '../native/shape.js';
import { ADDON, dataset, initialize, PROGRAM, sessionConfig, trainPlan } from '../native/support.js';
import { note, scaled } from './scale.js';

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
const PROGRAM_OF_WORKERS = await bundled('workers-program.ts', import.meta.url);
/** Rounds of one process. */
const ROUNDS = 100;
/**
 * Node 20 ends the process where a worker is terminated at the very moment of a call of fs.promises, by which its loader
 * reads modules. While a worker loads the library this is counted, and the rounds are made up for; later it is a failure.
 */
const OF_NODE = /node_file\.cc.*\n.*req_wrap_async/;

/** What a process of workers-program.ts did. */
interface Sums {
  done: number;
  begun: number;
  /** Processes that Node ended. */
  ofNode: number;
  /** MiB that the process grew by after its 60th worker, at most. */
  grown: number;
}

describe('workers that are terminated', () => {
  const directory = useTemporaryDirectory();

  async function terminate(rounds: number, early: boolean): Promise<Sums> {
    const first = Date.now() % 1e6;
    await writeTinyCheckpoint(directory.path('model'));
    const sums: Sums = { done: 0, begun: 0, ofNode: 0, grown: 0 };
    for (let seed = first; sums.done < rounds; seed++) {
      const places = { library: LIBRARY, model: directory.path('model'), output: directory.path('out') };
      const input = { ...places, rounds: Math.min(ROUNDS, rounds - sums.done), seed, early };
      const child = spawn(process.execPath, [PROGRAM_OF_WORKERS, JSON.stringify(input)]);
      let [output, errors] = ['', ''];
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      child.stderr.on('data', (chunk) => {
        errors += chunk;
      });
      const [code, signal] = await once(child, 'close');
      if (early && OF_NODE.test(errors)) {
        sums.ofNode += 1;
        sums.done += Number([...errors.matchAll(/#(\d+)/g)].at(-1)?.[1] ?? 0);
        continue;
      }
      const found = { code, signal, errors: errors.replace(/#\d+\n/g, '') };
      expect(found, `seed ${seed}`).to.deep.equal({ code: 0, signal: null, errors: '' });
      const { done, begun, resident } = JSON.parse(output) as { done: number; begun: number; resident: number[] };
      sums.done += done;
      sums.begun += begun;
      // Memory stays where it is after a warm-up.
      if (resident.length < 5) continue;
      sums.grown = Math.max(sums.grown, resident.at(-1)! - resident[2]!);
      expect(sums.grown, `MiB grown, seed ${seed}: ${resident}`).to.be.below(100);
    }
    return sums;
  }

  it('take nothing with them, at whatever point of their work', async () => {
    const { done, begun, grown } = await terminate(scaled(4, 1000), false);
    expect(begun).to.equal(done);
    note('workers terminated at random points of their work', done);
    note('MiB of memory grown from the 60th to the 100th worker, at most', grown);
  }).timeout(3_600_000);

  it('take nothing with them, while they load the library', async () => {
    const { done, ofNode } = await terminate(scaled(2, 200), true);
    note('workers terminated while they load the library', done);
    note("processes ended by Node's own check of fs.promises in a terminated worker", ofNode);
  }).timeout(3_600_000);
});

describe('the addon', () => {
  const directory = useTemporaryDirectory();

  async function losses(addon: NativeAddon): Promise<number[]> {
    const session = await addon.createSession(nativeConfig(sessionConfig()));
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
      config: nativeConfig(sessionConfig()),
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
  });
});
