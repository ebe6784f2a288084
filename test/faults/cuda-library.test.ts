import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { bundled } from '../bundled.js';
import { randomNumbers, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { ADDON } from '../native/support.js';
import { note, scaled } from './scale.js';

/*
 * A CUDA library that cannot be used: with device 'cuda' it is CUDA_UNAVAILABLE and what to do, with 'auto' nothing is said and
 * the CPU is taken. Each case is a process of its own with a copy of the addon, as the library is looked for once a process.
 */

const run = promisify(execFile);
const PROGRAM = await bundled('cuda-library-program.ts', import.meta.url);
const FAKE = fileURLToPath(new URL('./native/fake-cuda.cpp', import.meta.url));
const NATIVE = fileURLToPath(new URL('../../native', import.meta.url));
const LIBRARY = 'libbertune_cuda.so';

interface Outcome {
  device: string;
  code: string;
  message: string;
}

(process.env.BERTUNE_SANITIZER ? describe.skip : describe)('a CUDA library that cannot be used', function () {
  this.timeout(600_000);
  let folder: string;
  let library: string;
  let tried = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-cuda-'));
    library = join(folder, LIBRARY);
    await copyFile(ADDON, join(folder, 'bertune.node'));
    await writeTinyCheckpoint(join(folder, 'model'));
  });
  beforeEach(() => rm(library, { force: true }));
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    note('CUDA libraries that cannot be used', tried);
  });

  /** What loading a model comes to, with device 'cuda' and with 'auto'; checks all that is the same for every library. */
  async function expectUnavailable(title: string, message: RegExp): Promise<void> {
    const { stdout, stderr } = await run(process.execPath, [PROGRAM, join(folder, 'model')], {
      env: { ...process.env, BERTUNE_ADDON: join(folder, 'bertune.node') },
    });
    expect(stderr, `${title}: nothing is said`).to.equal('');
    const { cuda, auto } = JSON.parse(stdout) as { cuda: Outcome; auto: Outcome };
    expect(cuda, title).to.include({ code: 'CUDA_UNAVAILABLE' });
    expect(cuda.message, title).to.match(message);
    expect(cuda.message, title).to.match(
      /^Expected a usable GPU for device: 'cuda' but .*use device: 'cpu' or device: 'auto'/,
    );
    expect(auto, title).to.deep.equal({ device: 'cpu', code: 'none', message: '' });
    tried += 1;
  }

  /** A library of the right shape, compiled with the changes given. */
  async function compileFake(...defined: string[]): Promise<void> {
    const definitions = defined.map((definition) => `-D${definition}`);
    const flags = ['-std=c++20', '-O0', '-fPIC', '-shared', '-I', NATIVE];
    await run(process.env.CXX ?? 'c++', [...flags, ...definitions, '-o', library, FAKE]);
  }

  it('is missing', () => expectUnavailable('missing', /npm install @bertune\/linux-x64-cuda/));

  it('is cut short at any length', async () => {
    const whole = await readFile(ADDON);
    const random = randomNumbers(21);
    const lengths = [0, 1, 63, 64, 4096, whole.length - 1];
    while (lengths.length < 40) lengths.push(Math.floor(random() * whole.length));
    for (const length of lengths.slice(scaled(-2, 0))) {
      await writeFile(library, whole.subarray(0, length));
      await expectUnavailable(`${length} bytes`, /damaged or cut short/);
    }
  });

  it('is no ELF', async () => {
    await writeFile(library, 'not a library\n'.repeat(1000));
    await expectUnavailable('text', /damaged or cut short/);
  });

  it('is another library', async () => {
    await copyFile(ADDON, library);
    await expectUnavailable('the addon itself', /belongs to another version of this package/);
  });

  const FAKES: [string, string[], RegExp][] = [
    ['has another version of the table', ['VERSION=99'], /belongs to another version of this package/],
    ['has a table of another size', ['SIZE=8'], /belongs to another version of this package/],
    ['has structs of other sizes', ['LAYOUT=1'], /belongs to another version of this package/],
    ['gives no table', ['NO_TABLE'], /belongs to another version of this package/],
    ['finds a driver that is too old', ['OLD_DRIVER'], /driver supports CUDA 11\.4, this build needs 12\.8/],
    ['finds no GPU', ['NO_GPU'], /the driver shows no GPU/],
    ['finds no cuBLASLt', ['NO_BLAS'], /libcublasLt\.so/],
  ];
  for (const [title, defined, message] of FAKES.slice(scaled(-3, 0))) {
    it(title, async () => {
      await compileFake(...defined);
      await expectUnavailable(title, message);
    });
  }

  it('needs a library that is not there', async () => {
    await run(process.env.CXX ?? 'c++', [
      '-shared',
      '-fPIC',
      '-o',
      join(folder, 'libgone.so'),
      '-x',
      'c++',
      '/dev/null',
    ]);
    const flags = ['-std=c++20', '-O0', '-fPIC', '-shared', '-I', NATIVE, '-Wl,--no-as-needed', '-L', folder];
    await run(process.env.CXX ?? 'c++', [...flags, '-o', library, FAKE, '-lgone']);
    await rm(join(folder, 'libgone.so'));
    await expectUnavailable('libgone.so', /libgone\.so/);
  });
});
