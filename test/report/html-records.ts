import type { ComparisonRecord, RunRecord } from '../../lib/report/records.js';

/** Names that a page must show and not obey. */
export const HOSTILE = [
  '</script><img src=x onerror=alert(1)>',
  `${'a long name '.repeat(20)}"'&`,
  'x'.repeat(200),
  'שמחה גדולה',
  '😀 👩‍👩‍👧',
  '\u202eevil\u0000',
];

/** The metrics of a run on labels, each right by `accuracy`. */
function metrics(labels: readonly string[], accuracy: number): NonNullable<RunRecord['test']> {
  const right = Math.round(100 * accuracy);
  const confusion = labels.map((_, row) =>
    labels.map((_, column) => (row === column ? right : column === (row + 1) % labels.length ? 100 - right : 0)),
  );
  return {
    examples: 100 * labels.length,
    loss: 1 - accuracy,
    accuracy,
    precision: accuracy,
    recall: accuracy,
    f1_macro: accuracy - 0.01,
    f1_micro: accuracy,
    f1_weighted: accuracy,
    runtime: 1,
    samples_per_second: 1,
    labels: labels.map((label) => ({ label, precision: accuracy, recall: accuracy, f1: accuracy, support: 100 })),
    confusion,
  };
}

/** A run with a log of `steps` rows and two epochs. */
export function runOf(
  name: string,
  title: string,
  kind: RunRecord['method']['kind'],
  labels: readonly string[],
  more: Partial<RunRecord> = {},
): RunRecord {
  const trainable = kind === 'none' ? 0 : 1000 * name.length ** 3;
  const accuracy = 0.5 + name.length / 20;
  return {
    name,
    title,
    method: { kind, ...(kind === 'lora' && { rank: Number(name.slice(4)), alpha: 4 * Number(name.slice(4)) }) },
    status: 'done',
    settings: { learning_rate: 1e-3, seed: 42 },
    parameters: { trainable, total: 5_000_000 },
    memory: { model: 2 ** 24, peak: 2 ** 26, process_peak: 2 ** 27, device_peak: 0 },
    ...(kind !== 'none' && { train_runtime: 10 * name.length }),
    test: metrics(labels, accuracy),
    epoch_history:
      kind === 'none'
        ? []
        : [1, 2].map((epoch) => ({ epoch, step: 50 * epoch, train_loss: 1 / epoch, train_accuracy: accuracy })),
    log_history:
      kind === 'none'
        ? []
        : Array.from({ length: 100 }, (_, step) => ({
            step: step + 1,
            epoch: (step + 1) / 50,
            loss: 2 / (step + 1),
          })).flatMap((row) =>
            row.step % 50 === 0
              ? [
                  row,
                  {
                    step: row.step,
                    epoch: row.epoch,
                    eval_loss: 1 / row.epoch,
                    eval_accuracy: accuracy,
                    eval_f1_macro: accuracy,
                  },
                ]
              : [row],
          ),
    ...more,
  };
}

/** A comparison of eight runs, one of which failed and one of which lost its numbers. */
export function comparisonOf(labels: readonly string[], more: Partial<ComparisonRecord> = {}): ComparisonRecord {
  const lora = [4, 8, 16].map((rank) => runOf(`lora${rank}`, `LoRA r=${rank}`, 'lora', labels));
  const [hostile = ''] = HOSTILE;
  return {
    preset: 'quick',
    created: '2025-01-01T00:00:00.000Z',
    model: 'bert-mini',
    data: { source: 'goemotions6', labels, splits: { train: 5272, test: 638 } },
    environment: {
      bertune: '0.1.0',
      node: '20.20.0',
      platform: 'linux x64',
      processor: 'a processor',
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
      blas: 'OpenBLAS',
    },
    runs: [
      runOf('before', 'before fine-tuning', 'none', labels),
      runOf('full', hostile, 'full', labels),
      runOf('linear', 'linear probing', 'linear', labels, { log_history: [{ step: 1, epoch: 1, loss: Number.NaN }] }),
      runOf('prefix20', 'x'.repeat(200), 'prefix', labels),
      ...lora,
      {
        name: 'lora32',
        title: 'LoRA r=32',
        method: { kind: 'lora', rank: 32 },
        status: 'failed',
        error: { code: 'OUT_OF_MEMORY', message: hostile },
        settings: {},
        epoch_history: [],
        log_history: [],
      },
    ],
    ...more,
  };
}
