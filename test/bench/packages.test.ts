import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { expect } from 'chai';
import { build } from 'esbuild';
import { listFiles } from '../../scripts/files.js';
import { packedPackages } from '../../scripts/gpu/packages.js';
import { ROOT } from './run.js';

describe('scripts/gpu/packages.js', function () {
  this.timeout(60_000);

  it('has every package that tests and benches of a first run load, from the sources of lib', async () => {
    const tests = listFiles(['test/operations', 'test/model', 'test/cuda'], /\.test\.ts$/);
    const benches = listFiles(['bench/step', 'bench/support', 'bench/kernels', 'bench/step.js', 'bench/kernels.js']);
    const loaded = benches
      .filter((file) => file.endsWith('.js'))
      .flatMap((file) => [...readFileSync(join(ROOT, file), 'utf8').matchAll(/await load\('([^']+)'\)/g)])
      .map((match) => `lib/${match[1]}.ts`);
    expect(loaded).to.not.be.empty;
    // It runs on no device (scripts/test-gpu.js).
    const files = [...tests.filter((file) => file !== 'test/model/onnx.test.ts'), ...loaded];
    const { metafile } = await build({
      stdin: { contents: files.map((file) => `import './${file}';`).join('\n'), resolveDir: ROOT },
      ...{ absWorkingDir: ROOT, bundle: true, write: false, format: 'esm', platform: 'node', packages: 'external' },
      ...{ metafile: true, logLevel: 'error' },
    });
    const names = Object.values(metafile.inputs).flatMap(({ imports }) =>
      imports.filter(({ external, kind }) => external && kind === 'import-statement').map(({ path }) => path),
    );
    const packages = names.filter((name) => !isBuiltin(name)).map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)![0]);
    const packed = packedPackages();
    expect(packages).to.include('chai').and.include('pbf');
    expect(packages.filter((name) => !packed.includes(`node_modules/${name}`))).to.deep.equal([]);
    // What loads lib's sources.
    expect(packed).to.include.members(['node_modules/tsx', 'node_modules/esbuild']);
  });
});
