import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { devices } from '../devices.js';
import { loadOperations } from '../operations/addon.js';
import { runProgram } from './run.js';

interface Row {
  operation: string;
  trial: string;
  batch?: string;
  microseconds: number;
  bytes: number;
  flops: number;
  share?: number;
}

describe('bench/kernels.js', function () {
  this.timeout(240_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-kernels-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function rowsOf(args: readonly string[]): Promise<Row[]> {
    const json = join(folder, 'kernels.json');
    const { status, stdout, stderr } = await runProgram('bench/kernels.js', [...args, '--quick', '--json', json]);
    expect(status, `${stdout}\n${stderr}`).to.equal(0);
    return (JSON.parse(await readFile(json, 'utf8')) as { rows: Row[] }).rows;
  }

  it('times every operation of the backend', async () => {
    const rows = await rowsOf(['--scale', 'tiny', '--device', 'cpu']);
    expect(new Set(rows.map(({ operation }) => operation))).to.deep.equal(new Set(loadOperations().operations()));
    for (const row of rows) {
      const what = `${row.operation} ${row.trial}`;
      expect(row.microseconds, what).to.be.greaterThan(0);
      expect(row.bytes, what).to.be.greaterThan(0);
      if (row.trial !== 'copy' && row.trial !== 'product') expect(row.share, what).to.be.greaterThan(0);
    }
  });

  it('counts what an operation has to move and to multiply', async () => {
    const rows = await rowsOf(['--scale', 'tiny', '--device', 'cpu', '--only', 'fc1,residual norm', '--tokens', '3x8']);
    const find = (operation: string, trial: string) =>
      rows.find((row) => row.operation === operation && row.trial === trial);
    const [T, C, F] = [24, 64, 128];
    const forward = find('linear_forward', 'fc1');
    expect(forward?.flops).to.equal(2 * T * C * F);
    expect(forward?.bytes).to.equal(4 * (T * C + F * C + F + 2 * T * F));
    const norm = find('dropout_residual_layernorm_forward', 'residual norm');
    expect(norm?.flops).to.equal(0);
    expect(norm?.bytes).to.equal(4 * (4 * T * C + 2 * C + 2 * T));
  });

  it('times matrix products by each provider, and says which the library takes', async () => {
    const json = join(folder, 'products.json');
    const args = ['--products', '--scale', 'tiny', '--quick', '--json', json];
    const { status, stdout, stderr } = await runProgram('bench/kernels.js', args);
    expect(status, `${stdout}\n${stderr}`).to.equal(0);
    type Product = { m: number; n: number; k: number; gflops: Record<string, number>; takes: string };
    const { products } = JSON.parse(await readFile(json, 'utf8')) as { products: Product[] };
    expect(products.length).to.be.greaterThan(100);
    for (const { m, n, k, gflops, takes } of products) {
      const what = `${m} ${n} ${k}`;
      expect(Object.keys(gflops), what).to.include('blas').and.to.include(takes);
      for (const rate of Object.values(gflops)) expect(rate, what).to.be.greaterThan(0);
    }
  });

  for (const { device } of devices().filter((item) => item.device !== 'cpu')) {
    it(`runs on ${device}`, async () => {
      const only = 'gather,first_rows,keep,cast,cross,attention_forward attention,[CLS]';
      const args = ['--scale', 'tiny', '--device', device, '--precision', 'bf16', '--tokens', '3x8'];
      const rows = await rowsOf([...args, '--only', only]);
      expect(rows.length).to.be.greaterThan(20);
    });
  }

  it('says what is wrong with its options', async () => {
    const unknown = await runProgram('bench/kernels.js', ['--only', 'nothing of this name']);
    expect(unknown.status).to.equal(1);
    expect(unknown.stderr).to.match(/^error: Expected --only to name operations/);
    const device = await runProgram('bench/kernels.js', ['--device', 'tpu']);
    expect(device.stderr).to.match(/^error: Expected one of cpu/);
  });
});
