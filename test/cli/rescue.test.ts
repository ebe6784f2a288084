import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { saveSomewhere } from '../../lib/cli/rescue.js';
import { BertuneError, TextClassifier } from '../../lib/index.js';
import { expectRefusal } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { type CliOptions, onceItSays, runCli, withFolder } from './run-cli.js';

describe('bertune train, where its output fails', function () {
  this.timeout(300_000);

  /** A model and data, and a command that trains it for many steps into `out`. */
  async function useRun(folder: string, out = join(folder, 'out')) {
    await writeTinyCheckpoint(join(folder, 'model'));
    const data = join(folder, 'data.csv');
    await writeFile(data, `text,label\n${'good,yes\nbad,no\nso so,maybe\n'.repeat(8)}`);
    const args = ['train', '--model', join(folder, 'model'), '--train-file', data, '--device', 'cpu', '--threads', '1'];
    const run = (more: string[], options?: CliOptions) =>
      runCli([...args, '--output', out, '--logging-steps', '1', ...more], options);
    return { run, data, out };
  }

  /** Puts a file in the place of a directory once the process has said something. */
  const obstruct = (out: string, when: RegExp): CliOptions['during'] => {
    return (child) =>
      onceItSays(child, when, () => {
        void rename(out, `${out}-gone`).then(() => writeFile(out, 'something else'));
      });
  };

  it('saves a model that was trained beside the directory that is gone, says where, and ends with status 1', async () => {
    await withFolder(async (folder) => {
      const { run, out } = await useRun(folder);
      const ending = await run(['--method', 'lora', '--max-steps', '400'], { during: obstruct(out, /step 3 /) });
      expect(ending.status, ending.stderr).to.equal(1);
      expect(ending.stderr).to.match(
        /^error \[OUTPUT_REFUSED\]: .*found a file there; the model is saved in .*out-2$/m,
      );
      expect(await readdir(`${out}-2`)).to.include.members(['adapter_model.safetensors', 'results.json']);
      expect(JSON.parse(await readFile(join(`${out}-2`, 'results.json'), 'utf8')).status).to.equal('done');
      // Its results are printed all the same.
      expect(ending.stdout).to.include('parameters trained');
      await using model = await TextClassifier.load(`${out}-2`, { device: 'cpu', threads: 1 });
      expect(model.method?.kind).to.equal('lora');
    });
  });

  it('goes to the folder for temporary files where nothing can be made beside it', async () => {
    await withFolder(async (folder) => {
      const out = join(folder, 'deep/out');
      const { run } = await useRun(folder, out);
      await mkdir(join(folder, 'tmp'));
      const away = async () => {
        await rename(join(folder, 'deep'), join(folder, 'gone'));
        await writeFile(join(folder, 'deep'), 'something else');
      };
      const temporary = join(folder, 'tmp');
      const ending = await run(['--method', 'lora', '--max-steps', '400'], {
        environment: { TMPDIR: temporary },
        during: (child) => onceItSays(child, /step 3 /, () => void away()),
      });
      expect(ending.status, ending.stderr).to.equal(1);
      expect(ending.stderr).to.include(`the model is saved in ${join(temporary, 'bertune-out-2')}`);
      expect(await readdir(join(temporary, 'bertune-out-2'))).to.include('adapter_model.safetensors');
    });
  });

  it('lists what was tried where nothing can be written', async () => {
    const refuse = async (directory: string) => {
      throw new BertuneError('OUTPUT_REFUSED', `no room in ${directory}`);
    };
    const lost = saveSomewhere('/nowhere/out', refuse);
    await expectRefusal(
      lost,
      'OUTPUT_REFUSED',
      /no room in \/nowhere\/out; no room in .*out-2; no room in .*bertune-out-2/,
    );
  });

  it('saves what a run had reached whose checkpoint could not be written', async () => {
    await withFolder(async (folder) => {
      const { run, out } = await useRun(folder);
      const saving = ['--method', 'lora', '--max-steps', '4000', '--save-strategy', 'steps', '--save-steps', '50'];
      const ending = await run([...saving, '--save-total-limit', '1'], {
        during: obstruct(out, /saved .*checkpoint-50/),
      });
      expect(ending.status, ending.stderr).to.equal(1);
      expect(ending.stderr).to.match(
        /^error \[OUTPUT_REFUSED\]: .*checkpoint-\d+ but .*; the model is saved in .*out-2$/m,
      );
      expect(ending.stderr).to.not.include('in memory');
      const results = JSON.parse(await readFile(join(`${out}-2`, 'results.json'), 'utf8'));
      expect(results.status).to.equal('failed');
      expect(results.steps).to.be.at.least(100);
      await using _ = await TextClassifier.load(`${out}-2`, { device: 'cpu', threads: 1 });
    });
  });

  it('leaves no folder where it is refused, and checkpoints of an earlier run as they are', async () => {
    await withFolder(async (folder) => {
      const { run, data, out } = await useRun(folder);
      const before = (await readdir(folder)).sort();
      for (const [args, code] of [
        [['--resume', join(folder, 'nowhere')], 'NOT_FOUND'],
        [['--labels', 'a,b'], 'INVALID_DATA'],
        [['--method', 'full', '--rank', '2'], 'INVALID_OPTION'],
        [['--model', join(folder, 'nowhere')], 'NOT_FOUND'],
        [['--text-column', 'nope', '--tensorboard', join(folder, 'tb')], 'NOT_FOUND'],
        [['--resume', join(folder, 'nowhere'), '--tensorboard', join(folder, 'tb/deep')], 'NOT_FOUND'],
      ] as const) {
        const ending = await run([...args, '--output', join(out, 'a/b')]);
        expect(ending.stderr).to.include(`error [${code}]`);
        expect((await readdir(folder)).sort(), args.join(' ')).to.deep.equal(before);
      }
      const compared = await runCli([
        'compare',
        '--model',
        join(folder, 'no'),
        '--train-file',
        data,
        '--output',
        `${out}/a`,
      ]);
      expect(compared.status).to.equal(1);
      expect((await readdir(folder)).sort()).to.deep.equal(before);
      const stopped = await run(['--max-steps', '100000', '--output', join(out, 'a')], {
        during: (child) => setTimeout(() => child.kill('SIGINT'), 0),
      });
      expect(stopped.status).to.equal(130);

      await mkdir(join(out, 'checkpoint-7'), { recursive: true });
      await run(['--overwrite', '--labels', 'a,b']);
      expect(await readdir(out)).to.deep.equal(['checkpoint-7']);
    });
  });
});
