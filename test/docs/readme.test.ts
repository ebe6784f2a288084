import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { ROOT } from './project.js';

const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

// Its programs and commands run with those of the guides, see guides.test.ts.
describe('README', () => {
  it('names npm scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const names = [...read('README.md').matchAll(/(?:^|`)npm (?:run )?(?!install\b)([a-z:]+)/gm)].map(
      ([, name]) => name!,
    );
    expect(names).to.include.members(['bench', 'test']);
    for (const name of names) expect(scripts).to.have.property(name);
  });

  for (const document of ['README.md', 'CONTRIBUTING.md']) {
    it(`names files that there are: ${document}`, () => {
      const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? '');
      const paths = [...read(document).matchAll(/`((?:lib|native|test|bench|assets|scripts|cmake)\/[\w./-]*)`/g)].map(
        (match) => match[1] ?? '',
      );
      expect(links.length + paths.length).to.be.greaterThan(10);
      for (const path of [...links, ...paths]) expect(existsSync(join(ROOT, path)), path).to.equal(true);
    });
  }
});
