import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EMULATED, EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import { Trainer } from '../../lib/api/trainer.js';
import { lora } from '../../lib/methods/index.js';
import { type LoadOptions, TextClassifier } from '../../lib/model/classifier.js';
import type { NativePrecision } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { expectRefusal } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { createSession, type Outcome, parameterNames, runCalls } from './device-calls.js';
import { buildDeviceFaults } from './native/build.js';
import { note, scaled } from './scale.js';

/*
 * The n-th call of the CUDA runtime, the n-th kernel or copy, the n-th allocation on the device fails: on the emulated device,
 * whose runtime does so on demand (test/simt/runtime/fault.h). The first two stick, as a real illegal address does.
 */

const KINDS = { call: 1, work: 2, allocation: 3 } as const;
type Kind = keyof typeof KINDS;

const isPossible = gpus().some(({ device }) => device === EMULATED);

(isPossible ? describe : describe.skip)('a failure on the device', function () {
  this.timeout(1_800_000);
  let folder: string;
  let names: string[];
  let fail: (kind: Kind, n: number) => number;
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);

  before(async () => {
    process.on('unhandledRejection', onUnhandled);
    folder = await mkdtemp(join(tmpdir(), 'bertune-device-'));
    names = await parameterNames();
    const faults = createRequire(import.meta.url)(await buildDeviceFaults(folder)) as {
      fail(library: string, kind: number, n: number): number;
    };
    fail = (kind, n) => faults.fail(EMULATOR_LIBRARY, KINDS[kind], n);
  });
  after(async () => {
    process.removeListener('unhandledRejection', onUnhandled);
    await rm(folder, { recursive: true, force: true });
    expect(unhandled, 'unhandled rejections').to.deep.equal([]);
  });
  afterEach(() => {
    if (isPossible) fail('call', 0);
  });

  /** What is wrong with a run whose device failed for good at some point. */
  function faultsOf(outcomes: Outcome[], expected: Outcome[]): string[] {
    const first = outcomes.findIndex(({ code }) => code !== 'none');
    if (first < 0) return ['no call failed'];
    return outcomes.flatMap(({ call, code, digest }, i) => {
      if (i < first) return digest === expected[i]!.digest ? [] : [`${call} gave other numbers`];
      if (i === first) return code === 'CUDA_ERROR' ? [] : [`${call} failed as ${code}`];
      // Where no handle was given, the one that is used instead is not found.
      return code === 'CUDA_ERROR' || code === 'NOT_FOUND' ? [] : [`${call} afterwards: ${code}`];
    });
  }

  /** Numbers of 1..count, at most `most` of them, spread evenly. */
  function spread(count: number, most: number): number[] {
    const tried = Math.min(count, most);
    return Array.from({ length: tried }, (_, i) => 1 + Math.floor(((i + 0.5) * count) / tried));
  }

  for (const kind of ['call', 'work'] as const) {
    const what = { call: 'call of the CUDA runtime', work: 'kernel or copy' }[kind];
    it(`at the n-th ${what}: CUDA_ERROR, later calls fail as well, dispose works, a new session too`, async () => {
      const first = new Set<string>();
      let tried = 0;
      for (const precision of (['fp32', 'bf16'] as NativePrecision[]).slice(0, scaled(1, 2))) {
        fail(kind, 0);
        const expected = await runCalls(precision, names);
        const count = fail(kind, 0);
        const session = await createSession(precision, names);
        const creating = fail(kind, 0);
        await session.dispose();
        // The last one is that of dispose(), which does not fail.
        for (const n of [creating, ...spread(count - 1, scaled(4, 300))]) {
          fail(kind, n);
          const outcomes = await runCalls(precision, names);
          fail(kind, 0);
          expect(faultsOf(outcomes, expected), `${precision}, n = ${n} of ${count}`).to.deep.equal([]);
          first.add(outcomes.find(({ code }) => code !== 'none')!.call);
          tried += 1;
          if (tried % scaled(3, 8) === 0)
            expect(await runCalls(precision, names), 'afterwards').to.deep.equal(expected);
        }
      }
      expect([...first], 'calls that failed first').to.include('train');
      note(`failures that stick, at a ${what}`, tried);
    });
  }

  it('at the n-th allocation: OUT_OF_MEMORY, and the same call works afterwards', async () => {
    let tried = 0;
    for (const precision of (['fp32', 'bf16'] as NativePrecision[]).slice(0, scaled(1, 2))) {
      fail('allocation', 0);
      const expected = await runCalls(precision, names, true);
      const count = fail('allocation', 0);
      for (const n of spread(count, scaled(5, count))) {
        fail('allocation', n);
        const outcomes = await runCalls(precision, names, true);
        fail('allocation', 0);
        const failed = outcomes.filter(({ code }) => code !== 'none').map(({ code }) => code);
        expect(failed, `${precision}, n = ${n}`).to.deep.equal(['OUT_OF_MEMORY']);
        const others = outcomes.filter(({ code }) => code === 'none');
        expect(others, `${precision}, n = ${n}`).to.deep.equal(expected);
        tried += 1;
      }
    }
    note('allocations on the device that failed', tried);
  });

  it('ends a training run with CUDA_ERROR, and its checkpoints lead to the same end', async () => {
    const base = join(folder, 'base');
    const output = join(folder, 'run');
    await writeTinyCheckpoint(base, { dropout: 0.2 });
    const data = tinySplit('train', 8, 3);
    const validation = tinySplit('validation', 4, 4);

    async function train(options: { outputDirectory?: string; resume?: string } = {}): Promise<string> {
      await using model = await TextClassifier.load(base, { device: 'cuda-emulated' } as unknown as LoadOptions);
      const { outputDirectory, resume } = options;
      const saving = outputDirectory ? ({ outputDirectory, saveStrategy: 'steps', saveSteps: 1 } as const) : {};
      const trainer = new Trainer(model, { method: lora({ rank: 2 }), batchSize: 4, maxSteps: 5, seed: 7, ...saving });
      await trainer.train(data, { validation, ...(resume ? { resume } : {}) });
      const hash = createHash('sha256');
      for (const { name } of model.parameters()) hash.update(new Uint8Array((await model.parameter(name)).buffer));
      return hash.digest('hex');
    }

    let tried = 0;
    for (const kind of ['call', 'work'] as const) {
      await rm(output, { recursive: true, force: true });
      fail(kind, 0);
      const whole = await train({ outputDirectory: output });
      const count = fail(kind, 0);
      for (const n of spread(count - 1, scaled(1, 20))) {
        await rm(output, { recursive: true, force: true });
        fail(kind, n);
        await expectRefusal(train({ outputDirectory: output }), 'CUDA_ERROR');
        fail(kind, 0);
        expect(await train({ outputDirectory: output, resume: 'latest' }), `${kind} ${n} of ${count}`).to.equal(whole);
        tried += 1;
      }
    }
    note('training runs that a failing device ended', tried);
  });
});
