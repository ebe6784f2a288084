// The addon for linux-arm64, cross-compiled on Debian or Ubuntu for x86-64, after
//   dpkg --add-architecture arm64 && apt-get update
//   apt-get install g++-aarch64-linux-gnu libopenblas-pthread-dev:arm64
import { existsSync } from 'node:fs';
import { SetupError } from '../console.js';
import { onPath } from '../process.js';

const TRIPLE = 'aarch64-linux-gnu';
const COMPILER = `${TRIPLE}-g++`;
const BLAS = `/usr/lib/${TRIPLE}/openblas-pthread/libopenblas.a`;

/** How buildPortable cross-compiles for it, and where. */
export const ARM64 = {
  folder: 'build/linux-arm64',
  definitions: [
    'CMAKE_SYSTEM_NAME=Linux',
    'CMAKE_SYSTEM_PROCESSOR=aarch64',
    `CMAKE_CXX_COMPILER=${COMPILER}`,
    `BERTUNE_BLAS_LIBRARY=${BLAS}`,
    `BERTUNE_BLAS_INCLUDE_DIR=/usr/include/${TRIPLE}/openblas-pthread`,
  ],
};

/** Throws unless the compiler and OpenBLAS are installed. */
export function ensureCross() {
  for (const needed of [COMPILER, BLAS]) {
    if (!onPath(needed) && !existsSync(needed))
      throw new SetupError(`${needed} is needed: the head of scripts/package/arm64.js says what to install`);
  }
}
