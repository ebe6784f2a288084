// What `npm test` runs once the set-up is done: format, lint, types, the builds that only tests need, tests. Stops at the first
// that fails, and says how long each took.
//   npm test -- --grep LoRA   mocha's arguments, over all tests in one run
//   npm test -- --all         every test, and the emulator's strict builds
import os from 'node:os';
import path from 'node:path';
import { buildWithMpi, tsc } from './build.js';
import { main, say } from './console.js';
import { buildCuda, buildEmulator } from './cuda.js';
import { listFiles } from './files.js';
import { closingLines, mocha, mochaEach, resetTally } from './mocha.js';
import { runNode } from './process.js';

const forMocha = process.argv.slice(2).filter((argument) => argument !== '--all');
const all = process.argv.includes('--all');

const script = (name, file, args, advice) => ({ name, run: () => runNode(file, args), advice });

/** The folders whose tests take longest, in this order, so that none is left over at the end; those of all others run in one go. */
const LONGEST = [
  'docs',
  'cli',
  'lib',
  'faults',
  'model',
  'package',
  'operations',
  'faults/disk',
  'hub',
  'distributed',
  'cuda',
].map((folder) => `test/${folder}`);
/** Tests that measure time. */
const TIMED = [
  ...['serving', 'faults/service'].map((folder) => `test/${folder}/`),
  'test/examples/service.test.ts',
  'test/lib/event-loop.test.ts',
];
/** What `npm test` leaves to `npm test -- --all`: injected faults, and what users do with packages, guides and examples. */
const LEFT = [...['faults', 'package', 'examples'].map((folder) => `test/${folder}/`), 'test/docs/guides.test.ts'];

/** The emulator's build that sees races. */
const RACE = { BERTUNE_EMULATOR: 'race', BERTUNE_TEST_DEVICES: 'cuda-emulated' };

/** One more than there are processors, since some tests wait most of the time, for leases and for servers that are slow. */
const AT_ONCE = os.availableParallelism() + 1;

/** Runs of mocha, several side by side, and behind them the tests that measure time, alone. */
async function tests() {
  const among = (beginnings) => (file) => beginnings.some((beginning) => file.startsWith(beginning));
  const files = listFiles(['test'], /\.test\.ts$/).filter((file) => all || !among(LEFT)(file));
  const timed = files.filter(among(TIMED));
  const untimed = files.filter((file) => !timed.includes(file));
  const filesOf = (folder) => untimed.filter((file) => path.dirname(file) === folder);
  const runs = [
    ...(all ? [{ name: 'operations, race build', files: filesOf('test/operations'), env: RACE }] : []),
    { name: 'other folders', files: untimed.filter((file) => !LONGEST.includes(path.dirname(file))) },
    ...LONGEST.map((folder) => ({ name: folder, files: filesOf(folder) })),
  ].filter(({ files }) => files.length > 0);
  const sideBySide = await mochaEach(runs, AT_ONCE, { env: all ? { BERTUNE_PLANTED: 'all' } : {} });
  return Math.max(sideBySide, await mocha(timed));
}

function stages() {
  // Beside the checks, which take one processor: most of it is a download.
  const mpi = buildWithMpi();
  mpi.catch(() => {}); // told by its stage
  return [
    script('format', 'scripts/format.js', [], 'npm run format mends it'),
    script('lint', 'node_modules/@biomejs/biome/bin/biome', ['lint', '--error-on-warnings']),
    script('types', tsc, ['-p', 'tsconfig.test.json']),
    { name: 'MPI', run: () => mpi },
    // Side by side, since each ends with one long source.
    {
      name: 'emulator and nvcc',
      run: async () => void (await Promise.all([buildEmulator({ strict: all }), buildCuda()])),
    },
    { name: 'tests', run: forMocha.length > 0 ? () => mocha(['test/**/*.test.ts'], { args: forMocha }) : tests },
  ];
}

await main(async () => {
  resetTally();
  const times = [];
  for (const { name, run, advice } of stages()) {
    say(name);
    const start = performance.now();
    const status = (await run()) ?? 0;
    times.push(`${name} ${((performance.now() - start) / 1000).toFixed(0)} s`);
    if (status !== 0) {
      say(times.join(', '));
      if (name === 'tests') console.log(closingLines());
      say(`npm test stopped: ${name} failed${advice ? ` (${advice})` : ''}`);
      return 1;
    }
  }
  say(times.join(', '));
  console.log(closingLines());
});
