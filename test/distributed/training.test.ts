import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { LONG } from '../faults/scale.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { ended, firstStep, MPIS, run, start, startNode } from './launch.js';
import { isAlive, ranksOf } from './processes.js';
import type { Outcome, Program } from './program.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** 46 examples in batches of 6: the last one has 4, of which 4 ranks may have one each or none. */
const RUNS: Program['runs'] = [
  { method: 'full', options: { epochs: 2, gradientAccumulation: 3, loggingSteps: 1, classWeights: [1, 2.5, 0] } },
  { method: 'full', options: { epochs: 1, batchSize: 1, maxLength: 12, loggingSteps: 1 } },
  { method: 'lora', options: { epochs: 2, loggingSteps: 1, labelSmoothing: 0.1, evalBatchTokens: 64 } },
  { method: 'dora', options: { epochs: 2, loggingSteps: 1, gradientAccumulation: 2 } },
  { method: 'prefix', options: { epochs: 2, loggingSteps: 1 } },
  { method: 'linear', options: { epochs: 2, loggingSteps: 1, loadBestModel: true } },
  { method: 'bitfit', options: { epochs: 2, loggingSteps: 1 } },
];

function expectClose(found: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(found.length).to.equal(expected.length);
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  expect(worst, 'the greatest difference').to.be.at.most(tolerance);
}

