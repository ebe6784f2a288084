import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { comparisonExperiments } from '../../lib/experiments/comparison.js';
import { PRESETS } from '../../lib/experiments/presets.js';
import { runInProcess } from '../../lib/experiments/runner.js';

/** Makes Node.js hang where it ends by itself, as it does now and then. */
const HANG = `process.on('exit', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))`;
const HANGING = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HANG)}` };

describe('runInProcess', function () {
  this.timeout(60_000);

  it('reports what went wrong in the process as a record', async () => {
    const [, full] = comparisonExperiments(PRESETS.quick, { methods: ['full'], data: '/nowhere/at/all' });
    const run = await runInProcess(full!);
    expect(run).to.deep.include({ name: 'full', title: 'full', status: 'failed', log_history: [] });
    expect(run.method).to.deep.equal({ kind: 'full', freeze: [] });
    expect(run.error?.code).to.equal('NOT_FOUND');
    expect(run.error?.message).to.contain('/nowhere/at/all');
  });

  it('stops a run whose signal is aborted already', async () => {
    const [, full] = comparisonExperiments(PRESETS.quick, { methods: ['full'] });
    const run = await runInProcess(full!, { signal: AbortSignal.abort() });
    expect(run).to.include({ status: 'stopped' });
    expect(run.error?.code).to.equal('ABORTED');
  });

  it('waits for the result alone, whatever becomes of the process', async () => {
    const [, full] = comparisonExperiments(PRESETS.quick, { methods: ['full'], data: '/nowhere/at/all' });
    expect((await runInProcess(full!, {}, HANGING)).error?.code).to.equal('NOT_FOUND');
  });

  it('leaves no process where the parent is gone', async () => {
    const worker = fileURLToPath(new URL('../../lib/experiments/worker.ts', import.meta.url));
    const child = fork(worker, { env: { ...process.env, ...HANGING }, serialization: 'advanced' });
    await once(child, 'message');
    child.disconnect();
    expect(await once(child, 'exit')).to.deep.equal([null, 'SIGKILL']);
  });
});
