// npm run test:faults: the tests of test/faults with the numbers that docs/reliability.md gives, then what was tried.
// Arguments go to mocha: npm run test:faults -- --grep checkpoint
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { main, root, say } from './console.js';
import { runNode } from './process.js';

const figures = path.join(root, 'build/.fault-figures');
const forMocha = process.argv.slice(2);

function table() {
  const rows = existsSync(figures)
    ? readFileSync(figures, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  const width = Math.max(0, ...rows.map(({ what }) => what.length));
  const number = (figure) => (typeof figure === 'number' ? figure.toLocaleString('en-US') : figure);
  return rows.map(({ what, figure }) => `${what.padEnd(width)}  ${number(figure)}`).join('\n');
}

await main(async () => {
  rmSync(figures, { force: true });
  say('faults, injected');
  const status = await runNode(
    'node_modules/mocha/bin/mocha.js',
    ['--fail-zero', 'test/faults/**/*.test.ts', ...forMocha],
    { env: { BERTUNE_FAULTS: 'long', BERTUNE_FAULTS_FIGURES: figures } },
  );
  console.log(`\nTried:\n${table()}`);
  return status ?? 0;
});
