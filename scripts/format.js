// Formats TypeScript, JavaScript and JSON with biome, C++ and CUDA with clang-format.
// node scripts/format.js [--write]   without --write it only lists what is not formatted, and fails if anything is
import { createRequire } from 'node:module';
import { main } from './console.js';
import { listFiles } from './files.js';
import { run, runNode } from './process.js';

const { clangFormatPath } = createRequire(import.meta.url)('clang-format-node');
const write = process.argv.includes('--write');

await main(async () => {
  const biome = await runNode('node_modules/@biomejs/biome/bin/biome', [
    'check',
    '--linter-enabled=false',
    ...(write ? ['--write'] : []),
  ]);
  const sources = listFiles(['native', 'scripts', 'test'], /\.(?:h|cpp|cu|cuh)$/);
  const clang =
    sources.length && (await run(clangFormatPath, [...(write ? ['-i'] : ['--dry-run', '-Werror']), ...sources]));
  return biome || clang;
});
