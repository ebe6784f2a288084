import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import type { BertuneError } from '../../lib/errors.js';
import type { NativeSession } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { addExamples, METHODS, MODEL, makeSession, planOfSteps } from '../model/tiny-session.js';
import { openSession, trainPlan } from '../native/support.js';

/*
 * Ranks that add up through NCCL, as sessions of one process: the emulated GPU has a stand-in for it (test/simt/nccl). A GPU
 * takes part where NCCL is there, as the one rank of its world.
 */

const STEPS = 4; // the last ones are replayed

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Rank {
  session: NativeSession;
  handle: number;
}

async function openRanks(device: string, size: number, limit = 30): Promise<Rank[]> {
  const port = await freePort();
  return Promise.all(
    Array.from({ length: size }, async (_, rank) => {
      const opened = await openSession({ device, precision: 'fp32' });
      const joined = await opened.session.joinRanks({ rank, size, address: '127.0.0.1', port }, limit);
      expect(joined).to.deep.equal({ rank, size });
      return opened;
    }),
  );
}

async function trained({ session, handle }: Rank) {
  const { losses, gradNorms, correct } = await session.train(trainPlan(handle, STEPS));
  const parameters: Record<string, number[]> = {};
  for (const { name } of session.parameters()) parameters[name] = [...(await session.read(name, 'value'))];
  return { losses: [...losses], gradNorms: [...gradNorms], correct, parameters };
}

const dispose = (ranks: readonly Rank[]) => Promise.all(ranks.map(({ session }) => session.dispose()));

const failure = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail('it did not fail'),
    (error: BertuneError) => error,
  );

for (const { device } of gpus()) {
  describe(`NCCL on ${device}`, () => {
    let alone: Awaited<ReturnType<typeof trained>>;
    before(async () => {
      const one = await openSession({ device, precision: 'fp32' });
      alone = await trained(one);
      await one.session.dispose();
    });

    it('of one rank changes no bit', async function () {
      const opened = await openRanks(device, 1).catch((error: BertuneError) => error);
      if ('code' in opened) {
        expect(opened.code).to.equal('COLLECTIVE_UNAVAILABLE');
        if (device !== 'cuda-emulated') return this.skip();
        throw opened;
      }
      expect(await trained(opened[0]!)).to.deep.equal(alone);
      expect([...(await opened[0]!.session.allReduce(Float64Array.of(1, Math.PI)))]).to.deep.equal([1, Math.PI]);
      await opened[0]!.session.leaveRanks();
      await dispose(opened);
    });
  });
}

