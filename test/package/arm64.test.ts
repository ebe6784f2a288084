import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { BUILD_TIMEOUT_MS, installedProject, type Project } from './project.js';

/** Node.js for linux-arm64, which `npm run test:arm64` fetches and qemu runs. */
const NODE = process.env.BERTUNE_ARM64_NODE;

(NODE ? describe : describe.skip)('the published packages on linux-arm64', function () {
  this.timeout(BUILD_TIMEOUT_MS);
  let project: Project;
  before(async () => {
    project = await installedProject('arm64');
  });

  async function bertune(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await project.execute('qemu-aarch64', [
      NODE!,
      join(project.folder, 'node_modules/bertune/dist/cli/main.js'),
      ...args,
    ]);
    expect(status, stderr).to.equal(0);
    return stdout;
  }

  it('bring the addon of that platform alone', async () => {
    expect(await readdir(join(project.folder, 'node_modules/@bertune'))).to.have.members(['linux-arm64', 'samples']);
    const facts = JSON.parse(await bertune('inspect', '--json'));
    expect(facts.addon_path).to.match(/@bertune\/linux-arm64\/bertune\.node$/);
    expect(facts.blas.library).to.equal('OpenBLAS');
  });

  it('train and predict', async () => {
    const rows = ['text,label', 'see you at noon,ham', 'win a prize now,spam', 'call me,ham', 'claim your prize,spam'];
    await writeFile(join(project.folder, 'mine.csv'), `${rows.join('\n')}\n`);
    await bertune(
      'train',
      '--data',
      'mine.csv',
      '--method',
      'full',
      '--max-steps',
      '20',
      '--output',
      'mine',
      '--quiet',
    );
    const lines = (await bertune('predict', '--model', 'mine', 'please call me', 'a prize to win')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).label)).to.deep.equal(['ham', 'spam']);
  });
});
