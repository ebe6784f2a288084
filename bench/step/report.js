// What the project wants on one H100, BERT-base's dimensions, batches of 16 texts, bf16: steps a second at least, MiB at
// most.
import { digits, Lines, MiB } from '../support/print.js';

export const TARGETS = {
  full: { steps_per_s: 340, MiB: 1950 },
  lora: { steps_per_s: 680, MiB: 380 },
  prefix: { steps_per_s: 700, MiB: 380 },
  linear: { steps_per_s: 1500, MiB: 260 },
};

const ARENAS = ['parameters', 'gradients', 'optimizer', 'activations', 'datasets', 'workspace'];

const rates = new Lines([
  ['method', -7],
  ['precision', -9],
  ['batch', 5],
  ['tokens', 7],
  ['steps/s', 8],
  ['median ms', 9],
  ['eval texts/s', 12],
  ['nodes', 6],
  ['losses', 12],
  ['digest', 8],
  ['idle (estimate)', 15],
  ['peak MiB', 9],
  ['device MiB', 10],
  ['  target', -36],
]);

const memories = new Lines([
  ['method', -7],
  ['precision', -9],
  ['batch', 5],
  ...ARENAS.map((name) => [name, 12]),
  ['total', 9],
  ['peak', 9],
  ['device', 9],
  ['  target', -20],
]);

/** The row's targets, where it is what they were set for. */
function targetOf(row, { device, scale, length }) {
  const isTheirs =
    device === 'cuda' && scale === 'base' && length === undefined && row.precision === 'bf16' && row.batch_size === 16;
  return isTheirs ? TARGETS[row.method] : undefined;
}

const verdict = (met) => (met ? 'met' : 'MISSED');

export function printRatesHead() {
  rates.printHead();
}

export function printRates(row, setting) {
  const target = targetOf(row, setting);
  const met = target && [row.steps_per_s >= target.steps_per_s, row.memory.peak / 2 ** 20 <= target.MiB].map(verdict);
  rates.print([
    row.method,
    row.precision,
    String(row.batch_size),
    digits(row.tokens_per_step),
    digits(row.steps_per_s),
    digits(row.median_step_ms),
    digits(row.evaluation.texts_per_s),
    row.nodes_per_step ? digits(row.nodes_per_step) : '-',
    `${row.first_loss.toFixed(3)}→${row.last_loss.toFixed(3)}`,
    row.loss_digest,
    row.idle_share_estimate === undefined ? '-' : `${(100 * row.idle_share_estimate).toFixed(1)} %`,
    MiB(row.memory.peak),
    row.memory.device ? MiB(row.memory.device) : '-',
    target ? `  ≥ ${target.steps_per_s} ${met[0]}, ≤ ${target.MiB} MiB ${met[1]}` : '',
  ]);
}

export function printMemory(rows, { scale, length }) {
  memories.printHead();
  for (const row of rows) {
    const { memory, method, precision } = row;
    const isTheirs = scale === 'base' && length === undefined;
    const target = isTheirs && precision === 'bf16' && row.batch_size === 16 && TARGETS[method].MiB;
    memories.print([
      method,
      precision,
      String(row.batch_size),
      ...ARENAS.map((name) => MiB(memory[name])),
      MiB(memory.total),
      MiB(memory.peak),
      memory.device ? MiB(memory.device) : '-',
      target ? `  ≤ ${target} ${verdict(memory.peak / 2 ** 20 <= target)}` : '',
    ]);
  }
}
