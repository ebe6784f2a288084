import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/index.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { shimMissing } from './disk/shim.js';

/*
 * A system that forbids to run code which a program wrote into memory. oneDNN's products are such code; those of the BLAS are not.
 */

const run = promisify(execFile);
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;

const isPossible = shimMissing() === null && !process.env.BERTUNE_SANITIZER;

(isPossible ? describe : describe.skip)('faults: a system without generated code', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();
  let environment: NodeJS.ProcessEnv;
  beforeEach(async () => {
    const shim = directory.path('no-generated-code.so');
    await run('cc', ['-O2', '-fPIC', '-shared', '-o', shim, file('./native/no-generated-code.c')]);
    environment = { ...process.env, LD_PRELOAD: shim };
  });

  const node = async (...args: string[]) =>
    (await run(process.execPath, ['--jitless', ...args], { env: environment })).stdout.trim();

  it('trains and predicts', async () => {
    const program = file('./address-space-program.mjs');
    const model = directory.path('model');
    const loaded = await TextClassifier.load(file('../../assets/models/bert-mini'), { labels: ['no', 'maybe', 'yes'] });
    await loaded.save(model);
    await loaded.dispose();
    for (const task of ['train', 'predict']) expect(await node(program, LIBRARY, model, task, 'main')).to.equal('done');
  });

  it('has none of the precisions that take it', async () => {
    const { devices } = JSON.parse(await node(file('../../dist/cli/main.js'), 'inspect', '--json'));
    expect(devices[0].precisions).to.deep.equal(['fp32', 'fp64']);
  });
});
