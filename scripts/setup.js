// Makes a fresh clone ready to run: system packages, npm packages, addon, TypeScript. Quick if nothing changed.
import { buildNative, buildTypeScript } from './build.js';
import { main } from './console.js';
import { ensureDependencies } from './dependencies.js';
import { withLock } from './lock.js';
import { checkNode, ensureSystemPackages } from './system.js';

await main(async () => {
  checkNode();
  await withLock(async () => {
    await Promise.all([ensureSystemPackages(), ensureDependencies()]);
    await Promise.all([buildNative(), buildTypeScript()]);
  });
});
