import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { LONG } from '../faults/scale.js';
import { blocksOf, fileName } from './blocks.js';
import { ROOT, UserProject } from './project.js';

const guides = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));

/** Programs in README.md and the guides; a block that calls itself .mjs is JavaScript for good. */
const programs = ['README.md', ...guides].flatMap((document) =>
  blocksOf(readFileSync(join(ROOT, document), 'utf8'))
    .filter((block) => ['js', 'ts'].includes(block.language) && !fileName(block)?.endsWith('js'))
    .map(({ code, line }) => ({ code, file: `${document.replaceAll(/\W/g, '-')}-line-${line}.ts` })),
);

/** The packages of compilers; both in the long form, and over the packages as they are published in test/package. */
const COMPILERS = LONG ? ['typescript-native', 'typescript'] : ['typescript-native'];

/** What strict projects set, beyond `strict` itself. */
const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
  target: 'es2022',
};

/** The first has CommonJS callers that may not `require` an ES module. */
const MODULES = {
  node16: { module: 'node16', moduleResolution: 'node16' },
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};

describe('types', () => {
  let project: UserProject;
  before(async () => {
    project = await UserProject.create();
    for (const { file, code } of programs) await project.write(file, code);
    await project.write(
      'common.cts',
      `import { loadDataset, type Split } from 'bertune';
      loadDataset('goemotions6').then(({ train }) => train satisfies Split);\n`,
    );
    await project.write(
      'splits.ts',
      `import { datasetFromRows, loadDataset, type DatasetFiles, type DatasetOptions, type Split } from 'bertune';
      const named = await loadDataset('a', { splits: ['train', 'test'] });
      [named.train, named.test] satisfies Split[];
      const files = await loadDataset({ train: 'a.csv', validation: 'b.csv' }, { textColumn: undefined });
      [files.train, files.validation] satisfies Split[];
      const rows = datasetFromRows({ train: [{ text: 'a', label: 'b', pair: undefined }] });
      rows.train satisfies Split;
      declare const somewhere: string | DatasetFiles;
      declare const somehow: DatasetOptions;
      // @ts-expect-error: which splits there are is not known
      (await loadDataset(somewhere, somehow)).train satisfies Split;
      // @ts-expect-error: a folder may have no test split
      (await loadDataset('a')).test satisfies Split;
      // @ts-expect-error: a misspelt option
      await loadDataset('a', { textColum: 'b' });\n`,
    );
  });
  after(() => project.remove());

  /** What the compiler finds; nothing where all is well. */
  async function errorsOf(compiler: string, files: readonly string[], compilerOptions: object): Promise<string> {
    await project.write('tsconfig.json', JSON.stringify({ compilerOptions: { ...STRICT, ...compilerOptions }, files }));
    const tsc = join(ROOT, 'node_modules', compiler, 'bin/tsc');
    return project.shell(`node ${JSON.stringify(tsc)}`).then(
      () => '',
      ({ stdout, message }: { stdout?: string; message: string }) => stdout || message,
    );
  }

  for (const compiler of COMPILERS) {
    for (const { name, types } of [
      { name: 'nodenext', types: [] },
      { name: 'bundler', types: ['node'] },
    ] as const) {
      it(`hold for every program of the guides: ${compiler}, ${name}, ${types.length > 0 ? 'with' : 'without'} those of Node.js`, async function () {
        this.timeout(600_000);
        expect(programs.length).to.be.greaterThan(5);
        const files = [...programs.map(({ file }) => file), 'splits.ts'];
        expect(await errorsOf(compiler, files, { ...MODULES[name], types })).to.equal('');
      });
    }

    for (const name of ['node16', 'nodenext'] as const) {
      it(`hold where a CommonJS module requires the package: ${compiler}, ${name}`, async function () {
        this.timeout(600_000);
        expect(await errorsOf(compiler, ['common.cts'], { ...MODULES[name], types: [] })).to.equal('');
      });
    }
  }
});
