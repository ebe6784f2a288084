import { join } from 'node:path';
import { expect } from 'chai';
import { loadNative } from '../../lib/native/index.js';
import { inRepository, runCli, withFolder } from './run-cli.js';

const { precisions } = loadNative()
  .devices()
  .find(({ device }) => device === 'cpu')!;
const data = ['--data', inRepository('assets/data/goemotions6')];
const cpu = ['--device', 'cpu'];
const train = [
  'train',
  '--model',
  'bert-mini',
  ...data,
  ...cpu,
  '--method',
  'lora',
  '--max-steps',
  '2',
  '--eval',
  'no',
];

describe('--precision on the CPU', function () {
  this.timeout(240_000);

  it('is bf16 for auto where the processor has it, and says so', async () => {
    await withFolder(async (folder) => {
      const run = await runCli([...train, '--precision', 'auto', '--output', join(folder, 'out')]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr + run.stdout).to.contain(`cpu ${precisions.includes('bf16') ? 'bf16' : 'fp32'}`);
    });
  });

  it('int8 is measured beside fp32, and does not train', async function () {
    if (!precisions.includes('int8')) this.skip();
    await withFolder(async (folder) => {
      const out = join(folder, 'out');
      const run = await runCli([...train, '--output', out]);
      expect(run.status, run.stderr).to.equal(0);
      const evaluate = ['evaluate', '--model', out, ...data, ...cpu, '--precision'];
      const table = await runCli([...evaluate, 'int8']);
      expect(table.stdout)
        .to.contain('int8 beside fp32')
        .and.match(/accuracy +0\.\d{4} +0\.\d{4} +-?0\.\d{4}/i);
      const [bytes, single] = [
        await runCli([...evaluate, 'int8', '--json']),
        await runCli([...evaluate, 'fp32', '--json']),
      ];
      const [found, expected] = [JSON.parse(bytes.stdout), JSON.parse(single.stdout)];
      expect(found.environment.precision).to.equal('int8');
      expect(found.fp32).to.deep.equal({
        loss: expected.loss,
        accuracy: expected.accuracy,
        f1_macro: expected.f1_macro,
      });
      expect(expected).to.not.have.property('fp32');
      expect(found.loss).to.not.equal(expected.loss);
      expect(found.loss).to.be.closeTo(expected.loss, 0.05);

      const refused = await runCli([...train, '--precision', 'int8', '--output', join(folder, 'none')]);
      expect(refused.status).to.equal(2);
      expect(refused.stderr).to.contain('load it with --precision fp32');
    });
  });

  it('is fp32 on a processor without AVX-512, which computes as before', async () => {
    await withFolder(async (folder) => {
      const environment = { ONEDNN_MAX_CPU_ISA: 'AVX2' };
      const { stdout } = await runCli(['inspect', '--json'], { environment });
      const found = JSON.parse(stdout).devices.find(({ device }: { device: string }) => device === 'cpu');
      expect(found.precisions).to.deep.equal(['fp32', 'fp64']);
      const run = await runCli([...train, '--output', join(folder, 'out')], { environment });
      expect(run.status, run.stderr).to.equal(0);
    });
  });

  it('is one that the processor has', async () => {
    const refused = await runCli([...train, '--precision', 'tf32', '--output', 'none']);
    expect(refused.status).to.equal(2);
    expect(refused.stderr).to.contain(precisions.join(', '));
  });
});
