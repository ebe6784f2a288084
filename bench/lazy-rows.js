// What the word embeddings cost a step of full fine-tuning on a GPU, in rows and bytes, counted for the batches of Trainer;
// no model runs.
//
//   node bench/lazy-rows.js --data assets/data/goemotions6      (needs npm run build)
//   ... --batch 16 --steps 1000 --columns 768 --tokenizer DIR
//
// met      rows that the step's tokens meet: their gradient is written, squared and applied
// late     rows that are caught up because the batch reads them
// swept    rows that the update catches up because it is their turn (native/cuda/lazy_rows.h)
// missed   updates that late and swept rows go through, on average
// bytes    moved for an element of bf16 with 16 low bits: 4 to write its gradient, 4 to square it, 28 to apply it, 24 to
//          catch it up; and 4 to zero it, where all are zeroed
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { epochOrder, readTexts } from './step/data.js';
import { modelConfig } from './support/dimensions.js';
import { runMain } from './support/main.js';
import { digits, printRecord } from './support/print.js';

const OPTIONS = {
  data: { type: 'string' },
  batch: { type: 'string', default: '16' },
  steps: { type: 'string', default: '1000' },
  columns: { type: 'string', default: '768' },
  tokenizer: { type: 'string', default: fileURLToPath(new URL('../test/fixtures/bert-base-uncased', import.meta.url)) },
};

/** kLazyHistory of native/cuda/lazy_rows.h. */
const HISTORY = 32;

const BYTES = { zero: 4, write: 4, square: 4, apply: 28, catchUp: 24 };

/** The distinct ids of each batch of so many steps. */
function* batches({ ids, offsets }, batchSize, steps) {
  const perEpoch = Math.floor((offsets.length - 1) / batchSize);
  for (let step = 0; step < steps; step++) {
    const at = (step % perEpoch) * batchSize;
    const order = epochOrder({ offsets }, Math.floor(step / perEpoch)).subarray(at, at + batchSize);
    yield new Set([...order].flatMap((text) => [...ids.subarray(offsets[text], offsets[text + 1])]));
  }
}

function count(texts, rows, { batchSize, steps }) {
  const last = new Int32Array(rows);
  const sums = { met: 0, late: 0, swept: 0, missed: 0 };
  let updates = 0;
  const catchUp = (row) => {
    sums.missed += updates - last[row];
    last[row] = updates;
  };
  for (const met of batches(texts, batchSize, steps)) {
    for (const row of met) {
      if (last[row] === updates) continue;
      sums.late++;
      catchUp(row);
    }
    updates++;
    for (let row = updates % HISTORY; row < rows; row += HISTORY) {
      if (met.has(row)) continue;
      sums.swept++;
      catchUp(row);
    }
    for (const row of met) last[row] = updates;
    sums.met += met.size;
  }
  return sums;
}

runMain(async () => {
  const { values } = parseArgs({ options: OPTIONS });
  const [batchSize, steps, columns] = [values.batch, values.steps, values.columns].map(Number);
  const config = modelConfig('base');
  const texts = await readTexts({ data: values.data, tokenizer: values.tokenizer, config, virtualTokens: 0 });
  const sums = count(texts.train, config.vocabSize, { batchSize, steps });
  const [met, late, swept] = [sums.met, sums.late, sums.swept].map((sum) => sum / steps);
  const megabytes = (bytes) => `${digits((bytes * columns) / 1e6)} MB`;
  const { zero, write, square, apply } = BYTES;
  printRecord({
    texts: texts.source,
    met: digits(met),
    late: digits(late),
    swept: digits(swept),
    missed: digits(sums.missed / (sums.late + sums.swept)),
    'all rows in every step': megabytes((zero + square + apply) * config.vocabSize + write * met),
    'rows that are met': megabytes((write + square + apply) * met + BYTES.catchUp * (late + swept)),
  });
});
