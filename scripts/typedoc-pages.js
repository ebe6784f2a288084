// A plugin for typedoc: names pages after their headings, not their files; points links to files that are not pages to the repository;
// marks the hyphenated words in code, which typedoc.css keeps whole.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Converter, PageEvent, ReflectionKind } from 'typedoc';
import { root } from './console.js';

const { repository } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const FILES = `${repository.url.replace(/^git\+|\.git$/g, '')}/blob/main/`;

const HEADING = /^# (.*)\n+/;
const CODE = /(?<=<code>)[^<]+(?=<\/code>)/g;
const HYPHENATED = /[^\s,&;]*-[^\s,&;]*/g;

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    document.name = HEADING.exec(document.content[0]?.text)?.[1] ?? document.name;
  });
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const documents = project.getReflectionsByKind(ReflectionKind.Document);
    // The page's title already says this.
    if (project.readme?.[0]) project.readme[0].text = project.readme[0].text.replace(HEADING, '');
    for (const part of [project.readme ?? [], ...documents.map(({ content }) => content)].flat()) {
      const file = part.kind === 'relative-link' && part.target && project.files.resolve(part.target, project);
      // Images are copied into the site.
      if (typeof file === 'string' && !/\.(?:png|svg)$/.test(file)) {
        Object.assign(part, { kind: 'text', text: FILES + path.relative(root, file).replaceAll(path.sep, '/') });
      }
    }
  });
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = page.contents.replace(CODE, (code) => code.replace(HYPHENATED, '<span class="word">$&</span>'));
  });
}
