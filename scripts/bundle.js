// Bundles lib into the few modules of dist: hundreds of small ones take Node.js longer to load than all they do at start-up. With
// them go libraries that only one part of Bertune needs (the report's charts, the hub, ONNX files, tables), which would bring
// users dozens of packages.
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';
import { root, SetupError } from './console.js';

/**
 * What is imported from outside: the API, the command, what tests run in their own process of it, and the process of a run. Their
 * folders in lib and dist are the same.
 */
const ENTRIES = ['index.ts', 'cli/main.ts', 'cli/run.ts', 'experiments/worker.ts'];

/** The packages that are bundled, with everything they depend on. */
const BUNDLED = ['@observablehq/plot', 'linkedom', '@huggingface/hub', 'pbf', 'string-width'];

/** Licenses that require nothing but their text. */
const PERMISSIVE = ['ISC', 'MIT', 'BSD-2-Clause', 'BSD-3-Clause', 'Unlicense', 'Apache-2.0'];

/** A package's name in an import's specifier. */
const packageOf = (specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)[0];

/**
 * Bundles lib.
 *
 * @param {string} [output] the folder that is written. Writes nothing by default.
 * @returns {Promise<string[]>} the folders of the packages whose code is in the bundle, relative to the root, in order
 */
export async function bundle(output) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ENTRIES.map((name) => `lib/${name}`),
    outdir: output ?? 'dist',
    outbase: 'lib',
    write: output !== undefined,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none', // NOTICE has the licenses
    metafile: true,
    logLevel: 'error',
    // Some of the libraries are CommonJS and `require` modules of Node.js.
    banner: {
      js: "import{createRequire as bundledRequire}from'node:module';const require=bundledRequire(import.meta.url);",
    },
    plugins: [{ name: 'other packages are imported', setup: keepOthers }],
  });
  expectInstalled(metafile.inputs);
  return packagesOf(Object.values(metafile.outputs));
}

/** Leaves lib's imports of packages as they are, but for those that are bundled. */
function keepOthers(bundler) {
  const lib = path.join(root, 'lib') + path.sep;
  bundler.onResolve({ filter: /^[^.]/ }, ({ path: specifier, importer }) =>
    importer.startsWith(lib) && !BUNDLED.includes(packageOf(specifier))
      ? { path: specifier, external: true }
      : undefined,
  );
}

/** Users install the dependencies, and lib may import no others that are not bundled. */
function expectInstalled(inputs) {
  const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const known = [...Object.keys(dependencies), ...BUNDLED];
  for (const [file, { imports }] of Object.entries(inputs).filter(([name]) => name.startsWith('lib/'))) {
    const names = imports.filter(({ external }) => external).map((each) => each.path);
    // <runtime>: esbuild's own help for what is too new for the target.
    const others = names.filter((name) => !isBuiltin(name) && ![...known, '<runtime>'].includes(packageOf(name)));
    if (others.length > 0)
      throw new SetupError(
        `${file} imports ${others.join(', ')}: neither a dependency nor bundled (${BUNDLED.join(', ')})`,
      );
  }
}

/** The folders of the packages whose code is in the output, in order. */
function packagesOf(outputs) {
  const files = outputs.flatMap(({ inputs }) => Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0));
  const folders = files.flatMap((file) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/**
 * A package's name, version and license, with the license's text if the package has it.
 *
 * @param {string} folder as `bundle` returns it
 */
export function licenseOf(folder) {
  const place = path.resolve(root, folder);
  const { name, version, license } = JSON.parse(readFileSync(path.join(place, 'package.json'), 'utf8'));
  if (!PERMISSIVE.includes(license)) throw new SetupError(`${name} is under ${license}: it cannot be bundled`);
  const file = readdirSync(place).find((each) => /^licen[cs]e/i.test(each));
  const title = `${name} ${version}, parts of which are in dist: ${license}`;
  return file === undefined ? title : `${title}\n\n${readFileSync(path.join(place, file), 'utf8').trim()}`;
}
