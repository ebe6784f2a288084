import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './project.js';

const run = promisify(execFile);

describe('the reference of the public API', () => {
  // Warnings are errors there: an export without a description, a type that is used and not exported, a link to nothing.
  it('has a description of everything that is exported', async function () {
    this.timeout(120_000);
    const typedoc = join(ROOT, 'node_modules/typedoc/bin/typedoc');
    // Types are checked before the tests.
    await run(process.execPath, [typedoc, '--emit', 'none', '--skipErrorChecking'], { cwd: ROOT });
  });
});
