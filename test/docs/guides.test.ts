import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { type Block, blocksOf, fileName } from './blocks.js';
import { ROOT, UserProject } from './project.js';

/** Languages of blocks that show what is printed or sent, and run nothing. */
const SHOWN = ['text', 'json', 'html'];

const documents = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md') && !name.startsWith('api'))
  .sort();

const read = (document: string) => readFileSync(join(ROOT, 'docs', document), 'utf8');

/** Runs a block as it is written; one that is a file is written for a later one to run. */
async function runBlock(project: UserProject, block: Block, number: number): Promise<void> {
  const name = fileName(block);
  if (name !== undefined) return project.write(name, block.code);
  // What is installed is there already; that it can be is the matter of test/package.
  if (block.language === 'sh') await project.shell(block.code.replaceAll(/^npm install .*$/gm, ''));
  else {
    const file = `block-${number}.${block.language === 'ts' ? 'ts' : 'mjs'}`;
    await project.write(file, block.code);
    const types =
      'npx tsc --noEmit --strict --target es2022 --lib es2023,esnext.disposable --module nodenext --types node';
    if (block.language === 'ts') await project.shell(`${types} ${file}`);
    await project.shell(`node ${block.language === 'ts' ? '--import tsx ' : ''}${file}`);
  }
}

describe('the guides', () => {
  for (const document of documents) {
    const blocks = blocksOf(read(document)).filter(({ language }) => !SHOWN.includes(language));

    it(`lead to files that there are: ${document}`, () => {
      const links = [...read(document).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
      for (const link of links) expect(existsSync(join(ROOT, 'docs', dirname(document), link)), link).to.equal(true);
    });

    if (blocks.length === 0) continue;
    it(`run as written, from an empty folder: ${document}`, async function () {
      this.timeout(240_000);
      for (const { language, line } of blocks) expect(['sh', 'js', 'ts'], `line ${line}`).to.include(language);
      const commands = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code);
      for (const name of blocks.flatMap((block) => fileName(block) ?? [])) {
        expect(
          commands.some((code) => code.includes(name)),
          `a command that runs ${name}`,
        ).to.equal(true);
      }
      const project = await UserProject.create();
      try {
        for (const [number, block] of blocks.entries()) {
          await runBlock(project, block, number).catch(
            (error: { stdout?: string; stderr?: string; message: string }) => {
              throw new Error(`line ${block.line}: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
            },
          );
        }
      } finally {
        await project.remove();
      }
    });
  }
});
