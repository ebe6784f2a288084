// Makes what is published, as folders and .tgz files in build/package:
//   bertune                     the compiled TypeScript with some libraries bundled, and the sources for `bertune build`
//   @bertune/samples            bert-mini and goemotions6
//   @bertune/linux-x64          the addon, portable, with oneDNN and OpenBLAS linked in
//   @bertune/linux-arm64        the addon with OpenBLAS linked in, cross-compiled, with --arm64 (scripts/package/arm64.js)
//   @bertune/linux-x64-cuda     the CUDA backend, with --cuda
// node scripts/package/index.js [--arm64] [--cuda] [--output FOLDER] [--onednn-source FILE | --addon FILE]
//   --onednn-source     the archive of oneDNN's sources; fetched by default
//   --addon             for tests of everything else: packs this addon instead of building a portable one
// It publishes nothing; .github/workflows/release.yml does.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildTypeScript } from '../build.js';
import { main, root, SetupError, say } from '../console.js';
import { withLock } from '../lock.js';
import { stageAddon } from './addon.js';
import { ARM64, ensureCross } from './arm64.js';
import { binaryNeeds } from './binary.js';
import { stageCuda } from './cuda.js';
import { stageMain, stageSamples } from './main.js';
import { buildOneDnn } from './onednn.js';
import { pack } from './pack.js';
import { buildPortable } from './portable.js';

const { values: options } = parseArgs({
  options: {
    arm64: { type: 'boolean', default: false },
    cuda: { type: 'boolean', default: false },
    'onednn-source': { type: 'string' },
    addon: { type: 'string' },
    output: { type: 'string', default: 'build/package' },
  },
});

/** @returns {Parameters<typeof stageAddon>[2]} */
async function portable() {
  const oneDnn = await buildOneDnn(options['onednn-source']);
  return { ...(await buildPortable({ oneDnn })), oneDnn };
}

const given = (file) => ({ file, glibc: binaryNeeds(file).glibc });

/** Builds what changed, and makes the packages again. */
async function makePackages() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new SetupError(`packages are made on linux-x64, this is ${process.platform}-${process.arch}`);
  if (options.arm64) ensureCross();
  await buildTypeScript();
  const addon = options.addon ? given(options.addon) : await portable();
  const arm64 = options.arm64 && (await buildPortable({ cross: ARM64 }));
  const output = path.resolve(root, options.output);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const stages = [
    () => stageAddon(output, 'linux-x64', addon),
    ...(arm64 ? [() => stageAddon(output, 'linux-arm64', arm64)] : []),
    ...(options.cuda ? [() => stageCuda(output)] : []),
    () => stageSamples(output),
    () => stageMain(output),
  ];
  for (const stage of stages) {
    const folder = await stage();
    const { file, size, unpackedSize, entryCount } = await pack(folder, output);
    const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    say(`${path.relative(root, file)}: ${mib(size)}, ${entryCount} files of ${mib(unpackedSize)}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(() => withLock(makePackages));
