import { expect } from 'chai';
import { comparisonExperiments } from '../../lib/experiments/comparison.js';
import { PRESETS } from '../../lib/experiments/presets.js';
import { runInProcess } from '../../lib/experiments/runner.js';

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
});
