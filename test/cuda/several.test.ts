import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { gpus } from '../devices.js';
import { openSession, trainPlan } from '../native/support.js';

/* Several GPUs of one machine: the emulator has as many as it is told, and launches nothing on a stream of another. */

const STEPS = 4; // the last ones are replayed

async function trainOn(device: string) {
  const { session, handle } = await openSession({ device, precision: 'fp32' });
  const { losses } = await session.train(trainPlan(handle, STEPS));
  const { replayed } = await session.recordings();
  return { session, losses: [...losses], replayed };
}

if (gpus().some(({ device }) => device === 'cuda-emulated')) {
  describe('several GPUs', () => {
    before(() => {
      process.env.BERTUNE_EMULATED_DEVICES = '3';
    });
    after(() => {
      delete process.env.BERTUNE_EMULATED_DEVICES;
    });

    const refusal = (device: string) =>
      openSession({ device, precision: 'fp32' }).then(
        () => expect.fail('it was opened'),
        (error: BertuneError) => error,
      );

    it('run a session each at once, in memory of their own', async () => {
      const [first, second, third] = await Promise.all(
        ['cuda-emulated:0', 'cuda-emulated:1', 'cuda-emulated:2'].map(trainOn),
      );
      expect(first!.replayed).to.be.above(0);
      expect(second!.losses).to.deep.equal(first!.losses);
      expect(third!.losses).to.deep.equal(first!.losses);
      // All of a device that nobody else uses, but for what was rounded up.
      const { device, total } = second!.session.memory();
      expect(device).to.be.within(total, 1.1 * total);
      for (const { session } of [first!, third!]) await session.dispose();
      const handle = await second!.session.addDataset({ ids: Int32Array.of(1, 2), offsets: Int32Array.of(0, 2) });
      expect(await second!.session.forward(handle, Int32Array.of(0), Int32Array.of(0, 1))).to.have.length(3);
      await second!.session.dispose();
    });

    it('are numbered: one that is not there is an error that says how many are', async () => {
      const error = await refusal('cuda-emulated:3');
      expect(error).to.be.instanceOf(BertuneError);
      expect(error.code).to.equal('CUDA_UNAVAILABLE');
      expect(error.message).to.include('the driver shows 3 GPUs, numbered from 0');
      expect((await refusal('cuda-emulated:-1')).code).to.equal('INVALID_OPTION');
    });
  });
}
