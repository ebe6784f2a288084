import { spawnSync } from 'node:child_process';
import { cpSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { TextClassifier } from '../../../lib/index.js';
import { expectRefusal } from '../../lib/files.js';
import { scaled } from '../scale.js';
import { listFiles } from './contents.js';
import { runCli, runProgram, useBench } from './run.js';
import { type Fault, readLog } from './shim.js';

/** When a writer is killed: as soon as its journal has its name, or once the weights have theirs too. */
const MOMENTS: Record<string, (weights: string) => Fault> = {
  // The first save was of a new directory, and has no journal.
  'half-way': (weights) => ({ match: `/${weights}`, at: 2 }),
  'as its journal appears': () => ({ match: '.bertune-journal.json', at: 1 }),
};

describe('those who read', function () {
  this.timeout(scaled(240_000, 600_000));
  let readers = 0;
  const bench = useBench(() => ({ 'disk: commands and programs that read, with no call that writes': readers }));
  const models = () => join(bench.folder, 'disk', 'models');

  /** A model and an adapter whose writers are killed, and what the newer of each is known by. */
  async function killWriters(moment: (weights: string) => Fault) {
    const known = await Promise.all(
      [
        ['full', 'model.safetensors'],
        ['lora', 'adapter_model.safetensors'],
      ].map(async ([kind, weights]) => {
        const directory = join(models(), kind!);
        const fault = { ...moment(weights!), calls: ['rename'], do: 'kill-after' } as const;
        const args = [join(bench.folder, 'model'), directory, kind!];
        const ending = await runProgram('writer-program.ts', args, { under: directory, fault });
        expect(ending.signal, ending.stderr).to.equal('SIGKILL');
        expect(readdirSync(directory)).to.include('.bertune-journal.json');
        return (JSON.parse(ending.stdout.split('\n')[0]!) as [string, string])[1];
      }),
    );
    return { full: known[0]!, lora: known[1]! };
  }

  /** Everything below the models' folder but times of reading. */
  const everything = () =>
    readdirSync(models(), { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const path = join(models(), name);
        const { ino, mode, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
        const target = lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '';
        return [name, ino, mode, mtimeNs, ctimeNs, target].join();
      });

  /** Reads the models in every way, and checks that no call could have written there. */
  async function readAll(known: { full: string; lora: string }, title: string, most = Infinity): Promise<void> {
    const before = everything();
    const log = join(bench.folder, `${title.replaceAll(/\W+/g, '-')}.log`);
    const quietly = { under: models(), fault: { log } };
    const [full, lora] = [join(models(), 'full'), join(models(), 'lora')];
    const copy = bench.output('copy');

    const program = await runProgram('reader-program.ts', [full, lora, join(bench.folder, 'model'), copy], quietly);
    expect(program.status, program.stderr).to.equal(0);
    const { full: model, lora: adapter } = known;
    const wanted = { model, copy: model, adapter, chosen: adapter, beside: adapter };
    expect(JSON.parse(program.stdout), title).to.deep.equal(wanted);

    const test = join(bench.folder, 'test.jsonl');
    const device = ['--device', 'cpu', '--threads', '1'];
    const resumed = bench.output('resumed');
    const resume = ['--resume', join(models(), 'run', 'checkpoint-2')];
    const commands = [
      ['predict', '--model', lora, ...device, 'the day was good'],
      ['predict', '--model', full, ...device, 'the day was good'],
      ['inspect', full],
      ['evaluate', '--model', full, '--test-file', test, ...device],
      ['inspect', lora, '--tensors'],
      ['export', '--model', lora, '--output', bench.output('exported')],
      bench.arguments(resumed, resume),
    ];
    for (const args of commands.slice(0, most)) {
      const ending = await runCli(args, quietly);
      expect(ending.status, `${title}: ${args.join(' ')}: ${ending.stderr}`).to.equal(0);
      expect(ending.stderr, args.join(' ')).not.to.include('Ignored ');
      readers++;
    }
    expect(listFiles(copy)).to.include('model.safetensors');
    expect(readLog(log), title).to.deep.equal([]);
    expect(everything(), title).to.deep.equal(before);
  }

  async function train(): Promise<void> {
    const saving = ['--quiet', '--save-strategy', 'steps', '--save-steps', '2'];
    const run = await bench.train(join(models(), 'run'), saving);
    expect(run.status, run.stderr).to.equal(0);
  }

  for (const [title, moment] of Object.entries(MOMENTS).slice(0, scaled(1, 2))) {
    it(`open nothing for writing, and find the new model and adapter after a writer was killed ${title}`, async () => {
      bench.output('models');
      const known = await killWriters(moment);
      await train();
      await readAll(known, title);
    });
  }

  it('can do so where nobody can write', async function () {
    const readOnly = bench.output('models');
    const where = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', made(readOnly)]);
    if (where.status !== 0) {
      console.log('      not tried: mount is not permitted');
      this.skip();
    }
    try {
      const known = await killWriters(MOMENTS['half-way']!);
      await train();
      spawnSync('mount', ['-o', 'remount,ro', readOnly]);
      expect(() => writeFileSync(join(readOnly, 'x'), '')).to.throw('EROFS');
      await readAll(known, 'read-only', scaled(3, Infinity));
    } finally {
      spawnSync('umount', [readOnly]);
    }
  });

  it('refuse a copy of a directory in which a save was interrupted, and are told of a journal that is left of one', async () => {
    bench.output('models');
    await killWriters(MOMENTS['as its journal appears']!);
    const [full, lora] = ['full', 'lora'].map((kind) => {
      const copy = bench.output(`copied-${kind}`);
      cpSync(join(models(), kind), copy, { recursive: true });
      return copy;
    }) as [string, string];
    const options = ['--device', 'cpu', '--threads', '1'];
    // The adapter alone was copied.
    const baseOf = (copy: string) => (copy === lora ? ['--base', join(bench.folder, 'model')] : []);
    const predict = (copy: string) => runCli(['predict', '--model', copy, ...baseOf(copy), ...options, 'good']);
    await using base = await TextClassifier.load(join(bench.folder, 'model'), { device: 'cpu', threads: 1 });
    await expectRefusal(base.loadAdapter('copied', lora), 'CHECKPOINT_INVALID', `${lora} is a copy`);
    for (const copy of [full, lora]) {
      for (const ending of [await predict(copy), await runCli(['inspect', copy])]) {
        expect(ending.status, ending.stderr).to.equal(1);
        expect(ending.stderr).to.include('error [CHECKPOINT_INVALID]: ').and.to.include(`${copy} is a copy`);
      }
      for (const name of readdirSync(copy)) if (name.endsWith('.tmp')) rmSync(join(copy, name));
      const ending = await predict(copy);
      expect(ending.status, ending.stderr).to.equal(0);
      expect(ending.stderr).to.include('note: Ignored ').and.to.include(join(copy, '.bertune-journal.json'));
    }
    await base.loadAdapter('copied', lora);
  });
});

function made(directory: string): string {
  mkdirSync(directory, { recursive: true });
  return directory;
}