if (gpus().some(({ device }) => device === 'cuda-emulated')) {
  describe('several ranks through NCCL', () => {
    const device = 'cuda-emulated';

    it('add up gradients of all word embeddings, with memory for them from when they join', async () => {
      const run = async (joins: boolean) => {
        const model = { ...MODEL, vocabSize: 300 }; // more words than a step has tokens
        const session = await makeSession(METHODS.full!, 1, model, { device, precision: 'fp32' });
        const { gradients: others } = session.memory();
        const bytes = () => session.memory().gradients - others;
        const allBytes = 4 * model.hiddenSize * model.vocabSize + 64; // and a gap behind them
        const plan = planOfSteps(STEPS, await addExamples(session));
        const losses = [...(await session.train(plan)).losses];
        expect(bytes()).to.be.below(allBytes);
        if (joins) {
          await session.joinRanks({ rank: 0, size: 1, address: '127.0.0.1', port: await freePort() }, 30);
          expect(bytes()).to.equal(allBytes);
        }
        const { losses: later, gradNorms } = await session.train({ ...plan, firstStep: STEPS });
        await session.dispose();
        return [...losses, ...later, ...gradNorms];
      };
      expect(await run(true)).to.deep.equal(await run(false));
    });

    afterEach(() => {
      delete process.env.BERTUNE_EMULATED_NCCL;
      delete process.env.BERTUNE_NCCL;
    });

    for (const size of [2, 4]) {
      it(`come to what one does: ${size} of them`, async () => {
        const one = await openSession({ device, precision: 'fp32' });
        const alone = await trained(one);
        const ranks = await openRanks(device, size);
        const all = await Promise.all(ranks.map(trained));
        for (const each of all) expect(each).to.deep.equal(all[0]);
        expect(all[0]!.correct).to.equal(alone.correct);
        // Sums in another order.
        for (const [i, loss] of alone.losses.entries()) {
          expect(all[0]!.losses[i]).to.be.closeTo(loss, 2e-6);
          expect(all[0]!.gradNorms[i]).to.be.closeTo(alone.gradNorms[i]!, 2e-5);
        }
        expect((await ranks[0]!.session.recordings()).replayed).to.be.above(0);
        const sums = await Promise.all(
          ranks.map(({ session }, rank) => session.allReduce(Float64Array.of(rank, 2 ** 40 + rank, 1e-3))),
        );
        const whole = (size * (size - 1)) / 2;
        for (const values of sums) expect(values[1]).to.equal(size * 2 ** 40 + whole);
        await Promise.all(ranks.map(({ session }) => session.leaveRanks()));
        await dispose([one, ...ranks]);
      });
    }

    it('wait for each other no longer than they are told, and know who is missing', async () => {
      const ranks = await openRanks(device, 3, 0.5);
      const began = performance.now();
      const waiting = [ranks[0]!, ranks[2]!].map((rank) => failure(trained(rank)));
      for (const error of await Promise.all(waiting)) {
        expect(error.code).to.equal('RANK_LOST');
        expect(error.message).to.match(/^Waited 0\.5 s for rank 1 on \S+$/);
      }
      expect(performance.now() - began).to.be.below(6000);
      const later = await failure(ranks[0]!.session.allReduce(Float64Array.of(1)));
      expect([later.code, later.message]).to.deep.equal(['RANK_LOST', 'A rank was lost before']);
      // The stream goes on, with weights that no sum has spoiled.
      expect(await ranks[0]!.session.forward(ranks[0]!.handle, Int32Array.of(0), Int32Array.of(0, 1))).to.have.length(
        3,
      );
      await dispose(ranks);
    });

    it('know at once of one that is gone', async () => {
      const ranks = await openRanks(device, 3);
      const waiting = [ranks[0]!, ranks[1]!].map((rank) => failure(trained(rank)));
      await ranks[2]!.session.dispose();
      for (const error of await Promise.all(waiting)) {
        expect(error.code).to.equal('RANK_LOST');
        expect(error.message).to.match(/^Lost rank 2 on \S+, which is gone$/);
      }
      await dispose(ranks.slice(0, 2));
    });

    it('that cannot have NCCL say so', async () => {
      for (const [settings, words] of [
        ['id=2', 'NCCL failed: unhandled system error'],
        ['init=5', 'NCCL failed: invalid usage'],
        ['version=21003', 'Expected NCCL 2.14 or later but'],
      ] as const) {
        process.env.BERTUNE_EMULATED_NCCL = settings;
        const error = await failure(openRanks(device, 1));
        expect([error.code, error.message]).to.satisfy(
          ([code, message]: string[]) => code === 'COLLECTIVE_UNAVAILABLE' && message!.includes(words),
          error.message,
        );
      }
      process.env.BERTUNE_NCCL = '/nowhere/libnccl.so.2';
      const { code, message } = await failure(openRanks(device, 1));
      expect(code).to.equal('COLLECTIVE_UNAVAILABLE');
      expect(message).to.match(
        /^NCCL, .*was not found\. Install it .*Looked for: \/nowhere\/libnccl\.so\.2: cannot open/,
      );
    });

    it('end together where NCCL fails in a step', async () => {
      process.env.BERTUNE_EMULATED_NCCL = 'reduce=2@2';
      const ranks = await openRanks(device, 2);
      for (const error of await Promise.all(ranks.map((rank) => failure(trained(rank))))) {
        expect(error.code).to.equal('RANK_LOST');
        expect(error.message).to.match(/^NCCL failed: unhandled system error|^Lost rank \d on \S+, which is gone$/);
      }
      await dispose(ranks);
    });
  });
}
