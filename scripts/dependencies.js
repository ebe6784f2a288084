import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root, SetupError, timed } from './console.js';
import { run, runNode } from './process.js';

function packages(lockFile) {
  try {
    return JSON.parse(readFileSync(path.join(root, lockFile), 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** Whether node_modules has every package of the lock file in the locked version. */
function upToDate() {
  const installed = packages('node_modules/.package-lock.json');
  return Object.entries(packages('package-lock.json')).every(
    ([folder, locked]) =>
      folder === '' || (folder in installed ? installed[folder].version === locked.version : locked.optional === true),
  );
}

/** Installs the npm packages of package-lock.json if any is missing. */
export async function ensureDependencies() {
  if (upToDate()) return;
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  const npm = process.env.npm_execpath;
  const ours = npm && /npm-cli\.c?js$/.test(npm);
  const install = () => (ours ? runNode(npm, args, { output: 'failure' }) : run('npm', args, { output: 'failure' }));
  const status = await timed('installing npm packages (npm ci)', install);
  if (status !== 0) throw new SetupError('npm ci failed; what it says stands above.');
}
