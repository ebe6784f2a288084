import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { LONG } from '../faults/scale.js';
import {
  BUILD_TIMEOUT_MS,
  installedProject,
  isPortable,
  type Outcome,
  onLinux,
  type Project,
  ROOT,
} from './project.js';

/*
 * The packages as they are published: made, installed into an empty project, and used there.
 */

const run = promisify(execFile);
const inRoot = (path: string) => join(ROOT, path);
const EMULATED = inRoot('build/Release/libbertune_cuda_emulated.so');

(onLinux ? describe : describe.skip)('the published packages', () => {
  let project: Project;
  before(async function () {
    this.timeout(BUILD_TIMEOUT_MS);
    project = await installedProject();
  });
  const inProject = (...path: string[]) => join(project.folder, ...path);
  const addonFolder = () => inProject('node_modules/@bertune/linux-x64');
  const mainFolder = () => inProject('node_modules/bertune');
  const execute: Project['execute'] = (...given) => project.execute(...given);
  const bertune: Project['bertune'] = (...given) => project.bertune(...given);

  describe('hold what they should', () => {
    const filesOf = async (name: string) =>
      (await readdir(inProject('node_modules', name), { recursive: true })).sort();

    it('the main package: what runs and what builds, and nothing else', async () => {
      const files = await filesOf('bertune');
      for (const name of [
        'README.md',
        'LICENSE',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'scripts/build.js',
      ])
        expect(files).to.include(name);
      for (const name of ['native/cuda/exports.map', 'native/addon/addon.cpp', 'NOTICE'])
        expect(files).to.include(name);
      const useless =
        /^(?:test|bench|lib|build|assets|node_modules|native\/operations)\b|\.map$(?<!exports\.map)|\.stamp$|scripts\/(?:test|package)/;
      expect(files.filter((name) => useless.test(name))).to.deep.equal([]);
    });

    it('the main package has few modules, which Node.js loads in less time than many', async () => {
      const modules = (await filesOf('bertune')).filter((name) => /^dist\/.*\.js$/.test(name));
      expect(modules.length).to.be.within(3, 30);
      for (const name of modules) {
        expect(await readFile(join(mainFolder(), name), 'utf8'), name).to.not.match(/^\/\/# sourceMappingURL/m);
      }
    });

    it('the main package names the platform packages in its own version, and runs no install script', async () => {
      const manifest = JSON.parse(await readFile(join(mainFolder(), 'package.json'), 'utf8'));
      const { version } = manifest;
      expect(manifest.optionalDependencies).to.deep.equal({
        '@bertune/linux-x64': version,
        '@bertune/linux-arm64': version,
      });
      expect(manifest.peerDependencies).to.deep.equal({
        '@bertune/samples': '^1.0.0',
        '@types/node': '>=20',
        '@bertune/linux-x64-cuda': version,
      });
      expect(manifest.peerDependenciesMeta['@bertune/linux-x64-cuda']).to.deep.equal({ optional: true });
      expect(manifest).not.to.have.any.keys('scripts', 'devDependencies', 'private');
      // Where it is there, npm runs node-gyp at every install from a lock file.
      expect(await filesOf('bertune')).not.to.include('binding.gyp');
      expect(manifest.dependencies).not.to.have.any.keys('cmake-js', 'typescript');
    });

    it('every package names its project, and is published for everybody, with provenance', async () => {
      for (const name of ['bertune', '@bertune/linux-x64', '@bertune/samples']) {
        const manifest = JSON.parse(await readFile(inProject('node_modules', name, 'package.json'), 'utf8'));
        for (const field of ['homepage', 'bugs', 'repository', 'author', 'license', 'description'])
          expect(manifest, name).to.have.property(field);
        expect(manifest.publishConfig).to.deep.equal({ access: 'public', provenance: true });
        expect(await readFile(inProject('node_modules', name, 'README.md'), 'utf8')).to.match(/^# /);
      }
    });

    it('few packages come along: charts and the hub are bundled, with their licenses', async () => {
      const folders = await readdir(inProject('node_modules'), { recursive: true });
      const installed = folders.filter((name) =>
        /^(?:.*node_modules\/)?(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(name),
      );
      expect(installed.length).to.be.at.most(15);
      expect(installed.join()).not.to.match(/d3|plot|linkedom|huggingface|pbf/);
      const notice = await readFile(join(mainFolder(), 'NOTICE'), 'utf8');
      for (const name of ['@observablehq/plot', 'd3-scale', 'linkedom', '@huggingface/hub'])
        expect(notice).to.match(new RegExp(`^${name} \\d`, 'm'));
    });

    it("the README's links lead to the repository, as npm has none of its files", async () => {
      const readme = await readFile(join(mainFolder(), 'README.md'), 'utf8');
      expect(readme).to.match(/\]\(https:\/\/github\.com\/.*\/blob\/v\d.*\.md\)/);
      expect(readme).not.to.match(/\]\((?!https?:|#)|(?:src|srcset)="(?!https?:)/);
    });

    it('the platform package says where it runs, and carries the licenses of what is linked in', async () => {
      expect(await filesOf('@bertune/linux-x64')).to.deep.equal(
        ['LICENSE', 'NOTICE', 'README.md', 'bertune.node', 'package.json'].sort(),
      );
      const manifest = JSON.parse(await readFile(join(addonFolder(), 'package.json'), 'utf8'));
      expect(manifest).to.deep.include({ os: ['linux'], cpu: ['x64'], libc: ['glibc'] });
      const [, minor] = /^2\.(\d+)$/.exec(manifest.bertune.glibc)!;
      if (isPortable) expect(Number(minor)).to.be.at.most(28);
      expect(manifest.bertune.cpu).to.include('avx2');
      const notice = await readFile(join(addonFolder(), 'NOTICE'), 'utf8');
      for (const words of ['The OpenBLAS Project', 'GCC RUNTIME LIBRARY EXCEPTION', 'Node.js API collaborators'])
        expect(notice).to.include(words);
    });

    const itPortable = isPortable ? it : it.skip;
    itPortable(
      'the addon asks for what Node.js has as well, in versions as old, and shows nothing of OpenBLAS',
      async () => {
        const addon = join(addonFolder(), 'bertune.node');
        const { stdout: headers } = await run('objdump', ['-p', addon]);
        const needed = [...headers.matchAll(/NEEDED\s+(\S+)/g)].map((match) => match[1]);
        expect(needed.filter((name) => !/^(?:libc|libm|libgcc_s|ld-linux-x86-64)\.so\.\d$/.test(name!))).to.deep.equal(
          [],
        );
        const { stdout: symbols } = await run('objdump', ['-T', addon]);
        expect(symbols).to.include('napi_register_module_v1');
        expect(symbols).not.to.match(/openblas|cblas_|_ZNSt/);
      },
    );
  });

  describe('work', () => {
    it('for ECMAScript modules: a model is loaded, trained for a step, asked', async () => {
      await writeFile(
        inProject('train.mjs'),
        `import { datasetFromRows, lora, TextClassifier, Trainer } from 'bertune';
        const rows = [{ text: 'i feel great', label: 'joy' }, { text: 'leave me alone', label: 'anger' }];
        const data = datasetFromRows({ train: rows });
        const model = await TextClassifier.load('bert-mini', { labels: data.labels, device: 'cpu' });
        const trainer = new Trainer(model, { method: lora({ rank: 2 }), epochs: 1, batchSize: 2, loggingSteps: 1 });
        const rates = [];
        trainer.on('log', ({ loss }) => rates.push(loss));
        await trainer.train(data.train);
        console.log(JSON.stringify({ losses: rates, predictions: await model.predict(['hello']) }));
        await model.dispose();`,
      );
      const { status, stdout, stderr } = await execute(process.execPath, ['train.mjs']);
      expect(status, stderr).to.equal(0);
      const { losses, predictions } = JSON.parse(stdout);
      expect(losses.length).to.be.greaterThan(0);
      expect(losses[0]).to.be.greaterThan(0);
      expect(predictions[0].label).to.be.oneOf(['joy', 'anger']);
    });

    it('for CommonJS: require gives the module itself', async () => {
      await writeFile(
        inProject('predict.cjs'),
        `const { TextClassifier } = require('bertune');
        (async () => {
          const model = await TextClassifier.load('bert-mini', { labels: ['a', 'b'], device: 'cpu' });
          console.log(JSON.stringify(await model.predict(['hello'])));
          await model.dispose();
        })();`,
      );
      const { status, stdout, stderr } = await execute(process.execPath, ['predict.cjs']);
      expect(status, stderr).to.equal(0);
      expect(JSON.parse(stdout)[0].score).to.be.within(0.5, 1);
    });

    it('in a bundle that leaves it external; one that takes it in says what to do', async () => {
      const bundle = ['--bundle', '--platform=node', '--format=esm'];
      await writeFile(
        inProject('app.mjs'),
        `import { TextClassifier } from 'bertune';
        const model = await TextClassifier.load('bert-mini', { labels: ['a', 'b'], device: 'cpu' });
        console.log((await model.predict('hello'))[0].label);
        await model.dispose();`,
      );
      const outcomes = [];
      for (const more of [['--external:bertune', '--outfile=external.mjs'], ['--outfile=inside.mjs']]) {
        const built = await execute(inRoot('node_modules/.bin/esbuild'), ['app.mjs', ...bundle, ...more]);
        expect(built.status, built.stderr).to.equal(0);
        outcomes.push(await execute(process.execPath, [more.at(-1)!.replace('--outfile=', '')]));
      }
      const [{ status, stdout, stderr }, inside] = outcomes as [Outcome, Outcome];
      expect(status, stderr).to.equal(0);
      expect(stdout.trim()).to.be.oneOf(['a', 'b']);
      expect(inside.status).to.equal(1);
      expect(inside.stderr).to.include('mark bertune as external');
    });

    it('in a worker thread', async () => {
      await writeFile(
        inProject('worker.mjs'),
        `import { isMainThread, parentPort, Worker } from 'node:worker_threads';
        if (isMainThread) new Worker(new URL(import.meta.url)).on('message', (label) => console.log(label));
        else {
          const { TextClassifier } = await import('bertune');
          const model = await TextClassifier.load('bert-mini', { labels: ['a', 'b'], device: 'cpu' });
          parentPort.postMessage((await model.predict('hello'))[0].label);
          await model.dispose();
        }`,
      );
      const { status, stdout, stderr } = await execute(process.execPath, ['worker.mjs']);
      expect(status, stderr).to.equal(0);
      expect(stdout.trim()).to.be.oneOf(['a', 'b']);
    });

    it("from the shell, on a user's own file: the classifier has learned it", async () => {
      const rows = Array.from({ length: 20 }, (_, i) => `call me at ${i} please,ham\nwin prize number ${i} now,spam\n`);
      await writeFile(inProject('mine.csv'), `text,label\n${rows.join('')}`);
      const train = [
        'train',
        '--data',
        'mine.csv',
        '--max-steps',
        '20',
        '--output',
        'mine',
        '--device',
        'cpu',
        '--quiet',
      ];
      const trained = await bertune(train);
      expect(trained.status, trained.stderr).to.equal(0);
      const { stdout } = await bertune(['predict', '--model', 'mine', 'please call me', 'a prize to win']);
      const labels = stdout.trim().split('\n');
      expect(labels.map((line) => JSON.parse(line).label)).to.deep.equal(['ham', 'spam']);
    });

    it('from the shell: inspect says where the addon is from', async () => {
      const { status, stdout, stderr } = await bertune(['inspect', '--json']);
      expect(status, stderr).to.equal(0);
      const facts = JSON.parse(stdout);
      expect(facts.addon_origin).to.equal('package');
      expect(facts.addon_path).to.match(/@bertune\/linux-x64\/bertune\.node$/);
      expect(facts.blas.library).to.equal('OpenBLAS');
      expect(facts.glibc).to.match(/^2\.\d+/);
    });

    it('with the libraries that are bundled: a run with its report, and the hub', async () => {
      const run = ['train', '--data', 'goemotions6', '--method', 'linear', '--max-steps', '2', '--output', 'run'];
      const { status, stderr } = await bertune([...run, '--device', 'cpu', '--quiet']);
      expect(status, stderr).to.equal(0);
      expect(await readFile(inProject('run/report.html'), 'utf8')).to.include('<svg');
      const nowhere = { HF_ENDPOINT: 'http://127.0.0.1:1', HF_HUB_CACHE: inProject('cache'), HF_HUB_OFFLINE: '' };
      expect((await bertune(['inspect', 'someone/model'], nowhere)).stderr).to.match(/^error \[HUB_UNAVAILABLE\]/m);
    });

    it('without the samples, whose package is then named', async () => {
      const samples = inProject('node_modules/@bertune/samples');
      await rename(samples, `${samples}-aside`);
      try {
        for (const names of [
          ['--data', 'goemotions6'],
          ['--data', 'some.csv'],
          ['--model', 'bert-mini', '--data', '.'],
        ]) {
          const { status, stderr } = await bertune(['train', ...names, '--output', 'out']);
          expect(status).to.equal(1);
          expect(stderr, names.join()).to.include('npm install @bertune/samples');
        }
      } finally {
        await rename(`${samples}-aside`, samples);
      }
    });

    (existsSync(EMULATED) ? it : it.skip)('with the package of CUDA backends where that is installed', async () => {
      const cuda = inProject('node_modules/@bertune/linux-x64-cuda');
      await mkdir(cuda);
      try {
        const manifest = JSON.parse(await readFile(join(addonFolder(), 'package.json'), 'utf8'));
        const write = (version: string) =>
          writeFile(join(cuda, 'package.json'), JSON.stringify({ name: '@bertune/linux-x64-cuda', version }));
        await write(manifest.version);
        await copyFile(EMULATED, join(cuda, 'libbertune_cuda.so'));
        const devices = JSON.parse((await bertune(['inspect', '--json'])).stdout).devices;
        expect(devices.find(({ device }: { device: string }) => device === 'cuda').available).to.equal(true);
        await write('0.0.1');
        const { status, stderr } = await bertune(['inspect']);
        expect(status).to.equal(1);
        expect(stderr).to.include(`@bertune/linux-x64-cuda ${manifest.version} but found 0.0.1`);
      } finally {
        await rm(cuda, { recursive: true });
      }
    });
  });

  describe('without the platform package', () => {
    const aside = () => `${addonFolder()}-aside`;
    before(() => rename(addonFolder(), aside()));
    after(() => rename(aside(), addonFolder()));

    it('end in an error that names both ways to an addon', async () => {
      const { status, stderr } = await bertune(['inspect']);
      expect(status).to.equal(1);
      expect(stderr).to.match(/^error \[NATIVE_UNAVAILABLE\]: .*npm install @bertune\/linux-x64`/);
      expect(stderr).to.include('--omit=optional').and.to.include('npx bertune build');
    });

    it('say what a build takes where it is missing', async () => {
      const { status, stderr } = await execute(process.execPath, [join(mainFolder(), 'dist/cli/main.js'), 'build'], {
        PATH: project.folder,
        CXX: '',
      });
      expect(status).to.equal(1);
      expect(stderr).to.match(/missing: .*CMake/);
    });

    it('are given an addon by `bertune build`, from sources and headers that are installed', async () => {
      const tools = inProject('tools');
      await mkdir(tools);
      // In CMake's place: the real one takes a minute. It is told where sources and headers are, and copies what was built before.
      await writeFile(
        join(tools, 'cmake'),
        `#!/bin/sh
        set -e
        if [ "$1" = --build ]; then mkdir -p "$2/Release"; exec cp '${aside()}/bertune.node' "$2/Release/"; fi
        test -f "$2/CMakeLists.txt" -a -f "$2/native/addon/addon.cpp"
        for argument; do case "$argument" in -DCMAKE_JS_INC=*) folders=\${argument#*=} ;; esac; done
        test -f "\${folders%%;*}/node_api.h" -a -f "\${folders#*;}/napi.h"\n`,
      );
      await chmod(join(tools, 'cmake'), 0o755);
      const path = [tools, dirname(process.execPath), process.env.PATH].join(delimiter);
      const { status, stderr } = await bertune(['build'], { PATH: path });
      expect(status, stderr).to.equal(0);
      const facts = JSON.parse((await bertune(['inspect', '--json'])).stdout);
      expect(facts.addon_origin).to.equal('build');
      expect(facts.addon_path).to.equal(join(mainFolder(), 'build/Release/bertune.node'));
      await rm(join(mainFolder(), 'build'), { recursive: true });
    });
  });

  describe('have types', () => {
    const SOURCE = `import { datasetFromRows, lora, TextClassifier, Trainer, type Prediction, type TextDataset } from 'bertune';
      export async function main(): Promise<Prediction[]> {
        const model = await TextClassifier.load('model', { labels: ['a', 'b'] });
        const trainer = new Trainer(model, { method: lora({ rank: 8 }) });
        trainer.on('log', (row) => console.log(row.loss));
        const { train } = datasetFromRows({ train: [{ text: "a", label: "b" }] });
        if (train) await trainer.train(train);
        const data: TextDataset = { task: 'single-label', labels: ['a', 'b'], train };
        await trainer.train(train, { validation: data.validation });
        // @ts-expect-error: a rank is a number
        lora({ rank: '8' });
        return model.predict(['text']);
      }\n`;

    for (const [compiler, module, files] of [
      ['typescript', 'nodenext', ['main.mts', 'main.cts']],
      ['typescript-native', 'nodenext', ['main.mts', 'main.cts']],
      ['typescript-native', 'commonjs', ['main.ts']],
      ...(LONG
        ? ([
            ['typescript', 'commonjs', ['main.ts']],
            ['typescript', 'node16', ['main.mts', 'main.cts']],
            ['typescript', 'preserve', ['main.ts']],
          ] as const)
        : []), // the last a bundler's
    ] as const) {
      it(`to ${compiler}, for module ${module}, at its strictest, library files checked as well`, async () => {
        for (const file of files) await writeFile(inProject(file), SOURCE);
        const types = ['--types', 'node', '--typeRoots', inRoot('node_modules/@types')];
        const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
        const options = ['--noEmit', ...strict, '--target', 'es2022', '--module', module];
        const tsc = inRoot(`node_modules/${compiler}/bin/tsc`);
        const { status, stdout } = await execute(process.execPath, [tsc, ...options, ...types, ...files]);
        expect(status, stdout).to.equal(0);
      });
    }
  });

  describe('are clean to', () => {
    const tarball = async () => {
      const name = (await readdir(project.packages)).find((file) => /^bertune-\d.*\.tgz$/.test(file));
      return join(project.packages, name!);
    };

    // Types of CommonJS are given to `require`, which Node.js takes for ECMAScript modules too: TypeScript's node16 does not know.
    it('publint, but for the types of CommonJS', async () => {
      const args = [inRoot('node_modules/publint/src/cli.js'), 'run', await tarball(), '--strict'];
      const { stdout } = await execute(process.execPath, args);
      const found = stdout.match(/^\d+\. .*/gm) ?? [];
      expect(found, stdout).to.have.lengthOf(1);
      expect(found[0]).to.include('exports["."].require.types types is interpreted as CJS');
    });

    it('arethetypeswrong, as a package of ECMAScript modules', async () => {
      const cli = inRoot('node_modules/@arethetypeswrong/cli/dist/index.js');
      const args = [cli, await tarball(), '--profile', 'esm-only', '--ignore-rules', 'false-cjs'];
      const { status, stdout } = await execute(process.execPath, args);
      expect(status, stdout).to.equal(0);
    });
  });
});
