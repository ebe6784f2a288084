import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EMULATED } from '../../bench/support/operations.js';
import { gpus } from '../devices.js';
import { loadOperations } from '../operations/addon.js';

/*
 * Which of cuBLASLt's algorithms is kept for a product: the stand-in (test/simt/cublaslt) knows 16, whose times on the emulated
 * device are as noisy as it is told.
 */

const ALGORITHMS = 16;
/** The one that is faster, where one is. */
const FASTER = ALGORITHMS / 2;
const PRODUCTS = 40;

const where = { device: EMULATED, precision: 'bf16', threads: 1 } as const;

if (gpus().some(({ device }) => device === EMULATED)) {
  describe('the choice among algorithms of cuBLASLt', () => {
    let cache: string;
    const before_ = process.env.XDG_CACHE_HOME;
    beforeEach(async () => {
      cache = await mkdtemp(join(tmpdir(), 'bertune-tuning-'));
      process.env.XDG_CACHE_HOME = cache;
    });
    afterEach(async () => {
      delete process.env.BERTUNE_EMULATED_CUBLASLT;
      if (before_ === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before_;
      await rm(cache, { recursive: true, force: true });
    });

    /** out = inp · weightᵀ (128, n) with k = 96, all ones, under a stand-in of this kind. */
    async function multiply(n: number, settings: string): Promise<Float64Array> {
      process.env.BERTUNE_EMULATED_CUBLASLT = `algorithms=${ALGORITHMS} ${settings}`;
      const [rows, k] = [128, 96];
      const out = new Float64Array(rows * n);
      const tensors = { inp: new Float64Array(rows * k).fill(1), weight: new Float64Array(n * k).fill(1), out };
      await loadOperations().runOperation('linear_forward', where, tensors, { rows, n, k }, 1);
      return out;
    }

    /** The numbers of the algorithms that were kept, by product. */
    async function kept(): Promise<Map<string, number>> {
      const files = await readdir(join(cache, 'bertune')).catch(() => []);
      const lines = await Promise.all(files.map((file) => readFile(join(cache, 'bertune', file), 'utf8')));
      const choices = lines.flatMap((text) => text.trimEnd().split('\n').slice(1));
      return new Map(
        choices.map((line) => {
          const [product, bytes] = line.split(' ') as [string, string];
          return [product, Buffer.from(bytes, 'hex').readUInt8(8)];
        }),
      );
    }

    /** Of many products, each with a noise of its own. */
    async function choices(settings: string): Promise<number[]> {
      for (let i = 0; i < PRODUCTS; i++) await multiply(96 + 8 * i, `seed=${i} computes=0 ${settings}`);
      return [...(await kept()).values()];
    }

    it('is the first where times differ by noise of 10 % alone', async () => {
      expect(await choices('noise=10')).to.deep.equal(new Array(PRODUCTS).fill(0));
    });

    it('is the faster by 30 %, as noisy as times are', async () => {
      expect(await choices('noise=10 faster=30')).to.deep.equal(new Array(PRODUCTS).fill(FASTER));
    });

    it('is the faster by 5 % where there is little noise, and the first where it gains next to nothing', async () => {
      await multiply(96, 'noise=1 faster=5 computes=0');
      await multiply(104, 'noise=0.1 faster=1 computes=0');
      expect([...(await kept()).values()]).to.have.members([FASTER, 0]);
    });

    it('passes over algorithms that do not run, and none of it shows in the product', async () => {
      const out = await multiply(96, `noise=10 refuse=${FASTER}`);
      expect(out).to.deep.equal(new Float64Array(128 * 96).fill(96));
      expect([...(await kept())]).to.deep.equal([['bf16-bf16,128,96,96,nt,96,96,96', FASTER]]);
    });

    it('is made once: what the file says is taken', async () => {
      await multiply(96, 'noise=0 faster=30 computes=0');
      expect([...(await kept()).values()]).to.deep.equal([FASTER]);
      await multiply(96, 'noise=0 computes=0');
      expect([...(await kept()).values()]).to.deep.equal([FASTER]);
    });

    it('is not made, and nothing is kept, where tuning or recordings are off', async () => {
      for (const name of ['BERTUNE_GEMM_TUNING', 'BERTUNE_CUDA_GRAPHS']) {
        process.env[name] = 'off';
        await multiply(96, 'noise=0 faster=30 computes=0').finally(() => delete process.env[name]);
        expect([...(await kept())], name).to.deep.equal([]);
      }
    });
  });
}
