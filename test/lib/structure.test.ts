import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ARCHITECTURES } from '../../lib/architectures/index.js';
import { TASK_KINDS } from '../../lib/tasks/index.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LIB = join(ROOT, 'lib');

/** Folders of lib, and files beside them, from the lowest up. Each imports from those below it and from itself alone. */
const LAYERS: readonly (readonly string[])[] = [
  ['format', 'printable'],
  ['errors'],
  ['address-space', 'options', 'time-slice'],
  ['metrics', 'native', 'order'],
  ['architectures', 'distributed', 'files', 'tasks'],
  ['tokenizer'],
  ['formats'],
  ['methods'],
  ['hub'],
  ['data'],
  ['model'],
  ['training'],
  ['api'],
  ['report'],
  ['experiments', 'index'],
  ['cli'],
];

interface Import {
  file: string;
  target: string;
  isType: boolean;
}

const filesIn = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' });
const sources = filesIn(LIB).filter((name) => name.endsWith('.ts'));
const imports: Import[] = sources.flatMap((file) => {
  const text = readFileSync(join(LIB, file), 'utf8');
  const resolved = (path: string) => relative(LIB, join(LIB, dirname(file), path)).replace(/\.js$/, '.ts');
  const found = [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from '(\.[^']+)'/gm)];
  const dynamic = [...text.matchAll(/import\('(\.[^']+)'\)/g)];
  return [
    ...found.map((match) => ({ file, target: resolved(match[2]!), isType: match[1] !== undefined })),
    ...dynamic.map((match) => ({ file, target: resolved(match[1]!), isType: false })),
  ];
});

const placeOf = (file: string) => file.replace(/\.ts$/, '').split('/')[0]!;

/** The type that the parts of a class are given the class by: it is the one that may be imported in a circle. */
const isOfWhole = ({ isType, target }: Import) => isType && target === 'model/classifier.ts';

/** A circle of imports, types as well; undefined where there is none. */
function circle(): string[] | undefined {
  const state = new Map<string, 'open' | 'done'>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (state.get(file) === 'done') return undefined;
    if (state.get(file) === 'open') return [...path.slice(path.indexOf(file)), file];
    state.set(file, 'open');
    path.push(file);
    for (const { target } of imports.filter((each) => each.file === file && !isOfWhole(each))) {
      const found = visit(target);
      if (found) return found;
    }
    path.pop();
    state.set(file, 'done');
    return undefined;
  };
  for (const file of sources) {
    const found = visit(file);
    if (found) return found;
  }
  return undefined;
}

describe('the structure of the sources', () => {
  it('has a place for every folder', () => {
    const places = new Set(sources.map(placeOf));
    expect(LAYERS.flat()).to.have.members([...places]);
  });

  it('imports from below, types as well', () => {
    const layer = new Map(LAYERS.flatMap((places, i) => places.map((place) => [place, i] as const)));
    const upward = imports.filter(({ file, target }) => {
      const [from, to] = [placeOf(file), placeOf(target)];
      return from !== to && layer.get(from)! <= layer.get(to)!;
    });
    expect(upward.map(({ file, target }) => `${file} imports ${target}`)).to.deep.equal([]);
  });

  it('imports nothing in a circle', () => {
    expect(circle()).to.equal(undefined);
  });

  it('names an architecture in a file of its own and in the registry', () => {
    for (const { prefix } of ARCHITECTURES.filter(({ modelTypes }) => !('bert' in modelTypes))) {
      const named = [...sources.map((file) => join(LIB, file)), ...nativeSources()]
        .filter((path) => !path.includes('/tokenizer/') && !path.endsWith('/foreign.ts'))
        .filter((path) => new RegExp(prefix, 'i').test(codeOf(path)));
      expect(named.map((path) => relative(ROOT, path))).to.have.members([
        `lib/architectures/${prefix}.ts`,
        'lib/architectures/index.ts',
      ]);
    }
  });

  it('names a method that adds no parameters in a file of its own, the registry and the public face', () => {
    const named = [...sources.map((file) => join(LIB, file)), ...nativeSources()].filter((path) =>
      /bitfit/i.test(codeOf(path)),
    );
    expect(named.map((path) => relative(ROOT, path))).to.have.members([
      ...['lib/methods/bitfit.ts', 'lib/methods/registry.ts', 'lib/index.ts'],
    ]);
  });

  it('names a task among the tasks, and in the help of options that only it has', () => {
    const kind = new RegExp(`\\b(${TASK_KINDS.join('|')})\\b`);
    const named = sources
      .filter((file) => placeOf(file) !== 'tasks')
      .filter((file) => kind.test(codeOf(join(LIB, file)).replace(/ from '[^']*'|logistic regression/g, '')));
    // --label-columns, --threshold; positiveWeights, tuneThresholds, and what metricForBest is for each task.
    expect(named).to.have.members([
      ...['cli/arguments.ts', 'cli/evaluate.ts', 'cli/predict.ts', 'training/options.ts'],
    ]);
  });

  it('has kernels that all wait for what is ahead of them first', () => {
    const kernels = nativeSources()
      .filter((path) => /native\/cuda\/.*\.cuh?$/.test(path))
      .flatMap((path) => codeOf(path).split('__global__').slice(1));
    expect(kernels.length).to.be.above(40);
    const hasty = kernels.filter((kernel) => !/^[^{;]*\) \{\s*simt::wait_for_previous\(\);/.test(kernel));
    expect(hasty.map((kernel) => kernel.slice(0, 100))).to.deep.equal([]);
  });

  it('has no pointers through which a kernel may read ahead of its wait', () => {
    const early = nativeSources().filter(
      (path) => /native\/cuda\//.test(path) && /__restrict|__ldg/.test(codeOf(path)),
    );
    expect(early).to.deep.equal([]);
  });

  it('launches kernels in one place', () => {
    const launching = nativeSources().filter((path) => /simt::launch\(|<<</.test(codeOf(path)));
    expect(launching.map((path) => relative(ROOT, path))).to.deep.equal(['native/cuda/context.h']);
  });

  it('names an operation in at most five files beside the model that calls it', () => {
    const list = readFileSync(join(ROOT, 'native/core/backend.h'), 'utf8');
    const operations = [...list.matchAll(/^ {2}X\((\w+), \w+\)/gm)].map((match) => match[1]!);
    expect(operations.length).to.be.above(20);
    const reference = join(ROOT, 'test/operations/reference.ts');
    const places = nativeSources().filter((path) =>
      /core\/backend\.h$|(cpu|cuda|operations)\/[^/]*\.(cpp|cu)$/.test(path),
    );
    const texts = [...places, reference].map((path) => [path, readFileSync(path, 'utf8')] as const);
    for (const operation of operations) {
      const named = texts.filter(([, text]) => new RegExp(`\\b${operation}\\b`).test(text)).map(([path]) => path);
      expect(named.length, `${operation}: ${named.map((path) => relative(ROOT, path)).join(', ')}`).to.be.at.most(5);
    }
  });
});

/** A file without its comments. */
function codeOf(path: string): string {
  return readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
}

function nativeSources(): string[] {
  const native = join(ROOT, 'native');
  return filesIn(native)
    .filter((name) => /\.(h|cpp|cu|cuh)$/.test(name))
    .map((name) => join(native, name));
}
