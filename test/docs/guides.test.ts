import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { transform } from 'esbuild';
import { LONG } from '../faults/scale.js';
import { type Block, blocksOf, fileName } from './blocks.js';
import { ROOT, UserProject } from './project.js';

/** Languages of blocks that show what is printed or sent, and run nothing. */
const SHOWN = ['text', 'json', 'html', 'python'];

const guides = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.md'),
);
const documents = ['README.md', 'examples/README.md', ...guides.map((name) => join('docs', name)).sort()];

const read = (document: string) => readFileSync(join(ROOT, document), 'utf8');

/** What a heading can be linked by. */
const anchorsOf = (markdown: string) =>
  [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** Every thirtieth row of the sample data, in a folder of its name, which is read in its place: all of it takes minutes. */
async function writeFewerSamples(project: UserProject): Promise<void> {
  for (const split of ['train', 'validation', 'test']) {
    const lines = read(`assets/data/goemotions6/${split}.csv`).split('\n');
    await project.write(`goemotions6/${split}.csv`, lines.filter((_, number) => number % 30 === 0).join('\n'));
  }
}

/** Runs a block as it is written; one that is a file is written for a later one to run. */
async function runBlock(project: UserProject, block: Block, number: number): Promise<void> {
  const name = fileName(block);
  if (name !== undefined) return project.write(name, block.code);
  // What is installed is there already; that it can be is the matter of test/package.
  if (block.language === 'sh') await project.shell(block.code.replaceAll(/^npm install .*$/gm, ''));
  else {
    // Types are the matter of types.test.ts.
    const { code } = block.language === 'ts' ? await transform(block.code, { loader: 'ts', target: 'node20' }) : block;
    await project.write(`block-${number}.mjs`, code);
    await project.shell(`node block-${number}.mjs`);
  }
}

describe('the guides', () => {
  it('are all pages of the site', () => {
    const { projectDocuments } = JSON.parse(read('typedoc.json')) as { projectDocuments: string[] };
    expect(projectDocuments).to.include.members(guides.map((name) => join('docs', name)));
  });

  it('have a line for every error code', () => {
    const codes = [...read('lib/errors.ts').matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code]) => code);
    const rows = [...read('docs/guide/errors.md').matchAll(/^\| `(\w+)` \| \S.* \| \S.* \|$/gm)].map(
      ([, code]) => code,
    );
    expect(codes.length).to.be.greaterThan(20);
    expect(rows).to.deep.equal(codes);
  });

  for (const document of documents) {
    const blocks = blocksOf(read(document)).filter(({ language }) => !SHOWN.includes(language));

    it(`lead to files that there are: ${document}`, () => {
      for (const [, link = '', anchor] of read(document).matchAll(
        /(?:\]\(|src(?:set)?=")([^)#:"]*)(?:#([^)"]*))?[)"]/g,
      )) {
        const file = link === '' ? document : join(dirname(document), link);
        expect(existsSync(join(ROOT, file)), link).to.equal(true);
        if (anchor !== undefined) expect(anchorsOf(read(file)), `${link}#${anchor}`).to.include(anchor);
      }
    });

    if (blocks.length === 0) continue;
    it(`run as written, from an empty folder: ${document}`, async function () {
      this.timeout(600_000);
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
        if (!LONG) await writeFewerSamples(project);
        for (const [number, block] of blocks.entries()) {
          await runBlock(project, block, number).catch(
            (error: { stdout?: string; stderr?: string; message: string }) => {
              throw new Error(`line ${block.line}: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
            },
          );
        }
        for (const name of readdirSync(project.folder).filter((file) => file.endsWith('.csv'))) {
          const [header, ...rows] = readFileSync(join(project.folder, name), 'utf8').split('\n');
          expect(rows, `the rows of ${name}`).not.to.include(header);
        }
      } finally {
        await project.remove();
      }
    });
  }
});
