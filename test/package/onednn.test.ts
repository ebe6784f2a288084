import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { Precision } from '../../lib/index.js';
import { BUILD_TIMEOUT_MS, installedProject, isPortable, onLinux, type Project, ROOT } from './project.js';

/*
 * oneDNN in the published addon: that it is there, needs nothing else, and that results are those of this clone's own build, with
 * all of the processor's instructions and with fewer.
 */

const run = promisify(execFile);

type Values = Partial<Record<Precision, number[]>>;

interface Found {
  losses: Values;
  logits: Values;
}

/** Trains in fp32 and bf16, then predicts with what that came to; in int8 with what fp32 came to. */
const PROGRAM = `
import { loadDataset, TextClassifier, Trainer } from 'bertune';
const data = await loadDataset('goemotions6');
const load = (path, precision) => TextClassifier.load(path, { labels: data.labels, device: 'cpu', threads: 2, precision });
const [precisions, trained] = [process.argv[2].split(','), process.argv[3]];
const found = { losses: {}, logits: {} };
for (const precision of precisions) {
  const model = await load(precision === 'int8' ? trained : 'bert-mini', precision);
  if (precision !== 'int8') {
    const trainer = new Trainer(model, { maxSteps: 8, learningRate: 3e-4, loggingSteps: 1, seed: 7 });
    const { logHistory } = await trainer.train(data.train);
    found.losses[precision] = logHistory.flatMap((row) => ('loss' in row ? [row.loss] : []));
  }
  if (precision === 'fp32') await model.save(trained);
  found.logits[precision] = Array.from((await model.logits(data.test.texts.slice(0, 40))).logits);
  await model.dispose();
}
console.log(JSON.stringify(found));
`;

/** How far results of two builds may be apart, beside the largest of them: they sum in different orders. */
const TOLERANCES: Record<string, number> = { fp32: 1e-4, bf16: 0.03, int8: 0.05 };

(onLinux ? describe : describe.skip)('oneDNN in the published addon', () => {
  let project: Project;
  const addon = () => join(project.folder, 'node_modules/@bertune/linux-x64/bertune.node');

  before(async function () {
    // Building it takes minutes; `npm run package` and `npm run test:package` do, and keep what they built.
    if (!isPortable) this.skip();
    this.timeout(BUILD_TIMEOUT_MS);
    project = await installedProject();
    await writeFile(join(project.folder, 'results.mjs'), PROGRAM);
  });

  /** What `inspect` says of the CPU. */
  async function processor(
    environment: NodeJS.ProcessEnv = {},
  ): Promise<{ libraries: string; precisions: Precision[] }> {
    const { status, stdout, stderr } = await project.bertune(['inspect', '--json'], environment);
    expect(status, stderr).to.equal(0);
    return JSON.parse(stdout).devices.find(({ device }: { device: string }) => device === 'cpu');
  }

  async function results(precisions: Precision[], environment: NodeJS.ProcessEnv = {}): Promise<Found> {
    const trained = await mkdtemp(join(project.folder, 'trained-'));
    const args = ['results.mjs', precisions.join(), join(trained, 'model')];
    const { status, stdout, stderr } = await project.execute(process.execPath, args, environment);
    expect(status, stderr).to.equal(0);
    return JSON.parse(stdout);
  }

  function expectNear(found: Values, expected: Values): void {
    expect(Object.keys(found)).to.deep.equal(Object.keys(expected));
    for (const [precision, values] of Object.entries(found)) {
      const wanted = expected[precision as Precision]!;
      expect(values.length).to.equal(wanted.length).and.above(0);
      const largest = Math.max(...wanted.map(Math.abs));
      const furthest = Math.max(...values.map((value, i) => Math.abs(value - wanted[i]!)));
      expect(furthest / largest, precision).to.be.below(TOLERANCES[precision]!);
    }
  }

  it('is there, shows nothing of itself, and brings no OpenMP', async () => {
    const { libraries } = await processor();
    expect(libraries).to.match(/^oneDNN 3\.7\.2 \w+$/);
    const { stdout: headers } = await run('objdump', ['-p', addon()]);
    expect(headers).not.to.match(/NEEDED.*(?:gomp|omp|dnnl)/);
    const { stdout: symbols } = await run('objdump', ['-T', addon()]);
    expect(symbols).not.to.match(/dnnl|GOMP|omp_/);
  });

  it('comes with its license and those of what it contains', async () => {
    const notice = await readFile(join(addon(), '../NOTICE'), 'utf8');
    for (const words of ['oneDNN, part of bertune.node', 'Intel Corporation', 'MITSUNARI Shigeo'])
      expect(notice).to.include(words);
    expect(await readFile(join(addon(), '../LICENSE'), 'utf8')).to.include('Apache License');
  });

  it("trains and predicts as this clone's own build does, in every precision of both", async function () {
    this.timeout(BUILD_TIMEOUT_MS);
    const own = { BERTUNE_ADDON: join(ROOT, 'build/Release/bertune.node') };
    const { precisions: ours } = await processor(own);
    const { precisions: theirs } = await processor();
    const both = (['fp32', 'bf16', 'int8'] as const).filter((each) => ours.includes(each) && theirs.includes(each));
    const expected = await results(both, own);
    const found = await results(both);
    expectNear(found.losses, expected.losses);
    expectNear(found.logits, expected.logits);
  });

  for (const [isa, has] of [
    ['AVX2', { bf16: false, int8: false }],
    ['AVX512_CORE', { bf16: false, int8: false }],
  ] as const) {
    it(`comes to the same with ${isa} alone`, async function () {
      this.timeout(BUILD_TIMEOUT_MS);
      const limit = { ONEDNN_MAX_CPU_ISA: isa };
      const { precisions } = await processor(limit);
      expect({ bf16: precisions.includes('bf16'), int8: precisions.includes('int8') }).to.deep.equal(has);
      expectNear((await results(['fp32'], limit)).logits, (await results(['fp32'])).logits);
    });
  }
});
