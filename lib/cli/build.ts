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
    .option('--cuda', "with the CUDA backend, for this machine's GPU or else for every architecture; requires nvcc")
    .option('--force', 'rebuild everything')
    .addHelpText(
      'after',
      '\nRequires a C++20 compiler, CMake, make or ninja, and OpenBLAS with its headers; if any is missing, the command says\n' +
        'how to install it. The result replaces the prebuilt addon. With --cuda, BERTUNE_CUBLAS_INCLUDE_DIR names the folder\n' +
        'of cublasLt.h if the CUDA toolkit lacks it.',
    )
    .action(async (options: BuildArguments) => {
      const flags = ['--native', ...(options.cuda ? ['--cuda'] : []), ...(options.force ? ['--force'] : [])];
      const status = await runScript(join(packageRoot(), 'scripts', 'build.js'), flags);
      if (status !== 0) {
        throw new BertuneError('NATIVE_UNAVAILABLE', 'The native addon could not be built; the reason is shown above');
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
