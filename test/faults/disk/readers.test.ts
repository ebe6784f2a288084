import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { TextClassifier } from '../../../lib/index.js';
import { bundled } from '../../bundled.js';
import { randomNumbers } from '../../lib/tiny-model.js';
import { LONG, note, scaled } from '../scale.js';
import { nameOf } from './names.js';
import { Bench } from './run.js';

const PROGRAM = await bundled('writer-program.ts', import.meta.url);

/** What takes too long for `npm test -- --all`. */
const itLong = LONG ? it : it.skip;

/** What a loaded model is known by. */
async function load(directory: string): Promise<string> {
  await using model = await TextClassifier.load(directory, { device: 'cpu', threads: 1 });
  const { logits } = await model.logits(['the day was good']);
  return nameOf(model.labels, logits);
}

describe('readers of a directory that is written to', function () {
  this.timeout(scaled(120_000, 1_200_000));
  const bench = new Bench();
  const figures = { loads: 0, adapters: 0, saves: 0, kills: 0 };

  before(() => bench.prepare());
  after(() => {
    bench.remove();
    note('disk: models loaded while another process saved over them', figures.loads);
    note('disk: adapters put beside a model while another process saved over them', figures.adapters);
    note('disk: saves meanwhile', figures.saves);
    note('disk: kill -9 of the process that saved', figures.kills);
  });

  /** Starts a writer. Resolves with what its two models are known by, once the first is saved. */
  async function write(directory: string, kind: string): Promise<{ child: ChildProcess; known: string[] }> {
    const child = spawn(process.execPath, [PROGRAM, join(bench.folder, 'model'), directory, kind], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const [first] = (await once(lines, 'line')) as [string];
    lines.on('line', () => figures.saves++);
    return { child, known: JSON.parse(first) as string[] };
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  for (const kind of ['lora', 'full'].slice(0, scaled(1, 2))) {
    it(`find the old model or the new one, never both or neither: ${kind}`, async () => {
      const directory = bench.output(kind);
      const { child, known } = await write(directory, kind);
      try {
        expect(known[0]).not.to.equal(known[1]);
        const seen = new Set<string>();
        for (let i = 0; i < scaled(4, 500); i++) {
          const found = await load(directory);
          expect(known, `load ${i}`).to.include(found);
          seen.add(found);
          figures.loads++;
        }
        expect(child.exitCode).to.equal(null);
        if (LONG) expect(seen.size, 'both models were seen').to.equal(2);
      } finally {
        await end(child);
      }
    });
  }

  it('find the old adapter or the new one to put beside a model', async () => {
    const directory = bench.output('beside');
    const { child, known } = await write(directory, 'lora');
    try {
      await using base = await TextClassifier.load(join(bench.folder, 'model'), { device: 'cpu', threads: 1 });
      for (let i = 0; i < scaled(20, 1000); i++) {
        const { labels } = await base.loadAdapter('saved', directory);
        const { logits } = await base.logits(['the day was good'], { adapter: 'saved' });
        expect(known, `load ${i}`).to.include(nameOf(labels, logits));
        await base.unloadAdapter('saved');
        figures.adapters++;
      }
    } finally {
      await end(child);
    }
  });

  itLong('find one of both after the writer is killed, at whatever moment', async () => {
    const directory = bench.output('killed');
    const random = randomNumbers(11);
    for (let i = 0; i < 30; i++) {
      const { child, known } = await write(directory, i % 2 === 0 ? 'full' : 'lora');
      await new Promise((resolve) => setTimeout(resolve, 40 + random() * 400));
      await end(child);
      figures.kills++;
      expect(known, `kill ${i}`).to.include(await load(directory));
      figures.loads++;
    }
  });
});
