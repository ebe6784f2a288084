import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { lora, TextClassifier, Trainer, type TrainerOptions } from '../../lib/index.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('output folders of runs and saves that fail', () => {
  const directory = useTemporaryDirectory();
  const { path } = directory;
  let model: TextClassifier;
  beforeEach(async () => {
    await writeTinyCheckpoint(path('model'));
    model = await TextClassifier.load(path('model'), { device: 'cpu', threads: 1 });
  });
  afterEach(() => model.dispose());

  const train = (options: TrainerOptions, more: object = {}) =>
    new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 2, outputDirectory: path('a/b/c'), ...options }).train(
      tinySplit('train', 8, 3),
      more,
    );

  it('are not there where the run was refused or stopped before its first step', async () => {
    await expectRefusal(train({}, { resume: path('nowhere') }), 'NOT_FOUND');
    await expectRefusal(train({}, { signal: AbortSignal.abort() }), 'ABORTED');
    expect(await readdir(path())).to.deep.equal(['model']);
    await mkdir(path('a'));
    await expectRefusal(train({}, { resume: path('nowhere') }), 'NOT_FOUND');
    expect(await readdir(path('a'))).to.deep.equal([]);
  });

  it('are not there where the disk has no room for what a run will save, which is said in bytes', async () => {
    const saving = { saveStrategy: 'steps', saveSteps: 1, maxSteps: 2_000_000_000, saveTotalLimit: undefined } as const;
    const { saveTotalLimit: _, ...unlimited } = saving;
    const error = await expectRefusal(
      train(unlimited),
      'OUTPUT_REFUSED',
      /The run would need \d+ bytes in .* for each of 2000000000 checkpoints\) but \d+ are available there/,
      'fewer checkpoints with saveTotalLimit',
    );
    // The adapter of rank 2 on query and value of two layers, and its classifier; three times that in a checkpoint.
    const [, adapter, checkpoint] = /\((\d+) for the adapter and (\d+) for each/.exec(error.message)!.map(Number);
    const trained = 4 * (2 * 2 * 2 * (32 + 32) + 3 * 32 + 3);
    expect(checkpoint! - adapter!).to.equal(2 * trained);
    expect(await readdir(path())).to.deep.equal(['model']);
    // One that keeps few has room.
    await train({ ...unlimited, saveTotalLimit: 1, maxSteps: 2 });
    expect(await readdir(path('a/b/c'))).to.deep.equal(['checkpoint-2']);
  });

  it('are not there where a save failed, and the error says that the model is in memory', async () => {
    await writeFile(path('file'), '');
    await expectRefusal(model.save(path('file/x')), 'OUTPUT_REFUSED');
    const run = train({ saveStrategy: 'steps', saveSteps: 1 });
    await run;
    await mkdir(path('full'));
    await chmod(path('full'), 0o555);
    if (process.getuid?.() !== 0) {
      await expectRefusal(
        model.save(path('full/deep/er')),
        'OUTPUT_REFUSED',
        'The model is still in memory: save it elsewhere',
      );
      expect(await readdir(path('full'))).to.deep.equal([]);
    }
    await chmod(path('full'), 0o755);
    // Nothing can be made in a name that is too long.
    const long = path('made', 'x'.repeat(300));
    await expectRefusal(model.save(long), 'OUTPUT_REFUSED', 'The model is still in memory: save it elsewhere');
    expect(await readdir(path())).to.not.include('made');
    await model.save(path('elsewhere'));
  });
});
