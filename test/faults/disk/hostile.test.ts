import {
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { JOURNAL_FILE, type Journal, writeJournal } from '../../../lib/files/journal.js';
import { LOCK_FILE } from '../../../lib/files/lock.js';
import { MODEL_FILES } from '../../../lib/files/model-files.js';
import { full, lora, type Method, TextClassifier, Trainer } from '../../../lib/index.js';
import { expectRefusal } from '../../lib/files.js';
import { tinySplit } from '../../lib/tiny-model.js';
import { note, scaled } from '../scale.js';
import { Bench, type Ending, runCli } from './run.js';

const CPU = { device: 'cpu', threads: 1 } as const;
const DEVICE = ['--device', 'cpu', '--threads', '1'];
const TEMPORARY = '.bertune-0123456789abcdef.tmp';

/** What a stranger may write down to be done. */
const JOURNALS: Record<string, Journal> = {
  'through a link to a directory': {
    rename: [[TEMPORARY, 'assets/.bashrc']],
    remove: ['assets/notes.txt'],
  },
  'through a link in the place of base/': {
    rename: [[TEMPORARY, 'base/config.json']],
    remove: ['base/model.safetensors'],
  },
};

describe('a directory that a stranger made', function () {
  this.timeout(scaled(240_000, 600_000));
  const bench = new Bench();
  let victim: string;
  let place: string;
  let kept: unknown;
  let attempts = 0;

  before(() => bench.prepare());
  after(() => {
    bench.remove();
    note('disk: attempts of a hostile directory to reach a file outside it', attempts);
  });

  beforeEach(() => {
    victim = bench.output('victim');
    place = bench.output('place');
    mkdirSync(join(victim, 'inner'), { recursive: true });
    for (const name of ['.bashrc', 'notes.txt', 'inner/deep', ...MODEL_FILES]) writeFileSync(join(victim, name), name);
    kept = contents(victim);
  });
  afterEach(() => expect(contents(victim)).to.deep.equal(kept));

  /** Every name below a directory, and what it holds. */
  function contents(directory: string): unknown {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const path = join(directory, name);
        const status = lstatSync(path, { bigint: true });
        const held = status.isFile() ? readFileSync(path, 'utf8') : status.isSymbolicLink() ? readlinkSync(path) : '';
        return [name, status.ino, status.mode, status.mtimeNs, held];
      });
  }

  async function trained(method: Method, steps = 1): Promise<TextClassifier> {
    const model = await TextClassifier.load(join(bench.folder, 'model'), CPU);
    await new Trainer(model, { method, maxSteps: steps, batchSize: 4, learningRate: 1e-2 }).train(
      tinySplit('train', 8, 1),
    );
    return model;
  }

  /** Expects the command to fail for what is at `path`. */
  function expectRefused(ending: Ending, path: string): void {
    expect(ending.status, ending.stderr).to.equal(1);
    expect(ending.stderr).to.include('error [OUTPUT_REFUSED]: ').and.to.include(path);
    attempts++;
  }

  for (const [title, journal] of Object.entries(JOURNALS)) {
    for (const isKnown of [false, true]) {
      const whose = isKnown ? 'with the right numbers' : 'of unknown origin';

      /** A model or an adapter with links to the victim, and a journal about them. */
      async function plant(kind: 'model' | 'adapter'): Promise<void> {
        if (kind === 'model') cpSync(join(bench.folder, 'model'), place, { recursive: true });
        else {
          await using model = await trained(lora({ rank: 2 }));
          await model.save(place);
        }
        symlinkSync(victim, join(place, 'assets'));
        symlinkSync(victim, join(place, 'base'));
        writeFileSync(join(place, TEMPORARY), '{"hostile":true}');
        if (isKnown) await writeJournal(place, journal);
        else writeFileSync(join(place, JOURNAL_FILE), JSON.stringify(journal));
      }

      it(`is read, and nothing is done that its journal says ${title}, ${whose}`, async () => {
        for (const kind of ['model', 'adapter'] as const) {
          rmSync(place, { recursive: true, force: true });
          await plant(kind);
          const whole = contents(place);
          await using model = await TextClassifier.load(place, CPU);
          expect(await model.predict('good')).to.have.lengthOf(1);
          await using base = await TextClassifier.load(join(bench.folder, 'model'), CPU);
          if (kind === 'adapter') await base.loadAdapter('hostile', place);
          for (const args of [
            ['predict', '--model', place, ...DEVICE, 'good'],
            ['inspect', place],
          ]) {
            const ending = await runCli(args);
            expect(ending.status, ending.stderr).to.equal(0);
            attempts++;
          }
          expect(contents(place)).to.deep.equal(whole);
          attempts += 2;
        }
      });

      it(`is not written to while its journal says ${title}, ${whose}`, async () => {
        await plant('model');
        const whole = contents(place);
        const through = isKnown && title.includes('base/') ? join(place, 'base') : join(place, JOURNAL_FILE);
        await using model = await trained(lora({ rank: 2 }));
        await expectRefusal(model.save(place, { overwrite: true }), 'OUTPUT_REFUSED', through);
        await expectRefusal(model.export(place, { overwrite: true }), 'OUTPUT_REFUSED', through);
        const trainer = new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1, outputDirectory: place });
        await expectRefusal(trainer.train(tinySplit('train', 8, 1)), 'OUTPUT_REFUSED', through);
        attempts += 3;
        expectRefused(await bench.train(place, ['--quiet', '--method', 'linear', '--overwrite']), through);
        expect(contents(place)).to.deep.equal(whole);
      });
    }
  }

  it('with nothing in it but such a journal is refused as an output directory, by the name of the journal', async () => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, JOURNAL_FILE), JSON.stringify(JOURNALS['through a link to a directory']));
    expectRefused(await bench.train(place, ['--quiet', '--method', 'linear']), join(place, JOURNAL_FILE));
  });

  for (const [title, make] of Object.entries<(target: string, path: string) => void>({
    'a link': symlinkSync,
    'another name of a file': linkSync,
  })) {
    it(`with ${title} in the place of the lock is refused by its name, also where it holds nothing else`, async () => {
      const path = join(place, LOCK_FILE);
      mkdirSync(place, { recursive: true });
      make(join(victim, '.bashrc'), path);
      for (const more of [[], ['--overwrite']]) {
        expectRefused(await bench.train(place, ['--quiet', '--method', 'linear', ...more]), path);
      }
      expectRefused(await runCli(['compare', '--output', place, '--methods', 'linear']), path);
      await using model = await TextClassifier.load(join(bench.folder, 'model'), CPU);
      await expectRefusal(model.save(place), 'OUTPUT_REFUSED', path);
      await expectRefusal(model.save(place, { overwrite: true }), 'OUTPUT_REFUSED', path);
      attempts += 2;
      expect(readdirSync(place)).to.deep.equal([LOCK_FILE]);
      rmSync(path);
    });
  }

  it('has its links replaced by what a run writes, and what they lead to is kept', async () => {
    mkdirSync(place, { recursive: true });
    const files = [...MODEL_FILES, 'results.json', 'report.html', 'trainer_state.json', TEMPORARY];
    const directories = ['checkpoint-3', 'checkpoint-6', '.checkpoint-3.0123456789abcdef.tmp'];
    for (const name of files) symlinkSync(join(victim, '.bashrc'), join(place, name));
    for (const name of directories) symlinkSync(name === 'checkpoint-6' ? 'nowhere' : victim, join(place, name));
    const left = join(place, '.checkpoint-6.0123456789abcdef.tmp');
    mkdirSync(left);
    symlinkSync(victim, join(left, 'inner'));
    for (const method of ['linear', 'lora']) {
      const run = await bench.train(place, [
        ...['--quiet', '--method', method, '--save-strategy', 'epoch', '--overwrite'],
      ]);
      expect(run.status, run.stderr).to.equal(0);
      attempts += files.length + directories.length + 1;
    }
    const links = readdirSync(place, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink());
    // What no adapter has is nothing that a run writes.
    expect(links.map(({ name }) => name).filter((name) => !MODEL_FILES.includes(name))).to.deep.equal([]);
    expect(readdirSync(place).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
    expect(existsSync(join(place, 'checkpoint-6', 'manifest.json'))).to.equal(true);
  });

  it('is no way out for the weights that are saved under an adapter', async () => {
    await using model = await trained(full());
    await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 8, 1));
    mkdirSync(place, { recursive: true });
    symlinkSync(victim, join(place, 'base'));
    await expectRefusal(model.save(place, { overwrite: true }), 'OUTPUT_REFUSED', join(place, 'base'), 'it is a link');
    expect(readdirSync(place)).to.deep.equal(['base']);
    attempts++;
  });

  it('keeps what has such a name and is of another kind', async () => {
    mkdirSync(join(place, TEMPORARY, 'inner'), { recursive: true });
    writeFileSync(join(place, '.checkpoint-3.0123456789abcdef.tmp'), 'kept');
    await using model = await TextClassifier.load(join(bench.folder, 'model'), CPU);
    await expectRefusal(model.save(place), 'OUTPUT_REFUSED', 'not empty');
    await model.save(place, { overwrite: true });
    expect(existsSync(join(place, TEMPORARY, 'inner'))).to.equal(true);
    expect(readFileSync(join(place, '.checkpoint-3.0123456789abcdef.tmp'), 'utf8')).to.equal('kept');
  });
});
