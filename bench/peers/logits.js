// The logits that Bertune gives texts, in the form that check_interop.py reads and writes.
//
//   node bench/peers/logits.js DIR --inputs texts.json [--base BASE] [--threads 1] > logits.json       (needs npm run build)
//   ... --expect expected.json [--tolerance 1e-5]        ends with status 1 where a logit is further away than that
//
// DIR is a checkpoint or an adapter, whoever saved it; an adapter goes on BASE, or on the folder that its configuration
// names. Each text runs alone, through the tokenizer of DIR, or of the checkpoint under the adapter.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TextClassifier } from '../../dist/index.js';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    inputs: { type: 'string' },
    base: { type: 'string' },
    expect: { type: 'string' },
    tolerance: { type: 'string', default: '1e-5' },
    threads: { type: 'string', default: '1' },
  },
});

const readJson = async (path) => JSON.parse(await readFile(path, 'utf8'));

/** Logits (N, NC) of the texts, each in a batch of its own. */
async function logitsOf(model, texts) {
  const rows = [];
  for (const text of texts) rows.push([...(await model.logits([text])).logits]);
  return rows;
}

/** The largest difference between two tables of the same shape; Infinity where a number is missing or is none. */
function largestDifference(actual, expected) {
  const shapes = [actual, expected].map((rows) => JSON.stringify(rows.map((row) => row.length)));
  if (shapes[0] !== shapes[1]) return Number.POSITIVE_INFINITY;
  const differences = actual.flatMap((row, i) => row.map((value, j) => Math.abs(value - expected[i][j])));
  return differences.every(Number.isFinite) ? Math.max(0, ...differences) : Number.POSITIVE_INFINITY;
}

if (positionals.length !== 1 || options.inputs === undefined) {
  console.error('usage: node bench/peers/logits.js DIR --inputs texts.json [--base BASE] [--expect FILE]');
  process.exit(2);
}
const placement = { device: 'cpu', threads: Number(options.threads) };
const base = options.base === undefined ? {} : { base: options.base };
const model = await TextClassifier.load(positionals[0], { ...placement, ...base });
const logits = await logitsOf(model, await readJson(options.inputs));
await model.dispose();
console.log(JSON.stringify({ logits }));
if (options.expect !== undefined) {
  const difference = largestDifference(logits, (await readJson(options.expect)).logits);
  const allowed = Number(options.tolerance);
  console.error(`largest difference ${difference.toExponential(2)}, allowed ${allowed.toExponential(2)}`);
  if (!(difference <= allowed)) process.exitCode = 1;
}
