// Bertune and ONNX Runtime on the CPU, side by side: the same classifier, texts and threads, texts to labels, tokenizing
// included. The two take turns, block by block.
//
//   node bench/peers/onnx/compare.js --model CHECKPOINT --onnx EXPORTED --modules FOLDER     (see bench/peers/README.md)
//   ... --threads 2 --blocks 7 --seconds 1.5 --json results.json
//   ... --batches 1,16 --words 100     texts of 100 words each (default: the data's own)
//   ... --precision int8     ours in int8 and theirs as export.py quantized it; bf16: ours alone (default: fp32)
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadDataset, TextClassifier } from '../../../dist/index.js';
import { runMain } from '../../support/main.js';
import { median } from '../../support/statistics.js';
import { createPeer, fileOf } from './peer.js';

/** As many texts, of so many words each. */
function ofWords(texts, count) {
  const words = texts.join(' ').split(/\s+/);
  return texts.map((_, i) => Array.from({ length: count }, (_, w) => words[(i * count + w) % words.length]).join(' '));
}

/** Runs consecutive batches for some seconds; texts a second. */
async function block(side, texts, size, seconds) {
  const start = performance.now();
  let count = 0;
  for (let at = 0; performance.now() - start < seconds * 1000; at = (at + size) % texts.length) {
    const batch = texts.slice(at, at + size);
    await side.predict(batch);
    count += batch.length;
  }
  return count / ((performance.now() - start) / 1000);
}

/** The largest difference of any logit. */
async function difference(classifier, peer, texts) {
  let most = 0;
  for (let at = 0; at < texts.length; at += 16) {
    const batch = texts.slice(at, at + 16);
    const [{ logits }, theirs] = [await classifier.logits(batch), await peer.logits(batch)];
    logits.forEach((value, i) => {
      most = Math.max(most, Math.abs(value - theirs[i]));
    });
  }
  return most;
}

async function compare(sides, texts, size, { blocks, seconds }) {
  const rates = sides.map(() => []);
  for (const side of sides) await block(side, texts, size, seconds / 2);
  for (let i = 0; i < blocks; i++) {
    for (const [s, side] of sides.entries()) rates[s].push(await block(side, texts, size, seconds));
  }
  return rates;
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      onnx: { type: 'string' },
      modules: { type: 'string' },
      data: { type: 'string', default: 'assets/data/goemotions6' },
      threads: { type: 'string', default: '2' },
      precision: { type: 'string', default: 'fp32' },
      batches: { type: 'string', default: '1,16,256' },
      words: { type: 'string' },
      blocks: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1.5' },
      json: { type: 'string' },
    },
  });
  for (const name of ['model', 'onnx', 'modules']) if (!values[name]) throw new Error(`Expected --${name}`);
  const threads = Number(values.threads);
  const { test } = await loadDataset(values.data);
  const texts = values.words ? ofWords(test.texts, Number(values.words)) : test.texts;
  const { precision } = values;
  const classifier = await TextClassifier.load(values.model, { device: 'cpu', threads, precision });
  const folders = [path.resolve(values.modules), path.resolve(values.onnx)];
  const peer = await createPeer(...folders, threads, fileOf(precision));
  const most = await difference(classifier, peer, texts.slice(0, 256));
  if (precision === 'fp32' && !(most < 1e-4))
    throw new Error(`Expected the same logits within 1e-4 but they differ by ${most}`);
  console.log(`logits differ by at most ${most.toExponential(1)}; load average ${os.loadavg()[0].toFixed(2)}\n`);
  console.log('texts a second, medians of blocks; ratio: median, least and most of the pairs of blocks\n');
  console.log('batch   Bertune      ONNX   ratio     pipeline   ratio');
  const settings = { blocks: Number(values.blocks), seconds: Number(values.seconds) };
  const rows = [];
  for (const size of values.batches.split(',').map(Number)) {
    const [ours, session, pipeline] = await compare([classifier, peer, peer.pipeline], texts, size, settings);
    const ratios = (theirs) => ours.map((rate, i) => rate / theirs[i]);
    const range = (list) => `(${Math.min(...list).toFixed(2)}–${Math.max(...list).toFixed(2)})`;
    const cells = [median(ours), median(session)].map((rate) => rate.toFixed(0).padStart(9));
    const bySession = ratios(session);
    const byPipeline = ratios(pipeline);
    console.log(
      `${String(size).padStart(5)} ${cells.join(' ')}   ${median(bySession).toFixed(2)} ${range(bySession)}` +
        `   ${median(pipeline).toFixed(0)}   ${median(byPipeline).toFixed(2)} ${range(byPipeline)}`,
    );
    rows.push({ batch: size, bertune: ours, onnx: session, pipeline });
  }
  if (values.json) {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    const machine = { node: process.version, bertune: version, threads, load: os.loadavg()[0], difference: most };
    writeFileSync(values.json, `${JSON.stringify({ ...machine, rows }, null, 2)}\n`);
  }
  await classifier.dispose();
  await peer.close();
});
