// Libraries that only one part of Bertune needs (the report's charts, the hub, ONNX files, tables) bring dozens of packages. The code
// that is used goes into dist/bundled at package time, so that users do not install those packages.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root, SetupError, say } from '../console.js';

/** The packages that are bundled, with everything they depend on. */
const BUNDLED = ['@observablehq/plot', 'linkedom', '@huggingface/hub', 'pbf', 'string-width'];

/** Licenses that require nothing but their text. */
const PERMISSIVE = ['ISC', 'MIT', 'BSD-2-Clause', 'BSD-3-Clause', 'Unlicense', 'Apache-2.0'];

/** A package's name in an import's specifier. */
const packageOf = (specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)[0];

/**
 * Bundles the code that a folder's modules use of these packages.
 *
 * @param {string} dist the compiled modules, which are changed in place
 * @param {string[]} dependencies the packages that users install; no others may be imported
 * @returns {Promise<string[]>} the licenses of the bundled code
 */
export async function bundleDependencies(dist, dependencies) {
  const imports = await importsOf(dist);
  for (const [file, names] of imports) expectInstalled(path.relative(dist, file), names, [...dependencies, ...BUNDLED]);
  const entryPoints = [...imports.keys()].filter((file) => imports.get(file).some((name) => BUNDLED.includes(name)));
  const { metafile } = await build({
    entryPoints,
    outdir: dist,
    outbase: dist,
    allowOverwrite: true,
    bundle: true,
    splitting: true,
    chunkNames: 'bundled/[name]-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none', // NOTICE has the licenses
    metafile: true,
    logLevel: 'error',
    // Some of the libraries are CommonJS and `require` modules of Node.js.
    banner: {
      js: "import{createRequire as bundledRequire}from'node:module';const require=bundledRequire(import.meta.url);",
    },
    plugins: [{ name: 'own modules stay as they are', setup: (bundler) => keepOwn(bundler, dist) }],
  });
  const packages = packagesOf(Object.values(metafile.outputs));
  say(`bundled ${packages.length} packages, in ${entryPoints.length} modules`);
  return packages.map(licenseOf);
}

/** Resolves the bundled packages and what they import; leaves all other imports as they are. */
function keepOwn(bundler, dist) {
  bundler.onResolve({ filter: /.*/ }, ({ path: specifier, importer, kind }) => {
    if (kind === 'entry-point' || !importer.startsWith(dist)) return undefined;
    if (!BUNDLED.includes(packageOf(specifier))) return { path: specifier, external: true };
    return bundler.resolve(specifier, { kind, resolveDir: root });
  });
}

/** The packages that each compiled module imports, by file. */
async function importsOf(dist) {
  const modules = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.js'));
  const external = ({ kind, path: specifier }) =>
    kind === 'entry-point' ? undefined : { path: specifier, external: true };
  const { metafile } = await build({
    entryPoints: modules.map((name) => path.join(dist, name)),
    outdir: dist,
    bundle: true,
    format: 'esm',
    write: false,
    metafile: true,
    plugins: [{ name: 'nothing is followed', setup: (bundler) => bundler.onResolve({ filter: /.*/ }, external) }],
  });
  const packages = (imports) =>
    imports
      .map((each) => each.path)
      .filter((name) => !/^\.|^node:/.test(name))
      .map(packageOf);
  return new Map(Object.entries(metafile.inputs).map(([file, { imports }]) => [path.resolve(file), packages(imports)]));
}

function expectInstalled(file, names, known) {
  const others = names.filter((name) => !known.includes(name));
  if (others.length > 0)
    throw new SetupError(
      `dist/${file} imports ${others.join(', ')}: neither a dependency nor bundled (${BUNDLED.join(', ')})`,
    );
}

/** The folders of the packages whose code is in the output, in order. */
function packagesOf(outputs) {
  const files = outputs.flatMap(({ inputs }) => Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0));
  const folders = files.flatMap((file) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/** A package's name, version and license, with the license's text if the package has it. */
function licenseOf(folder) {
  const place = path.resolve(root, folder);
  const { name, version, license } = JSON.parse(readFileSync(path.join(place, 'package.json'), 'utf8'));
  if (!PERMISSIVE.includes(license)) throw new SetupError(`${name} is under ${license}: it cannot be bundled`);
  const file = readdirSync(place).find((each) => /^licen[cs]e/i.test(each));
  const title = `${name} ${version}, parts of which are in dist: ${license}`;
  return file === undefined ? title : `${title}\n\n${readFileSync(path.join(place, file), 'utf8').trim()}`;
}
