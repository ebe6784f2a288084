import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { devices } from '../devices.js';
import { runProgram } from './run.js';

interface Row {
  method: string;
  steps_per_s: number;
  last_loss: number;
  nodes_per_step: number;
  idle_share_estimate?: number;
  memory: { peak: number; activations: number };
  evaluation: { texts_per_s: number };
}

const METHODS = ['full', 'lora', 'prefix', 'linear'];

describe('bench/step.js', function () {
  this.timeout(240_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-step-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function rowsOf(args: readonly string[]): Promise<Row[]> {
    const json = join(folder, 'step.json');
    const { status, stdout, stderr } = await runProgram('bench/step.js', ['--scale', 'tiny', ...args, '--json', json]);
    expect(status, `${stdout}\n${stderr}`).to.equal(0);
    return (JSON.parse(await readFile(json, 'utf8')) as { rows: Row[] }).rows;
  }

  for (const { device } of devices()) {
    it(`trains and evaluates by the four methods on ${device}`, async () => {
      const precision = device === 'cpu' ? 'fp32' : 'bf16';
      const rows = await rowsOf([
        '--device',
        device,
        '--precision',
        precision,
        '--batch',
        '4',
        '--steps',
        '3',
        '--eval',
        '4',
      ]);
      expect(rows.map(({ method }) => method)).to.deep.equal(METHODS);
      for (const row of rows) {
        expect(row.steps_per_s, row.method).to.be.greaterThan(0);
        expect(row.evaluation.texts_per_s, row.method).to.be.greaterThan(0);
        expect(row.last_loss, row.method).to.be.within(0.5, 4);
        if (device === 'cpu') continue;
        expect(row.nodes_per_step, row.method).to.be.greaterThan(5);
        expect(row.idle_share_estimate, row.method).to.be.greaterThan(0);
      }
    });
  }

  it('plans memory without training', async () => {
    const rows = await rowsOf(['--plan', '--device', 'cpu']);
    expect(rows.map(({ method }) => method)).to.deep.equal(METHODS);
    for (const { memory } of rows) expect(memory.activations).to.be.within(1, memory.peak);
  });

  it('says what is wrong with its options', async () => {
    const { status, stderr } = await runProgram('bench/step.js', ['--method', 'full,magic']);
    expect([status, stderr]).to.deep.equal([
      1,
      'error: Expected full, lora, dora, prefix, linear, lora<rank> or several with + for --method but received magic\n',
    ]);
  });
});
