import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundle, licenseOf } from '../bundle.js';
import { root } from '../console.js';
import { mainManifest, samplesManifest } from './manifest.js';
import { makeFolder, writeNotice } from './stage.js';

/** Makes the folder of the main package: what package.json's `files` lists, and the documents. */
export async function stageMain(output) {
  const manifest = mainManifest();
  const folder = makeFolder(output, { ...manifest, files: [...manifest.files, 'NOTICE'] });
  for (const name of manifest.files) {
    if (!name.startsWith('!')) cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  for (const file of readdirSync(path.join(folder, 'dist'), { recursive: true })) {
    if (file.endsWith('.js')) withoutMap(path.join(folder, 'dist', file));
  }
  writeFileSync(path.join(folder, 'README.md'), publishedReadme(manifest));
  writeNotice(folder, (await bundle()).map(licenseOf));
  return folder;
}

/** Takes the name of its source map, which is not published, out of a module: debuggers would complain that it is missing. */
function withoutMap(file) {
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n/m, ''));
}

/** README.md for npm's page, where pictures and relative links to the repository's files would be broken. */
function publishedReadme({ repository, version }) {
  const files = `${repository.url.replace(/^git\+|\.git$/g, '')}/blob/v${version}/`;
  const absolute = (text) =>
    text
      .replace(/\]\((?![a-z]+:|#)([^)]+)\)/g, (_, link) => `](${files}${link})`)
      .replace(
        /\b(src|srcset)="(?!https?:)([^"]+)"/g,
        (_, name, link) => `${name}="${files.replace('/blob/', '/raw/')}${link}"`,
      );
  return absolute(readFileSync(path.join(root, 'README.md'), 'utf8'));
}

/** Makes the folder of the package with the model and the data to try things with. */
export function stageSamples(output) {
  const manifest = samplesManifest();
  const folder = makeFolder(output, manifest);
  for (const name of [...manifest.files, 'README.md'])
    cpSync(path.join(root, 'assets', name), path.join(folder, name), { recursive: true });
  return folder;
}
