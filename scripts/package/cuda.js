import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, SetupError, say } from '../console.js';
import { buildCuda, CUDA_BUILDS } from '../cuda.js';
import { runNode } from '../process.js';
import { CUDA_PACKAGE, platformManifest } from './manifest.js';
import { checkBinary } from './portable.js';
import { makeFolder, textOf, writeNotice } from './stage.js';

/** The symbol that native/cuda/exports.map exports. */
const EXPORTED = ['bertune_cuda_library'];
const ARCHITECTURES = 'sm_80,sm_86,sm_89,sm_90,sm_100,sm_120';

const README = `# ${CUDA_PACKAGE}

The CUDA backend of [Bertune](https://www.npmjs.com/package/bertune) for Linux on x86-64, for NVIDIA GPUs of compute capability 8.0 and later (Ampere).

    npm install bertune ${CUDA_PACKAGE}
    npx bertune inspect

Both packages need the same version. Also required: an NVIDIA driver, and cuBLASLt, which comes with the CUDA toolkit (12 or 13) and with
\`pip install nvidia-cublas\`. \`npx bertune inspect\` says what was found, or why there is no GPU.

Apache-2.0. NOTICE has the licenses of what is linked in.
`;

/** Makes the folder of the package that contains the CUDA backend, from a library whose kernels do not spill. */
export async function stageCuda(output) {
  if (!(await buildCuda(CUDA_BUILDS.package)))
    throw new SetupError('the CUDA package takes nvcc and the headers of cuBLAS');
  const built = path.join(root, CUDA_BUILDS.package.folder);
  const status = await runNode('node_modules/mocha/bin/mocha.js', ['test/cuda/compiler-report.test.ts'], {
    output: 'failure',
    env: { BERTUNE_CUDA_REPORT: path.join(built, 'report.txt'), BERTUNE_CUDA_ARCHITECTURES: ARCHITECTURES },
  });
  if (status !== 0) throw new SetupError("the compiler's report of the CUDA backend is not as wanted");
  const file = path.join(built, 'libbertune_cuda.so');
  const glibc = checkBinary(file, { exports: EXPORTED });
  say(`the CUDA backend runs on the GNU C library ${glibc} and later`);
  const files = ['libbertune_cuda.so', 'NOTICE'];
  const folder = makeFolder(
    output,
    platformManifest('linux-x64', CUDA_PACKAGE, 'CUDA backend of bertune', files, glibc),
  );
  copyFileSync(file, path.join(folder, 'libbertune_cuda.so'));
  writeFileSync(path.join(folder, 'README.md'), README);
  writeNotice(
    folder,
    ['CUDA', 'GCC'].map((name) => textOf(`scripts/package/notices/${name}.txt`)),
  );
  return folder;
}
