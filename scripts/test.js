// What `npm test` runs once the set-up is done: format, lint, types, the builds that only tests need, tests. Stops at the first
// that fails.
// Arguments go to mocha, which is then run once: npm test -- --grep LoRA
import { buildWithMpi } from './build.js';
import { main, say } from './console.js';
import { buildCuda, buildEmulator } from './cuda.js';
import { closingLines, mocha, resetTally } from './mocha.js';
import { runNode } from './process.js';

const forMocha = process.argv.slice(2);

const script = (name, file, args, advice) => ({ name, run: () => runNode(file, args), advice });

/**
 * The tests in runs of mocha: two side by side, each of which keeps one core busy most of the time, and behind them those that
 * measure time, alone.
 */
const NUMERICS = ['operations', 'model', 'native', 'cuda', 'simt'].map((folder) => `test/${folder}/**/*.test.ts`);
const FAULTS_AND_DOCS = ['test/faults/**/*.test.ts', 'test/docs/**/*.test.ts'];
const TIMED = [
  ...['bench', 'serving', 'examples', 'faults/service'].map((folder) => `test/${folder}/**/*.test.ts`),
  ...['dataset', 'event-loop', 'time-slice', 'progress'].map((name) => `test/lib/${name}.test.ts`),
];
const ALL = ['test/**/*.test.ts'];

const but = (...patterns) => patterns.flat().flatMap((pattern) => ['--ignore', pattern]);

async function tests() {
  const first = async () => [await mocha(NUMERICS), await mocha(FAULTS_AND_DOCS, { args: but(TIMED) })];
  const second = mocha(ALL, { args: but(NUMERICS, FAULTS_AND_DOCS, TIMED), output: 'after' });
  const sideBySide = await Promise.all([first(), second]);
  const alone = await mocha(TIMED);
  return Math.max(...sideBySide.flat(), alone);
}

function stages() {
  return [
    script('format', 'scripts/format.js', [], 'npm run format mends it'),
    script('lint', 'node_modules/@biomejs/biome/bin/biome', ['lint', '--error-on-warnings']),
    script('types', 'node_modules/typescript/bin/tsc', ['-p', 'tsconfig.test.json']),
    { name: 'MPI', run: buildWithMpi },
    { name: 'emulator', run: () => buildEmulator() },
    { name: 'nvcc', run: async () => void (await buildCuda()) },
    { name: 'tests', run: forMocha.length > 0 ? () => mocha(ALL, { args: forMocha }) : tests },
  ];
}

await main(async () => {
  resetTally();
  for (const { name, run, advice } of stages()) {
    say(name);
    const status = (await run()) ?? 0;
    if (status !== 0) {
      if (name === 'tests') console.log(closingLines());
      say(`npm test stopped: ${name} failed${advice ? ` (${advice})` : ''}`);
      return 1;
    }
  }
  console.log(closingLines());
});
