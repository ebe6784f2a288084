import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import type { NativeDeviceInfo } from '../../lib/native/index.js';
import { nativeConfig } from '../native/shape.js';
import { ADDON, sessionConfig } from '../native/support.js';

/*
 * The addon looks for the library of the CUDA backend beside itself. Each case is a folder of its own with a copy of the
 * addon and what a broken installation may have put there, seen by a process of its own.
 */

const run = promisify(execFile);
const LIBRARY = 'libbertune_cuda.so';
const isThere = existsSync(EMULATOR_LIBRARY);

describe('the library of the CUDA backend', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-library-'));
    await copyFile(ADDON, join(folder, 'bertune.node'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const addon = (): string => join(folder, 'bertune.node');

  async function cuda(): Promise<NativeDeviceInfo> {
    const program = 'console.log(JSON.stringify(require(process.argv[1]).devices()))';
    const { stdout } = await run(process.execPath, ['-e', program, addon()]);
    const found = (JSON.parse(stdout) as NativeDeviceInfo[]).find(({ device }) => device === 'cuda');
    return found!;
  }

  it('may be missing: then there is no GPU, and the reason says where it was looked for', async () => {
    const { available, reason } = await cuda();
    expect(available).to.equal(false);
    expect(reason).to.include(join(folder, LIBRARY));
    expect(reason).to.include('no CUDA backend');
  });

  it('is not opened where its file was cut short, which would end the process', async () => {
    const whole = await readFile(ADDON);
    for (const length of [0, 10, 4096, whole.length - 1]) {
      await writeFile(join(folder, LIBRARY), whole.subarray(0, length));
      const { available, reason } = await cuda();
      expect(available).to.equal(false);
      expect(reason, `${length} bytes`).to.include('damaged or cut short');
    }
  });

  it('is not used where it is another library', async () => {
    await copyFile(ADDON, join(folder, LIBRARY));
    const { available, reason } = await cuda();
    expect(available).to.equal(false);
    expect(reason).to.include('another version');
  });

  it('makes a session an error that names the reason', async () => {
    const program = `
      const addon = require(process.argv[1]);
      addon.setErrorFactory((code, message) => Object.assign(new Error(message), { code }));
      addon.createSession(JSON.parse(process.argv[2])).catch(({ code, message }) => console.log(code, message))`;
    const config = JSON.stringify(nativeConfig(sessionConfig({ device: 'cuda' })));
    const { stdout } = await run(process.execPath, ['-e', program, addon(), config]);
    expect(stdout).to.match(/^CUDA_UNAVAILABLE Expected a CUDA device but .*use device 'cpu' or 'auto'/);
  });

  (isThere ? it : it.skip)('gives the device where it is whole', async () => {
    await copyFile(EMULATOR_LIBRARY, join(folder, LIBRARY));
    const { available, precisions, libraries, totalMemory } = await cuda();
    expect(available).to.equal(true);
    expect(precisions).to.deep.equal(['fp32', 'tf32', 'bf16']);
    expect(libraries).to.match(/^CUDA \d+\.\d+ \(driver \d+\.\d+\), cuBLASLt /);
    expect(totalMemory).to.be.greaterThan(0);
  });
});
