import { createHash } from 'node:crypto';
import { dump } from 'js-yaml';
import { formatCount, formatMetric, formatSetting } from '../format.js';
import { definitionOf, type Method } from '../methods/index.js';
import { type LongTexts, wayWords } from '../options/long-texts.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type MetricName, type TaskKind, taskOf } from '../tasks/index.js';

/*
 * The text of a model's card, README.md: what the hub reads in its front matter, and what a person wants to know of a model that he
 * finds.
 */

/** How a model was trained. */
export interface TrainingFacts {
  /** Settings worth telling, by their names as options. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** Examples that it was trained on, and the steps that took. */
  readonly examples: number;
  readonly steps: number;
  readonly epochs: number;
}

/** How a model does on a split. */
export interface MeasuredFacts {
  /** Of the data: `validation` or `test`. */
  readonly split: string;
  readonly result: EvaluateResult;
}

/** What a card says. */
export interface CardFacts {
  readonly name: string;
  /** The checkpoint that training began with: an id of the hub, or else words. */
  readonly base: { readonly id: string | null; readonly words: string };
  readonly license: string | null;
  /** Id of a data set on the hub. */
  readonly dataset: string | null;
  readonly task: TaskKind;
  readonly labels: readonly string[];
  /** null: it was not trained here, nor is it an adapter. */
  readonly method: Method | null;
  /** What its files are: a checkpoint for transformers, one with a head of this library, or an adapter for PEFT. */
  readonly files: 'checkpoint' | 'probe' | 'adapter';
  readonly temperature: number | null;
  readonly longTexts: LongTexts | null;
  readonly training: TrainingFacts | null;
  readonly measured: MeasuredFacts | null;
}

/** What the hub calls metrics whose names are others there. */
const HUB_METRICS: Partial<Record<MetricName, string>> = {
  ...{ f1_macro: 'f1', f1_micro: 'f1', f1_samples: 'f1', f1_weighted: 'f1' },
  ...{ pearson: 'pearsonr', spearman: 'spearmanr', r2: 'r_squared', auroc: 'roc_auc' },
};

const LIBRARIES = { checkpoint: 'transformers', adapter: 'peft', probe: 'bertune' } as const;

/** The whole of README.md, with the mark by which it is known again. */
export function modelCard(facts: CardFacts): string {
  const matter = dump(frontMatter(facts), { lineWidth: -1 });
  return marked(`---\n${matter}---\n\n${body(facts)}`);
}

/** Front matter as https://huggingface.co/docs/hub/model-cards says. */
function frontMatter(facts: CardFacts): Record<string, unknown> {
  const { license, base, dataset, method, files, measured, name } = facts;
  const scores = measured === null ? [] : scoresOf(measured.result);
  const task = { type: 'text-classification', name: taskOf(facts.task).title };
  return {
    ...(license !== null && { license }),
    ...(base.id !== null && { base_model: base.id }),
    library_name: LIBRARIES[files],
    pipeline_tag: 'text-classification',
    tags: ['bertune', 'text-classification', ...(method === null ? [] : [method.kind])],
    ...(dataset !== null && { datasets: [dataset] }),
    ...(scores.length > 0 && { metrics: [...new Set(scores.map(({ type }) => type))] }),
    ...(measured !== null && {
      'model-index': [
        {
          name,
          results: [
            {
              task,
              dataset: { name: dataset ?? 'custom', type: dataset ?? 'custom', split: measured.split },
              metrics: scores,
            },
          ],
        },
      ],
    }),
  };
}

/** What was measured, as the hub has it. Numbers that are not defined are left out. */
function scoresOf(result: EvaluateResult): { type: string; value: number; name: string }[] {
  const shown = taskOf(result.task).metrics.filter(({ isShown, name }) => isShown || name === 'auroc');
  return shown.flatMap(({ name, title }) => {
    const value = result[name];
    return typeof value === 'number' && Number.isFinite(value)
      ? [{ type: HUB_METRICS[name] ?? name, value: Number(value.toFixed(6)), name: title }]
      : [];
  });
}

