import { cpSync } from 'node:fs';
import path from 'node:path';
import { root } from '../console.js';
import { mainManifest } from './manifest.js';
import { makeFolder } from './stage.js';

/** Makes the folder of the main package: what package.json's `files` names, and its documents. */
export function stageMain(output) {
  const manifest = mainManifest();
  const folder = makeFolder(output, manifest);
  for (const name of [...manifest.files, 'README.md']) {
    if (!name.startsWith('!')) cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  return folder;
}
