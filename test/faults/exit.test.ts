import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { useTemporaryDirectory } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { seeded } from './collector.js';
import { note, scaled } from './scale.js';

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
const BUSY = fileURLToPath(new URL('busy-program.mjs', import.meta.url));
const TASKS = ['load', 'train', 'predict', 'save', 'serve'];
const HANG_MILLISECONDS = 60_000;

describe('process.exit in the middle of work', () => {
  const directory = useTemporaryDirectory();

  for (const task of TASKS) {
    it(`ends the process with its status: ${task}`, async () => {
      const times = scaled(4, 100);
      const seed = Date.now() % 1e6;
      const random = seeded(seed);
      await writeTinyCheckpoint(directory.path('model'));
      for (let time = 0; time < times; time++) {
        const exit = { code: 1 + Math.floor(random() * 100), delay: Math.floor(random() ** 2 * 500) };
        const input = { library: LIBRARY, model: directory.path('model'), output: directory.path('out'), task, exit };
        const child = spawn(process.execPath, [BUSY, JSON.stringify(input)]);
        let errors = '';
        child.stderr.on('data', (chunk) => {
          errors += chunk;
        });
        const hang = setTimeout(() => child.kill('SIGKILL'), HANG_MILLISECONDS);
        const [code, signal] = await once(child, 'close');
        clearTimeout(hang);
        const found = { code, signal, errors };
        expect(found, `seed ${seed}, after ${exit.delay} ms`).to.deep.equal({
          code: exit.code,
          signal: null,
          errors: '',
        });
      }
      note(`process.exit during ${task}`, times);
    }).timeout(1_800_000);
  }
});
