import { expect } from 'chai';
import type { BertuneError } from '../../lib/errors.js';
import { loadNative, type NativeSession } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { loraAdapter, tensor } from './adapters.js';
import { nativeAdapter, nativeConfig } from './shape.js';
import { dataset, initialize, MODEL, sessionConfig, startsOf } from './support.js';

const C = MODEL.hiddenSize;

const ORDER = Int32Array.of(0, 3, 5, 7, 2);
const STARTS = startsOf(5);

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as BertuneError).code;
  }
  return 'none';
}

describe('adapters of a native session', () => {
  for (const { device } of devices()) {
    describe(`on ${device}`, () => {
      let session: NativeSession;
      let handle: number;

      const open = async () => {
        const config = sessionConfig({ device, precision: 'fp32', trainable: [], decay: [], lora: null, prefix: null });
        session = await loadNative().createSession(nativeConfig(config));
        await initialize(session);
        handle = await session.addDataset(dataset());
      };
      afterEach(() => session?.dispose());

      it('are counted, and leave nothing behind', async () => {
        await open();
        await session.forward(handle, ORDER, STARTS);
        const before = session.memory();
        expect(before.adapters).to.equal(0);
        const first = await session.addAdapter(...loraAdapter());
        const second = await session.addAdapter(...loraAdapter(2, 1));
        expect([first, second]).to.deep.equal([1, 2]);
        const loaded = session.memory();
        expect(loaded.adapters).to.be.above(4 * (2 * 3 * 2 * C + 4 * C + 4));
        expect(loaded.total - before.total).to.equal(loaded.adapters);
        const rows = await session.forwardMixed(handle, ORDER, STARTS, Int32Array.of(1, 2, 0, 1, 2));
        expect(rows).to.have.length(5 * 4);
        expect(session.memory().adapters).to.be.above(loaded.adapters);
        await session.removeAdapter(first);
        await session.removeAdapter(second);
        expect(session.memory().adapters).to.equal(0);
        // The logits of a call have grown by the adapters' classes; their memory is that of calls, and kept.
        const left = session.memory();
        expect(left.total - left.activations).to.equal(before.total - before.activations);
        expect(await session.addAdapter(...loraAdapter())).to.equal(3);
      });

      it('are removed after what was asked for before', async () => {
        await open();
        const adapter = await session.addAdapter(...loraAdapter());
        const handles = new Int32Array(5).fill(adapter);
        const expected = await session.forwardMixed(handle, ORDER, STARTS, handles);
        const queued = session.forwardMixed(handle, ORDER, STARTS, handles);
        const removed = session.removeAdapter(adapter);
        const late = refusal(() => session.forwardMixed(handle, ORDER, STARTS, handles));
        expect(await queued).to.deep.equal(expected);
        await removed;
        expect(await late).to.equal('NOT_FOUND');
        expect(await refusal(() => session.removeAdapter(adapter))).to.equal('NOT_FOUND');
        expect(await refusal(() => session.removeAdapter(0))).to.equal('NOT_FOUND');
      });

      it('give the same again and again, as they come and go', async () => {
        await open();
        const plain = await session.forward(handle, ORDER, STARTS);
        const one = await session.addAdapter(...loraAdapter(3, 3, 0.5));
        const handles = Int32Array.of(one, 0, one, 0, one);
        const expected = await session.forwardMixed(handle, ORDER, STARTS, handles);
        for (let i = 0; i < 4; i++) {
          expect(await session.forwardMixed(handle, ORDER, STARTS, handles)).to.deep.equal(expected);
        }
        const other = await session.addAdapter(...loraAdapter(3, 2, 0.9));
        for (let i = 0; i < 4; i++) {
          expect(await session.forwardMixed(handle, ORDER, STARTS, handles)).to.deep.equal(expected);
          const swapped = handles.map((value) => (value === one ? other : value));
          const found = await session.forwardMixed(handle, ORDER, STARTS, swapped);
          expect(found).to.not.deep.equal(expected);
          for (const row of [1, 3]) {
            for (let c = 0; c < 3; c++) expect(found[3 * row + c]).to.be.closeTo(plain[3 * row + c]!, 1e-5);
          }
        }
        expect(await session.forward(handle, ORDER, STARTS)).to.deep.equal(plain);
      });

      it('refuse tensors that are not theirs', async () => {
        await open();
        const [config, tensors] = loraAdapter();
        const memory = session.memory();
        const { modules } = config.lora!;
        const changed = (changes: object) => refusal(() => session.addAdapter({ ...config, ...changes }, tensors));
        expect(await changed({ labels: 5 })).to.equal('SHAPE_MISMATCH');
        expect(
          await changed({ lora: { modules: modules.map((module) => ({ ...module, rank: 2 ** 31 - 1 })) } }),
        ).to.equal('SHAPE_MISMATCH');
        expect(await changed({ lora: { modules: [modules[0]] } })).to.equal('INVALID_OPTION');
        expect(await changed({ lora: { modules: [modules[0], modules[0]] } })).to.equal('INVALID_OPTION');
        expect(await changed({ lora: { modules: [{ ...modules[0], role: 'classifier', layer: -1 }] } })).to.equal(
          'INVALID_OPTION',
        );
        expect(await changed({ lora: { modules: [{ ...modules[0], layer: 7 }] } })).to.equal('NOT_FOUND');
        expect(await changed({ prefix: { virtualTokens: 2 } })).to.equal('INVALID_OPTION');
        expect(await changed({ lora: null, prefix: { virtualTokens: MODEL.maxPositions } })).to.equal('INVALID_OPTION');
        expect(await refusal(() => session.addAdapter(config, tensors.slice(1)))).to.equal('NOT_FOUND');
        expect(await refusal(() => session.addAdapter(config, [...tensors, tensors[0]!]))).to.equal('INVALID_OPTION');
        expect(session.memory()).to.deep.equal(memory);
      });

      it('refuse texts that do not fit behind a prefix', async () => {
        await open();
        const virtualTokens = MODEL.maxPositions - 4;
        const adapter = await session.addAdapter(
          ...nativeAdapter(MODEL, { labels: 2, lora: null, prefix: { virtualTokens } }, [
            tensor('prompt_encoder.embedding.weight', virtualTokens * 2 * MODEL.layers * C),
            tensor('classifier.weight', 2 * C),
            tensor('classifier.bias', 2),
          ]),
        );
        const forward = (example: number) =>
          session.forwardMixed(handle, Int32Array.of(example), startsOf(1), Int32Array.of(adapter));
        expect(await forward(3)).to.have.length(3);
        expect(await refusal(() => forward(4))).to.equal('INVALID_DATA');
      });

      it('refuse a batch of two prefixes', async () => {
        await open();
        const adapter = await session.addAdapter(
          ...nativeAdapter(MODEL, { labels: 2, lora: null, prefix: { virtualTokens: 2 } }, [
            tensor('prompt_encoder.embedding.weight', 2 * 2 * MODEL.layers * C),
            tensor('classifier.weight', 2 * C),
            tensor('classifier.bias', 2),
          ]),
        );
        const handles = Int32Array.of(adapter, adapter, 0, 0, 0);
        const forward = (...starts: number[]) => session.forwardMixed(handle, ORDER, Int32Array.of(...starts), handles);
        expect(await refusal(() => forward(0, 5))).to.equal('INVALID_OPTION');
        expect(await refusal(() => forward(0, 1, 3, 5))).to.equal('INVALID_OPTION');
        expect(await forward(0, 2, 5)).to.have.length(15);
      });

      if (device === 'cuda-emulated') {
        it('are added whole or not at all where memory runs out', async () => {
          let refused = 0;
          for (let allocation = 0; allocation < 60; allocation++) {
            process.env.BERTUNE_EMULATED_FAIL_ALLOCATION = String(allocation);
            try {
              await open();
            } catch (error) {
              expect((error as BertuneError).code).to.equal('OUT_OF_MEMORY');
              continue;
            } finally {
              delete process.env.BERTUNE_EMULATED_FAIL_ALLOCATION;
            }
            const memory = session.memory().adapters;
            const code = await refusal(() => session.addAdapter(...loraAdapter()));
            if (code !== 'none') {
              refused++;
              expect(code).to.equal('OUT_OF_MEMORY');
              expect(session.memory().adapters).to.equal(memory);
              expect(await session.addAdapter(...loraAdapter())).to.equal(1);
            }
            const handles = new Int32Array(5).fill(1);
            const forward = () => session.forwardMixed(handle, ORDER, STARTS, handles);
            const first = await refusal(forward);
            expect(first).to.be.oneOf(['none', 'OUT_OF_MEMORY']);
            expect(await forward()).to.have.length(20);
            await session.dispose();
            if (code === 'none' && first === 'none') break;
          }
          // The adapter's own memory, and that of the tables.
          expect(refused).to.equal(2);
        });
      }
    });
  }
});
