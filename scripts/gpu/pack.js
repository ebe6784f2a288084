// Run by `scripts/first-light.sh --pack`: packs what that script needs on a machine with a GPU but no Node.js and no network.
//
//   node.tar.xz       this Node.js, without its symbols and languages
//   packages.tar.xz   the npm packages that the library, its tests and its benches need; dist
//   addon.tar.xz      the addon and its operations for any x86-64 with AVX2, and the CUDA backend's kernels for sm_80 and sm_90,
//                     for when they cannot be built there
//
//   node scripts/gpu/pack.js [--device cuda-emulated]     with the emulated device instead of the kernels
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildTypeScript } from '../build.js';
import { main, root, SetupError, say } from '../console.js';
import { buildCuda, buildEmulator, CUDA_BUILDS } from '../cuda.js';
import { fingerprint, readStamp, writeStamp } from '../files.js';
import { withLock } from '../lock.js';
import { builtOneDnn } from '../package/onednn.js';
import { buildPortable } from '../package/portable.js';
import { zeroLocales } from './locales.js';
import { packedPackages } from './packages.js';

const FOLDER = 'build/first-light';
/** Files of packages that no running program reads. */
const LEFT_OUT = ['*.map', '*.md', '*.d.ts', '*.d.cts', '*.d.mts'];

/** Packs files of a folder, unless an archive of the same files exists. */
function archive(name, from, files, { leftOut = [], key = '', xz = 'xz -9' } = {}) {
  const file = path.join(root, FOLDER, `${name}.tar.xz`);
  const stamp = `${FOLDER}/.${name}`;
  if (key === '' || readStamp(stamp) !== key || !existsSync(file)) {
    const skipped = leftOut.map((pattern) => `--exclude=${pattern}`);
    const args = ['--create', '--file', file, `--use-compress-program=${xz}`, '-C', from, ...skipped, ...files];
    const { status, stderr } = spawnSync('tar', args, { encoding: 'utf8' });
    if (status !== 0) throw new SetupError(`tar could not pack ${name}: ${stderr}`);
    if (key !== '') writeStamp(stamp, key);
  }
  const { size } = statSync(file);
  say(`${FOLDER}/${name}.tar.xz: ${(size / 2 ** 20).toFixed(1)} MiB`);
  return size;
}

function packNode(scratch) {
  const stripped = path.join(scratch, 'bin/node');
  mkdirSync(path.dirname(stripped));
  copyFileSync(process.execPath, stripped);
  spawnSync('strip', [stripped]); // without strip the file is merely larger
  const program = readFileSync(stripped);
  zeroLocales(program);
  writeFileSync(stripped, program);
  const key = createHash('sha256').update(program).digest('hex');
  return archive('node', scratch, ['bin/node'], { key, xz: 'xz --x86 --lzma2=preset=9e' });
}

function packPackages() {
  const folders = packedPackages();
  const key = `${fingerprint(['package-lock.json', 'scripts/gpu/pack.js', 'scripts/gpu/packages.js'])} ${readStamp('dist/.stamp')}`;
  return archive('packages', root, [...folders, 'dist'], { leftOut: LEFT_OUT, key });
}

/** @returns the file of the CUDA backend, emulated or compiled by nvcc; undefined without nvcc */
async function buildBackend(device) {
  if (device === 'cuda-emulated') {
    await buildEmulator();
    return path.join(root, 'build/Release/libbertune_cuda_emulated.so');
  }
  if (await buildCuda(CUDA_BUILDS.firstLight))
    return path.join(root, CUDA_BUILDS.firstLight.folder, 'libbertune_cuda.so');
  return undefined;
}

async function packAddon(scratch, device) {
  const { file } = await buildPortable({ oneDnn: builtOneDnn(), operations: true });
  const backend = await buildBackend(device);
  const files = [file, path.join(path.dirname(file), 'bertune_operations.node'), ...(backend ? [backend] : [])];
  const folder = path.join(scratch, 'build/Release');
  mkdirSync(folder, { recursive: true });
  for (const each of files) copyFileSync(each, path.join(folder, path.basename(each)));
  return archive('addon', scratch, ['build/Release']);
}

const { values: options } = parseArgs({ options: { device: { type: 'string', default: 'cuda' } } });

await main(() =>
  withLock(async () => {
    mkdirSync(path.join(root, FOLDER), { recursive: true });
    await buildTypeScript();
    const scratch = mkdtempSync(path.join(os.tmpdir(), 'bertune-pack-'));
    try {
      const sizes = [await packAddon(scratch, options.device), packNode(scratch), packPackages()];
      say(`${FOLDER}: ${(sizes.reduce((all, size) => all + size, 0) / 2 ** 20).toFixed(1)} MiB`);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }),
);
