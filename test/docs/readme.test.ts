import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

/** The code blocks of a language under a heading of README.md. */
function block(heading: string, language: string): string {
  const section = read('README.md').split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const found = section.match(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``))?.[1];
  if (!found) throw new Error(`README.md has no ${language} block under ${heading}`);
  return found;
}

describe('README', () => {
  let folder: string;

  // A folder with the repository's parts in it, so that what the blocks write stays out of the repository.
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-readme-'));
    await Promise.all(
      ['assets', 'dist', 'node_modules', 'build'].map((name) => symlink(join(ROOT, name), join(folder, name))),
    );
    await writeFile(join(folder, 'package.json'), read('package.json'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('names npm scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const line of block('Two commands', 'sh').trim().split('\n')) {
      const name = line.match(/^npm (?:run )?(\S+)/)?.[1] ?? line;
      expect(scripts).to.have.property(name);
    }
  });

  it('runs as written: the code', async () => {
    await writeFile(join(folder, 'example.mjs'), block('From code', 'js'));
    const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: folder });
    expect(stdout).to.match(/loss: [\d.]+/);
    expect(stdout).to.match(/accuracy: 0\.[5-9]\d*/);
    expect(stdout.match(/label: '/g)).to.have.length(2);
  });

  it('runs as written: the commands', async function () {
    this.timeout(240_000);
    const commands = block('From the shell', 'sh').trim().split('\n');
    expect(commands).to.have.length.greaterThan(3);
    for (const command of commands) {
      const { stdout } = await run('sh', ['-ec', command], { cwd: folder });
      expect(stdout, command).not.to.equal('');
    }
    expect(existsSync(join(folder, 'results/lora8/adapter_model.safetensors'))).to.equal(true);
    expect(existsSync(join(folder, 'results/lora8/trainer_state.json'))).to.equal(true);
  });

  for (const document of ['README.md', 'CONTRIBUTING.md']) {
    it(`names files that there are: ${document}`, () => {
      const links = [...read(document).matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '');
      const paths = [...read(document).matchAll(/`((?:lib|native|test|bench|assets|scripts|cmake)\/[\w./-]*)`/g)].map(
        (match) => match[1] ?? '',
      );
      expect(links.length + paths.length).to.be.greaterThan(10);
      for (const path of [...links, ...paths]) expect(existsSync(join(ROOT, path)), path).to.equal(true);
    });
  }
});
