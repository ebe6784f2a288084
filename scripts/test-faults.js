// npm run test:faults: runs the tests of test/faults at the sizes that docs/reliability.md gives, then says what was tried; with
// them, other tests that have a long form.
// Files run side by side, one per processor; those that measure time run last, alone.
//   npm run test:faults -- test/faults/disk     the files of a folder, or one file
//   npm run test:faults -- --fgrep checkpoint   mocha's arguments
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildWithMpi } from './build.js';
import { main, root, say } from './console.js';
import { buildEmulator } from './cuda.js';
import { readJsonLines } from './files.js';
import { closingLines, mochaEach, resetTally, testsAndArguments } from './mocha.js';

const figures = path.join(root, 'build/.fault-figures');
const folder = 'test/faults';
/**
 * Tests elsewhere that have a long form: against Trainer with every method, on two and four ranks under each MPI, on four emulated
 * GPUs, on all of the sample data, with as many graphs as are kept, at the size of BERT-base under the emulator, with every
 * character, with every stage and every fault of a first run on a GPU, under every setting of modules and both versions of TypeScript.
 */
const OTHERS = [
  'test/cli/train.test.ts',
  'test/distributed/gpu.test.ts',
  'test/distributed/training.test.ts',
  'test/docs/guides.test.ts',
  'test/docs/types.test.ts',
  'test/cuda/recordings.test.ts',
  'test/model/onnx.test.ts',
  'test/model/parity.test.ts',
  'test/tokenizer/kinds.test.ts',
  'test/bench/first-light.test.ts',
  'test/package/install.test.ts',
];
/** The longest come first, so that none is left running alone at the end. */
const LONGEST = [
  'disk/kills',
  'clusters/slurm',
  'sweep',
  'allocation',
  'workers',
  'exit',
  'fuzz/tokenizer',
  'fuzz/results',
  'fuzz/parquet',
].map((name) => `${folder}/${name}.test.ts`);
const measuresTime = (file) => file.startsWith(`${folder}/service/`);

function table() {
  const rows = readJsonLines(figures).sort((a, b) => (a.what < b.what ? -1 : 1));
  const width = Math.max(0, ...rows.map(({ what }) => what.length));
  const number = (figure) => (typeof figure === 'number' ? figure.toLocaleString('en-US') : figure);
  return rows.map(({ what, figure }) => `${what.padEnd(width)}  ${number(figure)}`).join('\n');
}

await main(async () => {
  await buildWithMpi();
  await buildEmulator();
  rmSync(figures, { force: true });
  resetTally();
  const { files, forMocha } = testsAndArguments(process.argv.slice(2), folder, OTHERS);
  const rank = (file) => (LONGEST.includes(file) ? LONGEST.indexOf(file) : LONGEST.length);
  const sideBySide = files.filter((file) => !measuresTime(file)).sort((a, b) => rank(a) - rank(b));
  const processors = os.availableParallelism();
  say(`faults, injected: ${files.length} files, ${processors} at a time`);
  const options = { env: { BERTUNE_FAULTS: 'long', BERTUNE_FAULTS_FIGURES: figures }, forMocha };
  const status = await mochaEach(sideBySide, processors, options);
  const timed = await mochaEach(files.filter(measuresTime), 1, options);
  console.log(`\nTried:\n${table()}\n\n${closingLines()}`);
  return Math.max(status, timed);
});
