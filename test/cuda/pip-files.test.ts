import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

/* Where the backend finds a cuBLASLt that pip installed. Its source needs no CUDA, so that it is compiled by itself here. */

const NATIVE = fileURLToPath(new URL('../../native', import.meta.url));
const PROGRAM = `
  #include <cstdio>
  #include "cuda/pip_files.h"
  int main(int, char** arguments) {
    for (const std::string& file : bertune::cuda::pip_files({"cu13", "cublas"}, arguments[1])) std::puts(file.c_str());
  }`;

describe('libraries that pip installed', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bertune-pip-'));
    const source = join(folder, 'program.cpp');
    writeFileSync(source, PROGRAM);
    const files = [source, join(NATIVE, 'cuda/pip_files.cpp')];
    execFileSync('c++', ['-std=c++20', '-I', NATIVE, ...files, '-o', join(folder, 'program')]);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const find = (name: string, path: string) =>
    execFileSync(join(folder, 'program'), [name], { encoding: 'utf8', env: { PATH: path } })
      .split('\n')
      .slice(0, -1);

  function install(environment: string, packages: string, file: string): string {
    const lib = join(folder, environment, `lib/python3.12/${packages}/nvidia`, file);
    mkdirSync(join(lib, '..'), { recursive: true });
    mkdirSync(join(folder, environment, 'bin'), { recursive: true });
    writeFileSync(lib, '');
    return join(folder, environment, 'bin');
  }

  it('are those of the Pythons on the PATH, in its order', () => {
    const system = install('usr', 'dist-packages', 'cublas/lib/libcublasLt.so.12');
    const active = install('venv', 'site-packages', 'cu13/lib/libcublasLt.so.13');
    install('venv', 'site-packages', 'cublas/lib/libcublasLt.so.12');
    expect(find('libcublasLt.so.13', `${active}::${system}`)).to.deep.equal([
      `${active}/../lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13`,
    ]);
    expect(find('libcublasLt.so.12', `${active}:${system}`)).to.deep.equal([
      `${active}/../lib/python3.12/site-packages/nvidia/cublas/lib/libcublasLt.so.12`,
      `${system}/../lib/python3.12/dist-packages/nvidia/cublas/lib/libcublasLt.so.12`,
    ]);
  });

  it('may be none', () => {
    expect(find('libcublasLt.so.13', '/nowhere:')).to.deep.equal([]);
  });
});
