// Declarations for CommonJS callers under TypeScript's `module: node16`, which refuses to `require` those of an ES module:
// copies in dist/commonjs, where a package.json says that they are CommonJS. `require` still loads dist/index.js.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Copies dist/index.d.ts, and every declaration file that it leads to, into dist/commonjs. */
export function writeCommonJsDeclarations(dist) {
  const output = path.join(dist, 'commonjs');
  const reached = new Set(['index.d.ts']);
  for (const file of reached) {
    const text = readFileSync(path.join(dist, file), 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
    for (const [, specifier] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g))
      reached.add(path.join(path.dirname(file), `${specifier}.d.ts`));
    mkdirSync(path.dirname(path.join(output, file)), { recursive: true });
    writeFileSync(path.join(output, file), text);
  }
  writeFileSync(path.join(output, 'package.json'), '{ "type": "commonjs" }\n');
}