function body(facts: CardFacts): string {
  const { name, base, dataset, labels, method, training, measured, temperature, longTexts } = facts;
  const kind =
    method === null ? 'a' : `${code(base.words)}, trained with ${definitionOf(method.kind).title(method)}: a`;
  const rows: [string, string][] = [
    ['base', code(base.words)],
    ...(dataset === null ? [] : [['data', code(dataset)] satisfies [string, string]]),
    [taskOf(facts.task).labels === 'values' ? 'values' : 'labels', labels.map(code).join(', ')],
    ...(method === null ? [] : [['method', definitionOf(method.kind).words(method)] satisfies [string, string]]),
    ...(temperature === null
      ? []
      : [
          ['temperature', `${formatSetting(Number(temperature.toPrecision(4)))}: divide logits by it`] satisfies [
            string,
            string,
          ],
        ]),
    ...(longTexts === null ? [] : [['long texts', wayWords(longTexts)] satisfies [string, string]]),
  ];
  const settings = training === null ? [] : trainingRows(training);
  const scores = measured === null ? [] : scoresOf(measured.result);
  return [
    `# ${name}\n`,
    `This is ${kind} model for ${taskOf(facts.task).title} of texts.\n`,
    table(['', ''], rows),
    ...(settings.length === 0 ? [] : ['## Training\n', table(['setting', 'value'], settings)]),
    ...(scores.length === 0
      ? []
      : [
          `## Results\n\nOn ${formatCount(measured!.result.examples)} texts of the ${measured!.split} split:\n`,
          table(
            ['metric', 'value'],
            scores.map(({ name: title, value }) => [title, formatMetric(value)]),
          ),
        ]),
    `## Use it\n\n\`MODEL\` is this folder, or the name of this repository.\n\nIn Node.js, with [Bertune](https://www.npmjs.com/package/bertune):\n`,
    fenced('js', [
      "import { TextClassifier } from 'bertune';",
      '',
      "const model = await TextClassifier.load('MODEL');",
      "console.log(await model.predict('a text'));",
    ]),
    ...inPython(facts),
  ].join('\n');
}

function trainingRows({ settings, examples, steps, epochs }: TrainingFacts): [string, string][] {
  const own = Object.entries(settings).map(([name, value]): [string, string] => [
    name.replaceAll(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`),
    typeof value === 'number' ? formatSetting(value) : value,
  ]);
  const done = `${formatCount(steps)}, ${formatSetting(Number(epochs.toFixed(2)))} epochs`;
  return [['examples', formatCount(examples)], ['steps', done], ...own];
}

function inPython({ files, base, labels }: CardFacts): string[] {
  if (files === 'probe') return ['In Python its head is a `torch.nn.Sequential` that transformers does not make.\n'];
  if (files === 'checkpoint') {
    return [
      'In Python:\n',
      fenced('python', [
        'from transformers import pipeline',
        '',
        "classify = pipeline('text-classification', 'MODEL', top_k=None)",
        "print(classify('a text'))",
      ]),
    ];
  }
  return [
    'In Python:\n',
    fenced('python', [
      'from peft import PeftModel',
      'from transformers import AutoModelForSequenceClassification, AutoTokenizer',
      '',
      `labels = ${JSON.stringify(labels)}`,
      'base = AutoModelForSequenceClassification.from_pretrained(',
      `    ${JSON.stringify(base.id ?? 'BASE')}, num_labels=len(labels), id2label=dict(enumerate(labels))`,
      ')',
      "model = PeftModel.from_pretrained(base, 'MODEL')",
      "tokenizer = AutoTokenizer.from_pretrained('MODEL')",
      "print(model(**tokenizer('a text', return_tensors='pt')).logits)",
    ]),
  ];
}

function table(head: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replace(/\|/g, '\\|')).join(' | ')} |\n`;
  return line(head) + line(['---', '---']) + rows.map(line).join('');
}

/** Text as code in Markdown, whatever it holds. */
function code(text: string): string {
  const fence = '`'.repeat(1 + Math.max(0, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length)));
  const space = text.startsWith('`') || text.endsWith('`') ? ' ' : '';
  return `${fence}${space}${text.replace(/\s+/g, ' ')}${space}${fence}`;
}

function fenced(language: string, lines: readonly string[]): string {
  return `\`\`\`${language}\n${lines.join('\n')}\n\`\`\`\n`;
}

/*
 * A card ends with the hash of what stands before it. So it is known whether a README.md was written here and is still as it was: one
 * without the hash, or changed since, is a person's.
 */

const MARK = /<!-- bertune card ([0-9a-f]{64}); change anything above and this file is left as it is -->\s*$/;

function marked(text: string): string {
  return `${text}\n<!-- bertune card ${hashOf(text)}; change anything above and this file is left as it is -->\n`;
}

/** Whether a README.md was written by `modelCard` and is unchanged. */
export function isOwnCard(text: string): boolean {
  const plain = text.replaceAll('\r\n', '\n');
  const mark = MARK.exec(plain);
  return mark !== null && hashOf(plain.slice(0, mark.index - 1)) === mark[1];
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