for (const mpi of MPIS) {
  const isFirst = mpi === MPIS[0];

  describe(`several processes under ${mpi}`, () => {
    /** Every method under the first; under the other that ranks join, with one method, unless at length. */
    const runs = isFirst || LONG ? RUNS : RUNS.slice(0, 1);
    const directory = useTemporaryDirectory();
    const base = mkdtempSync(join(tmpdir(), 'bertune-ranks-'));
    let alone: Outcome[];

    before(async () => {
      await writeTinyCheckpoint(base, { dropout: 0.1 });
      const { outcomes, errors } = await run({ model: base, precision: 'fp64', runs }, null);
      expect(outcomes.length, errors).to.equal(runs.length);
      alone = outcomes;
    });

    after(() => rmSync(base, { recursive: true }));

    for (const processes of LONG ? [2, 4] : [isFirst ? 4 : 2]) {
      it(`train as one does: ${processes} of them, ${runs.length > 1 ? 'every method' : runs[0]!.method}`, async () => {
        const { outcomes, errors, code } = await run({ model: base, precision: 'fp64', runs }, mpi, processes);
        expect(code, errors).to.equal(0);
        for (const [i, one] of alone.entries()) {
          for (let rank = 0; rank < processes; rank++) {
            const own = outcomes.filter((outcome) => outcome.rank === rank)[i]!;
            expect(own.method).to.equal(one.method);
            expectClose(own.losses, one.losses, 1e-12);
            expectClose(own.gradNorms, one.gradNorms, 1e-11);
            expectClose(own.evaluations, one.evaluations, 1e-12);
            expect(own.accuracy).to.deep.equal(one.accuracy);
          }
          const digests = outcomes.filter(({ method }) => method === one.method);
          expect(new Set(digests.map(({ digest }) => digest)).size).to.equal(
            runs.filter(({ method }) => method === one.method).length,
          );
        }
      });
    }

    // In fp32 under the other too, and from its checkpoints: test/faults/ranks.test.ts.
    if (isFirst) {
      it('come to the losses of one in fp32 as well, but for summation order', async () => {
        const program: Program = { model: base, precision: 'fp32', runs: RUNS.slice(0, 3) };
        const [one, two] = [await run(program, null), await run(program, mpi, 2)];
        for (const [i, { losses, evaluations }] of one.outcomes.entries()) {
          const own = two.outcomes.filter(({ rank }) => rank === 1)[i]!;
          expectClose(own.losses, losses, 2e-5);
          expectClose(own.evaluations, evaluations, 2e-5);
        }
      });

      it('go on from a checkpoint of any number of processes', async () => {
        const output = directory.path('run');
        const options = { loggingSteps: 1, outputDirectory: output, saveStrategy: 'steps', saveSteps: 7 } as const;
        const program = (maxSteps: number, resume?: string): Program => ({
          model: base,
          precision: 'fp64',
          runs: [{ method: 'full', options: { ...options, maxSteps }, ...(resume === undefined ? {} : { resume }) }],
        });
        const whole = await run(
          {
            ...program(14),
            runs: [{ method: 'full', options: { maxSteps: 14, loggingSteps: 1, schedule: 'constant' } }],
          },
          null,
        );
        const constant = (step: Program) => {
          for (const each of step.runs) each.options = { ...each.options, schedule: 'constant' };
          return step;
        };
        const first = await run(constant(program(7)), mpi, 2);
        expect(first.code, first.errors).to.equal(0);
        expect(readdirSync(output)).to.include('checkpoint-7');
        const second = await run(constant(program(14, 'latest')), mpi, 3);
        expect(second.code, second.errors).to.equal(0);
        expectClose(second.outcomes[0]!.losses, whole.outcomes[0]!.losses, 1e-12);
      });
    }

    // What ranks say to each other is the same under the other, as the runs above and the last test use it.
    if (isFirst || LONG) {
      it('run the command line as one process does: the first alone speaks and writes', async () => {
        const data = directory.path('data.csv');
        // No labels of the model's: its classifier is new.
        const { texts, labels } = tinySplit('train', 150, 5);
        const rows = texts.map((text, i) => `${text},${['red', 'green', 'blue'][labels[i]!]}\n`);
        writeFileSync(data, `text,label\n${rows.join('')}`);
        const args = (output: string) => [
          ...[join(ROOT, 'dist/cli/main.js'), 'train', '--model', base, '--data', data, '--max-length', '40'],
          ...['--max-steps', '12', '--precision', 'fp64', '--logging-steps', '3', '--threads', '1', '--output', output],
        ];
        const state = (output: string) => JSON.parse(readFileSync(join(output, 'trainer_state.json'), 'utf8'));
        const places = [directory.path('one'), directory.path('two')] as const;
        const one = await ended(startNode(args(places[0]), null));
        const two = await ended(startNode(args(places[1]), mpi, 2));
        expect(one.code, one.errors).to.equal(0);
        expect(two.code, two.errors).to.equal(0);
        expect(two.errors.match(/^processes +2, started by /gm)).to.have.length(1);
        expect(two.errors.match(/^saved in /gm)).to.have.length(1);
        const losses = (output: string) => state(output).log_history.map((row: { loss?: number }) => row.loss ?? 0);
        expectClose(losses(places[1]), losses(places[0]), 1e-12);
        expect(readdirSync(places[1]).sort()).to.deep.equal(readdirSync(places[0]).sort());
      });

      it('refuse to begin where one has other data, and say so', async () => {
        const runs: Program['runs'] = [{ method: 'full', options: { maxSteps: 2 }, differs: true }];
        const { outcomes, code } = await run({ model: base, precision: 'fp32', runs }, mpi, 2);
        expect(code).to.not.equal(0);
        const [{ error }] = outcomes as [Outcome];
        expect(error?.code).to.equal('INVALID_OPTION');
        expect(error?.message).to.equal(
          'Expected the same training data in all 2 processes, but rank 1 has another than rank 0',
        );
      });

      it('stop together, with a checkpoint, where one is asked to', async () => {
        const output = directory.path('stopped');
        const runs: Program['runs'] = [
          { method: 'full', options: { maxSteps: 1e6, outputDirectory: output }, stop: { rank: 1, step: 3 } },
        ];
        const { outcomes } = await run({ model: base, precision: 'fp32', runs }, mpi, 2);
        expect(outcomes.map(({ error }) => error?.code)).to.deep.equal(['ABORTED', 'ABORTED']);
        expect(outcomes[0]!.digest).to.equal(outcomes[1]!.digest);
        expect(readdirSync(output).filter((name) => name.startsWith('checkpoint-'))).to.have.length(1);
      });
    }

    it('name the one that hangs, within the time limit, and leave no process behind', async function () {
      this.timeout(90_000);
      const runs: Program['runs'] = [{ method: 'full', options: { maxSteps: 1e6, collectiveTimeout: 2 } }];
      const child = start({ model: base, precision: 'fp32', runs }, mpi, 2);
      const ending = ended(child);
      await firstStep(child);
      const stopped = ranksOf(child.pid!).find(({ rank }) => rank === 1)!.pid;
      process.kill(stopped, 'SIGSTOP');
      const began = performance.now();
      // What a rank that waits says; the launcher may end it before it has.
      const ranks = ranksOf(child.pid!);
      const { outcomes, code } = await ending;
      expect((performance.now() - began) / 1000).to.be.below(30);
      expect(code).to.not.equal(0);
      expect(outcomes[0]?.error?.code).to.equal('RANK_LOST');
      expect(outcomes[0]!.error!.message).to.match(/^Waited 2 s for rank 1 on \S+, at step \d+ or soon after$/);
      for (const { pid } of ranks) expect(isAlive(pid), `process ${pid}`).to.equal(false);
    });
  });
}
