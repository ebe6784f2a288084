import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
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

/** What strict projects set, beyond `strict` itself. */
const STRICT: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
};

/** The first has CommonJS callers that may not `require` an ES module. */
const MODULES: Record<string, ts.CompilerOptions> = {
  node16: { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
  nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
};

/** Sources that are the same for every setting are read and parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>();

function errorsOf(folder: string, files: readonly string[], options: ts.CompilerOptions): string {
  const settings = { ...STRICT, ...options };
  const host = ts.createCompilerHost(settings);
  const read = host.getSourceFile;
  host.getCurrentDirectory = () => folder;
  host.getSourceFile = (path, version, ...rest) => {
    if (!path.includes('node_modules/')) return read(path, version, ...rest);
    const format = typeof version === 'object' ? version.impliedNodeFormat : '';
    const key = `${path} ${format}`;
    if (!parsed.has(key)) parsed.set(key, read(path, version, ...rest));
    return parsed.get(key);
  };
  const program = ts.createProgram(
    files.map((file) => join(folder, file)),
    settings,
    host,
  );
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host);
}

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

  for (const { name, types } of [
    { name: 'nodenext', types: [] },
    { name: 'bundler', types: ['node'] },
  ]) {
    it(`hold for every program of the guides: ${name}, ${types.length > 0 ? 'with' : 'without'} those of Node.js`, function () {
      this.timeout(600_000);
      expect(programs.length).to.be.greaterThan(5);
      const files = [...programs.map(({ file }) => file), 'splits.ts'];
      expect(errorsOf(project.folder, files, { ...MODULES[name], types })).to.equal('');
    });
  }

  for (const name of ['node16', 'nodenext']) {
    it(`hold where a CommonJS module requires the package: ${name}`, function () {
      this.timeout(600_000);
      expect(errorsOf(project.folder, ['common.cts'], { ...MODULES[name], types: [] })).to.equal('');
    });
  }
});
