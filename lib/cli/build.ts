import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { packageRoot } from '../native/package.js';

interface BuildArguments {
  cuda?: true;
  force?: true;
}

/** Adds `bertune build`. */
export function buildCommand(program: Command): void {
  program
    .command('build')
    .description('build the native addon from source, for the processor of this machine')
    .option('--cuda', 'with the CUDA backend: for the GPU that is here, or for every architecture; takes nvcc')
    .option('--force', 'build everything anew')
    .addHelpText(
      'after',
      '\nTakes a C++20 compiler, CMake, make or ninja, and OpenBLAS with its headers; where some are missing it says how to\n' +
        'install them. What was built is used in place of a prebuilt addon. For --cuda, BERTUNE_CUBLAS_INCLUDE_DIR names the\n' +
        'folder of cublasLt.h where the CUDA toolkit has none.',
    )
    .action(async (options: BuildArguments) => {
      const flags = ['--native', ...(options.cuda ? ['--cuda'] : []), ...(options.force ? ['--force'] : [])];
      const status = await runScript(join(packageRoot(), 'scripts', 'build.js'), flags);
      if (status !== 0) {
        throw new BertuneError(
          'NATIVE_UNAVAILABLE',
          'Expected the native addon to build but it failed; the reason stands above',
        );
      }
    });
}

/** Runs a script of the package; what it prints goes to stderr. Ends with its status, or 128 where a signal ended it. */
function runScript(script: string, flags: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...flags], { stdio: ['ignore', 2, 2] });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 128));
  });
}
