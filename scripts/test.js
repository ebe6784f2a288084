// What `npm test` runs once the set-up is done: format, lint, types, tests. Stops at the first that fails.
// Arguments go to mocha: npm test -- --grep LoRA
import { main, say } from './console.js';
import { runNode } from './process.js';

const stages = [
  { name: 'format', script: 'scripts/format.js', args: [], advice: 'npm run format mends it' },
  { name: 'lint', script: 'node_modules/@biomejs/biome/bin/biome', args: ['lint', '--error-on-warnings'] },
  { name: 'types', script: 'node_modules/typescript/bin/tsc', args: ['-p', 'tsconfig.test.json'] },
  {
    name: 'tests',
    script: 'node_modules/mocha/bin/mocha.js',
    args: ['--fail-zero', '--reporter', 'scripts/reporter.cjs', 'test/**/*.test.ts', ...process.argv.slice(2)],
  },
];

await main(async () => {
  for (const { name, script, args, advice } of stages) {
    say(name);
    const status = await runNode(script, args);
    if (status !== 0) {
      say(`npm test stopped: ${name} failed${advice ? ` (${advice})` : ''}`);
      return 1;
    }
  }
});
