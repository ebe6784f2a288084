import { join } from 'node:path';
import { reportInput } from '../../../../lib/report/html/input.js';
import { renderReport } from '../../../../lib/report/html/page.js';
import { readResults } from '../../../../lib/report/results.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { CODES } from '../seeds.js';

const NAME = 'results.json';
const metrics = {
  examples: 10,
  loss: 0.5,
  accuracy: 0.8,
  precision: 0.7,
  recall: 0.6,
  f1_macro: 0.65,
  f1_micro: 0.8,
  f1_weighted: 0.7,
  runtime: 0.1,
  samples_per_second: 100,
  labels: ['no', 'yes'].map((label) => ({ label, precision: 0.5, recall: 0.5, f1: 0.5, support: 5 })),
  confusion: [
    [4, 1],
    [1, 4],
  ],
};
const run = (name: string, kind: string, rank?: number) => ({
  name,
  title: name.toUpperCase(),
  method: { kind, ...(rank !== undefined && { rank }) },
  status: 'done',
  settings: { learning_rate: 0.001, epochs: 2, batch_size: 16 },
  parameters: { trainable: 100, total: 1000 },
  memory: { model: 4000, peak: 9000, process_peak: 90000, device_peak: 0 },
  train_runtime: 1.5,
  steps: 4,
  epochs: 2,
  train_loss: 0.6,
  test: metrics,
  epoch_history: [1, 2].map((epoch) => ({ epoch, step: 2 * epoch, train_loss: 1 / epoch, train_accuracy: 0.5 })),
  log_history: [
    { epoch: 0.5, step: 1, loss: 0.9, grad_norm: 1, learning_rate: 0.001 },
    { epoch: 1, step: 2, eval_loss: 0.8, eval_accuracy: 0.5, eval_f1_macro: 0.4 },
  ],
});
const COMPARISON = {
  preset: 'quick',
  created: '2026-01-02T03:04:05.000Z',
  model: 'bert-mini',
  data: {
    source: 'goemotions6',
    labels: ['no', 'yes'],
    splits: { train: 10, test: 10 },
    summary: {
      splits: { train: { rows: 10, pairs: false, labels: [{ label: 'no', count: 5, share: 0.5 }] } },
      notes: [],
    },
  },
  environment: { bertune: '0.1.0', device: 'cpu', precision: 'fp32', threads: 2 },
  runs: [run('full', 'full'), run('lora4', 'lora', 4), run('lora8', 'lora', 8)],
  reference: [
    { name: 'full', trainable: 1, memory_mib: 2, time_s: 3, accuracy: 0.9, precision: 0.9, recall: 0.9, f1_macro: 0.9 },
  ],
};
const TEXT = JSON.stringify(COMPARISON);
const DOCUMENT = new JsonDocument(COMPARISON);
const whole = (data: string | Uint8Array, what: string): Input => ({ files: { [NAME]: data }, what });
let reads = 0;

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(TEXT)),
    whole(TEXT.replace('"cpu"', '{"toString":1}'), 'an environment that is no text'),
    whole(TEXT.replace('"cpu"', `${'['.repeat(1e5)}${']'.repeat(1e5)}`), '100,000 levels'),
    whole(TEXT.replaceAll('0.5', '1e400'), 'infinite numbers'),
    whole(
      TEXT.replace('"loss":0.9', '"loss":5e-324').replace('"eval_loss":0.8', '"eval_loss":1e-323'),
      'the least numbers',
    ),
    whole(TEXT.replace('"log_history":[', `"log_history":[${'{"step":1,"loss":1},'.repeat(50_000)}`), '50,000 steps'),
    whole(TEXT.replace('"runs":[', `"runs":[${'{"method":{"kind":"full"}},'.repeat(50_000)}`), '50,000 runs'),
    whole(TEXT.replace('"step":1', '"step":1e308').replace('"step":2', '"step":-1e308'), 'steps that span everything'),
  ],
  generate(random) {
    if (random.chance(0.7)) {
      const { text, what } = DOCUMENT.mutated(random);
      return whole(text, what);
    }
    const { bytes, what } = damage(Buffer.from(TEXT), random);
    return whole(bytes, what);
  },
  async read(directory) {
    const results = await readResults(join(directory, NAME));
    const { runs, data } = reportInput(results);
    sound(data.labels.every((label) => typeof label === 'string') && runs.length >= 0, 'its labels are no texts');
    // Drawing takes many times as long as reading.
    if (reads++ % 20 === 0) {
      const page = renderReport(results);
      sound(page.startsWith('<!doctype html>') && page.endsWith('</html>\n'), 'it is no page');
    }
  },
  codes: CODES,
};
