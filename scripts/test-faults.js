// npm run test:faults: the tests of test/faults with the numbers that docs/reliability.md gives, then what was tried.
// Files are run side by side, one on each processor, and those that measure time behind them, alone.
//   npm run test:faults -- test/faults/disk     the files of a folder, or one file
//   npm run test:faults -- --fgrep checkpoint   mocha's arguments
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { main, root, say } from './console.js';
import { listFiles, readJsonLines } from './files.js';
import { closingLine, mocha, resetTally } from './mocha.js';

const figures = path.join(root, 'build/.fault-figures');
const folder = 'test/faults';
/** Those that take longest come first, so that none is left over at the end. */
const LONGEST = ['disk/kills', 'allocation', 'workers', 'exit', 'fuzz/tokenizer', 'fuzz/results', 'fuzz/parquet'].map(
  (name) => `${folder}/${name}.test.ts`,
);
const measuresTime = (file) => file.startsWith(`${folder}/service/`);

const given = process.argv.slice(2);
const paths = given.filter((argument) => argument.startsWith(folder));
const forMocha = given.filter((argument) => !paths.includes(argument));

function table() {
  const rows = readJsonLines(figures).sort((a, b) => (a.what < b.what ? -1 : 1));
  const width = Math.max(0, ...rows.map(({ what }) => what.length));
  const number = (figure) => (typeof figure === 'number' ? figure.toLocaleString('en-US') : figure);
  return rows.map(({ what, figure }) => `${what.padEnd(width)}  ${number(figure)}`).join('\n');
}

async function runFile(file) {
  const start = performance.now();
  const env = { BERTUNE_FAULTS: 'long', BERTUNE_FAULTS_FIGURES: figures };
  // Arguments may choose tests of other files alone.
  const args = forMocha.length > 0 ? ['--no-fail-zero', ...forMocha] : [];
  const status = await mocha([file], { args, env, output: 'after' });
  say(`${file}: ${status === 0 ? 'done' : 'failed'} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  return status;
}

/** Takes files off the front of a list until there is none. Resolves to the highest status. */
async function runAll(files) {
  let highest = 0;
  for (let file = files.shift(); file !== undefined; file = files.shift()) {
    highest = Math.max(highest, await runFile(file));
  }
  return highest;
}

await main(async () => {
  rmSync(figures, { force: true });
  resetTally();
  const files = listFiles(paths.length > 0 ? paths : [folder], /\.test\.ts$/);
  const rank = (file) => (LONGEST.includes(file) ? LONGEST.indexOf(file) : LONGEST.length);
  const sideBySide = files.filter((file) => !measuresTime(file)).sort((a, b) => rank(a) - rank(b));
  const processors = Math.max(1, Math.min(os.availableParallelism(), sideBySide.length));
  say(`faults, injected: ${files.length} files, ${processors} at a time`);
  const statuses = await Promise.all(Array.from({ length: processors }, () => runAll(sideBySide)));
  statuses.push(await runAll(files.filter(measuresTime)));
  console.log(`\nTried:\n${table()}\n\n${closingLine()}`);
  return Math.max(...statuses);
});
