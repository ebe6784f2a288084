import { formatCount, formatFixed, formatMetric, NO_VALUE } from '../../../format.js';
import type { ReferenceRecord, RunRecord } from '../../records.js';
import { escapeHtml, paragraphs, scrollBox, swatch } from '../elements.js';
import type { ReportInput } from '../input.js';

type Value = number | null | undefined;

/** A column: the two values, how they are written, and whether more is better (null: neither). */
interface Quantity {
  readonly title: string;
  readonly here: (run: RunRecord) => Value;
  readonly published: (row: ReferenceRecord) => Value;
  readonly format: (value: Value) => string;
  readonly higherIsBetter: boolean | null;
}

const MEBIBYTE = 2 ** 20;
const two = (value: Value) => formatFixed(value, 2);
const count = (value: Value) => (value === null || value === undefined ? NO_VALUE : formatCount(value));

const QUANTITIES: readonly Quantity[] = [
  ...(['accuracy', 'precision', 'recall', 'f1_macro'] as const).map((key) => ({
    title: key === 'f1_macro' ? 'F1 macro' : key,
    here: ({ test }: RunRecord) => test?.[key],
    published: (row: ReferenceRecord) => row[key],
    format: formatMetric,
    higherIsBetter: true,
  })),
  {
    title: 'time s',
    here: ({ train_runtime }) => train_runtime,
    published: ({ time_s }) => time_s,
    format: two,
    higherIsBetter: false,
  },
  {
    title: 'peak memory MiB',
    here: ({ memory, method }) => {
      const bytes = method.kind === 'none' ? memory?.model : memory?.peak;
      return bytes === undefined ? undefined : bytes / MEBIBYTE;
    },
    published: ({ memory_mib }) => memory_mib,
    format: two,
    higherIsBetter: false,
  },
  {
    title: 'trainable parameters',
    here: ({ parameters }) => (parameters?.trainable === 0 ? null : parameters?.trainable),
    published: ({ trainable }) => trainable,
    format: count,
    higherIsBetter: null,
  },
];

/** Each run with the published row of its name and the difference. Empty where none has the name of a run. */
export function referenceSection({ runs, reference = [], model, data }: ReportInput): string {
  const rows = runs.flatMap((run, index) => {
    const published = reference.find(({ name }) => name === run.name);
    return published === undefined ? [] : [rowsOf(run, index, published)];
  });
  if (rows.length === 0) return '';
  const head = ['method', 'source']
    .map((title) => `<th scope="col">${title}</th>`)
    .concat(QUANTITIES.map(({ title }) => `<th scope="col" class="n">${title}</th>`));
  return (
    paragraphs([
      `Here: ${model} on ${data.source}. Notebook: google-bert/bert-base-uncased on dair-ai/emotion, on a consumer GPU; its prefix tuning left the classifier frozen.`,
    ]) + scrollBox(`<table><thead><tr>${head.join('')}</tr></thead>${rows.join('\n')}</table>`, 'Beside the notebook')
  );
}

function rowsOf(run: RunRecord, index: number, published: ReferenceRecord): string {
  const cells = (value: (quantity: Quantity) => string) =>
    QUANTITIES.map((quantity) => `<td class="n">${value(quantity)}</td>`).join('');
  const source = (title: string) => `<th scope="row" class="source">${title}</th>`;
  return [
    `<tbody><tr class="group"><th scope="rowgroup" rowspan="3">${swatch(index)}${escapeHtml(run.title)}</th>${source('here')}`,
    `${cells(({ here, format }) => format(here(run)))}</tr>`,
    `<tr>${source('notebook')}${cells((quantity) => quantity.format(quantity.published(published)))}</tr>`,
    `<tr>${source('difference')}${cells((quantity) => difference(quantity, run, published))}</tr></tbody>`,
  ].join('');
}

function difference(
  { here, published, format, higherIsBetter }: Quantity,
  run: RunRecord,
  row: ReferenceRecord,
): string {
  const [ours, theirs] = [here(run), published(row)];
  if (!Number.isFinite(ours) || !Number.isFinite(theirs)) return NO_VALUE;
  const value = ours! - theirs!;
  const size = format(Math.abs(value));
  if (size === format(0)) return size;
  const text = `${value > 0 ? '+' : '−'}${size}`;
  return higherIsBetter === null
    ? text
    : `<span class="${value > 0 === higherIsBetter ? 'up' : 'down'}">${text}</span>`;
}
