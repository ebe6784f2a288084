import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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
    async function multiply(n: number, settings: string, activation = 0): Promise<Float64Array> {
      process.env.BERTUNE_EMULATED_CUBLASLT = `algorithms=${ALGORITHMS} ${settings}`;
      const [rows, k] = [128, 96];
      const out = new Float64Array(rows * n);
      const tensors = { inp: new Float64Array(rows * k).fill(1), weight: new Float64Array(n * k).fill(1), out };
      await loadOperations().runOperation('linear_forward', where, tensors, { rows, n, k, activation }, 1);
      return out;
    }

    async function keptFiles(): Promise<string[]> {
      const files = await readdir(join(cache, 'bertune')).catch(() => []);
      return files.map((file) => join(cache, 'bertune', file));
    }

    /** What was kept, by product. */
    async function keptBytes(): Promise<[string, Buffer][]> {
      const texts = await Promise.all((await keptFiles()).map((file) => readFile(file, 'utf8')));
      const lines = texts.flatMap((text) => text.trimEnd().split('\n').slice(1));
      return lines.map((line) => {
        const [product, bytes] = line.split(' ') as [string, string];
        return [product, Buffer.from(bytes, 'hex')];
      });
    }

    /** The numbers of the algorithms that were kept, by product. */
    async function kept(): Promise<Map<string, number>> {
      return new Map((await keptBytes()).map(([product, bytes]) => [product, bytes.readUInt8(8)]));
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

    it('is the own kernel, with the activation inside, where that takes less time, and is made once', async () => {
      const GELU = 1;
      // No time passes in the own kernel. What the library multiplies stays zero.
      const own = await multiply(96, 'computes=0', GELU);
      expect(own).to.deep.equal(new Float64Array(128 * 96).fill(96));
      const key = 'bf16-bf16,128,96,96,nt,96,96,96,in-place-1';
      const [file] = await keptFiles();
      expect((await keptBytes()).map(([name, bytes]) => [name, bytes.toString()])).to.deep.include([key, 'own']);
      const hex = (word: string) => Buffer.from(word).toString('hex');
      await writeFile(file!, (await readFile(file!, 'utf8')).replace(hex('own'), hex('library')));
      expect(await multiply(96, 'computes=0', GELU)).to.deep.equal(new Float64Array(128 * 96));
      process.env.BERTUNE_GEMM_TUNING = 'off';
      const untuned = await multiply(104, 'computes=0', GELU).finally(() => delete process.env.BERTUNE_GEMM_TUNING);
      expect(untuned).to.deep.equal(new Float64Array(128 * 104));
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
