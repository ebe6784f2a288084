import { expect } from 'chai';
import { loadNative } from '../../lib/native/index.js';
import { runProgram } from './run.js';

describe('scripts/test-gpu.js', function () {
  this.timeout(120_000);
  const device = (name: string) =>
    loadNative()
      .devices()
      .find((item) => item.device === name);

  it('fails with the reason where the GPU cannot be used', async function () {
    if (device('cuda')?.available) this.skip();
    const { status, stderr } = await runProgram('scripts/test-gpu.js', ['--no-build', '--only', 'operations']);
    expect(status).to.equal(1);
    expect(stderr).to.include(`cuda cannot: ${device('cuda')?.reason}`);
  });

  it('runs its tests on a device and says how many passed', async function () {
    if (!device('cuda-emulated')?.available) this.skip();
    const args = [
      '--no-build',
      '--device',
      'cuda-emulated',
      '--only',
      'operations',
      '--files',
      'cast',
      '--grep',
      'cast_to_real',
    ];
    const { status, stdout, stderr } = await runProgram('scripts/test-gpu.js', args);
    expect(status, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/\noperations +[1-9]\d* passed, 0 failed \(\d+ s\)\n$/);
  });

  it('names its stages', async () => {
    const { status, stderr } = await runProgram('scripts/test-gpu.js', ['--only', 'everything']);
    expect([status, stderr]).to.deep.equal([
      1,
      'bertune: Expected operations, goldens, cuda, sanitizer but received everything\n',
    ]);
  });
});
