import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { parseHTML } from 'linkedom';
import { printable } from '../../lib/printable.js';
import { csv } from '../../lib/report/csv.js';
import { renderReport } from '../../lib/report/html/page.js';
import { resultsCsv, resultsMarkdown } from '../../lib/report/results.js';
import { type CliResult, runCli, withFolder } from '../cli/run-cli.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { comparisonOf, runOf } from '../report/html-records.js';
import { LONG, note } from './scale.js';

/** Labels, texts and names that a page, a spreadsheet, a table or a terminal would obey. */
const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "'-alert(1)-'",
  '</style><svg onload=alert(1)>',
  '</script><!--',
  '&lt;b&gt; &#60;',
  'javascript:alert(1)',
  '=HYPERLINK("http://x")',
  '+1+1',
  '-1',
  '@SUM(A1)',
  '\ttab',
  '| a | b |\n|---|',
  '[x](javascript:1) `code` **bold** ~~s~~',
  '\u001b[31mred\u001b[0m',
  '\u001b]0;title\u0007',
  '\u001b]8;;http://x\u0007link\u001b]8;;\u0007',
  '\u009b2J\u0090x\u009c',
  'left\u202eright\u2066x\u2069',
  'zero\u0000\u007f\b\rover',
  'line\u2028sep\u2029',
  '\ufeffbom',
  '__proto__',
  'constructor',
  '喜び é 😀',
] as const;

/** Characters that are never written to a terminal. A newline ends a line. */
const OBEYED = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u;

function expectCalm(output: string, what: string): void {
  const found = OBEYED.exec(output.replaceAll('\n', ''));
  const at = found?.index ?? 0;
  expect(found, `${what}: ${printable(output.replaceAll('\n', '').slice(at, at + 80))}`).to.equal(null);
}

interface Element {
  tagName: string;
  attributes: Iterable<{ name: string; value: string }>;
  textContent: string;
}

/** Expects a page to hold none of what could run or load anything, wherever a text may have got to. */
function expectInert(html: string): Element[] {
  const { document } = parseHTML(html) as unknown as { document: { querySelectorAll(of: string): Iterable<Element> } };
  const elements = [...document.querySelectorAll('*')];
  for (const { tagName, attributes } of elements) {
    expect(['SCRIPT', 'IMG', 'IFRAME', 'OBJECT', 'EMBED', 'FORM', 'BASE', 'FOREIGNOBJECT']).to.not.include(
      tagName.toUpperCase(),
    );
    for (const { name, value } of attributes) {
      expect(name, `${tagName} ${name}=${value}`)
        .to.match(/^[a-zA-Z][a-zA-Z:-]*\d?$/)
        .and.not.match(/^on/i);
      if (/^(xlink:)?(href|src)$/i.test(name)) expect(value, tagName).to.match(/^(#|data:,)/);
    }
  }
  expectCalm(html, 'the page');
  return elements;
}

describe('faults: texts that are meant to be obeyed', function () {
  this.timeout(300_000);

  it('stay texts in a page, in its tables, charts and attributes', () => {
    const labels = [...HOSTILE];
    const hostile = HOSTILE.join(' ');
    const comparison = comparisonOf(labels, { preset: hostile, model: hostile, created: hostile });
    const runs = comparison.runs.map((run, i) => ({
      ...run,
      title: `${labels[i % labels.length]} ${i}`,
      settings: { ...run.settings, [labels[i % labels.length]!]: hostile },
      error: { code: hostile, message: hostile },
    }));
    const environment = Object.fromEntries(HOSTILE.map((text) => [text, text]));
    const plain = expectInert(renderReport(comparisonOf(labels.map((_, i) => `label ${i}`)))).map(
      ({ tagName }) => tagName,
    );
    const elements = expectInert(
      renderReport({ ...comparison, runs, environment, data: { ...comparison.data, source: hostile } }),
    );
    const kinds = new Set(elements.map(({ tagName }) => tagName));
    expect(
      [...kinds].filter((kind) => !plain.includes(kind)),
      'elements that texts brought',
    ).to.have.length(0);
    note('hostile texts: elements of a page that were looked at', elements.length);
  });

  it('stay texts in a spreadsheet, and numbers stay numbers', () => {
    const runs = HOSTILE.map((text, i) => ({
      ...runOf('full', 'full', 'full', ['a', 'b']),
      name: text,
      title: text,
      train_loss: -i - 0.5,
    }));
    const rows = parse(resultsCsv(runs)) as string[][];
    const [header, ...body] = rows;
    expect(body).to.have.length(HOSTILE.length);
    for (const [i, row] of body.entries()) {
      expect(row).to.have.length(header!.length);
      expect(row[header!.indexOf('train_loss')]).to.equal(String(-i - 0.5));
      for (const cell of row.slice(0, 3)) expect(cell).to.not.match(/^[=+\-@\t\r\n]/);
      expect(row[0]!.replace(/^'/, '')).to.equal(HOSTILE[i]!.replace(/^'/, ''));
    }
    expect(csv(['=a'], [['+1'], [-1], [1e-7]])).to.equal("'=a\n'+1\n-1\n1e-7\n");
  });

  it('stay texts in Markdown: one row a line, as many cells as columns, no tags', () => {
    const comparison = comparisonOf([...HOSTILE]);
    const runs = comparison.runs.map((run, i) => ({ ...run, title: HOSTILE[i]! }));
    for (let shift = 0; shift < HOSTILE.length; shift++) {
      const shifted = runs.map((run, i) => ({ ...run, title: HOSTILE[(i + shift) % HOSTILE.length]! }));
      const text = resultsMarkdown({ ...comparison, runs: shifted, model: HOSTILE[shift]! });
      expectCalm(text, 'results.md');
      expect(text).to.not.match(/<(script|img|svg|style)/i);
      const tables = text.split('\n\n').filter((part) => part.startsWith('|'));
      for (const table of tables) {
        const widths = table
          .trim()
          .split('\n')
          .map((line) => line.replace(/\\./g, '').split('|').length);
        expect(new Set(widths).size, table).to.equal(1);
      }
    }
  });

  it('stay texts in what every command prints and writes', async () => {
    await withFolder(async (folder) => {
      const model = join(folder, 'model');
      await writeTinyCheckpoint(model);
      const data = join(folder, 'data\u001b[31m<b>\u202e');
      await mkdir(data);
      const labels = HOSTILE.map((text) => text.trim());
      const rows = labels.map((label, i) => JSON.stringify({ text: `${HOSTILE[i]} text`, label })).join('\n');
      for (const split of ['train', 'validation', 'test']) await writeFile(join(data, `${split}.jsonl`), `${rows}\n`);
      const output = join(folder, 'out');
      const board = join(folder, 'board');
      const files = join(data, 'test.jsonl');
      const train = [
        'train',
        '--model',
        model,
        '--data',
        data,
        '--epochs',
        '1',
        '--batch-size',
        '8',
        '--output',
        output,
        '--overwrite',
      ];
      const results: [string, CliResult][] = [];
      const run = async (status: number, ...args: string[]) => {
        const result = await runCli(args, { input: `${HOSTILE[0]}\n`, environment: { DEBUG: '1' } });
        expect(result.status, printable(result.stderr)).to.equal(status);
        results.push([args[0]!, result]);
        return result;
      };
      await run(0, ...train, '--tensorboard', board, '--logging-steps', '1');
      const json = await run(0, 'predict', '--model', output, '--', ...HOSTILE.slice(0, 8));
      for (const line of json.stdout.trim().split('\n')) expect(JSON.parse(line).scores).to.have.property(labels[14]!);
      // A process each takes a second.
      if (LONG) {
        const evaluation = await run(0, 'evaluate', '--model', output, '--test-file', files, '--json');
        const found = JSON.parse(evaluation.stdout).labels.map(({ label }: { label: string }) => label);
        expect(found).to.have.members(labels);
        await run(0, 'evaluate', '--model', output, '--test-file', files);
        await run(0, 'inspect', output);
        await run(0, 'inspect', output, '--json', '--tensors');
        await run(0, 'report', output);
        await run(1, 'evaluate', '--model', join(folder, 'no\u001b[31mwhere'), '--test-file', files);
      }
      await run(2, 'inspect', '--\u001b[31mred\u009b');
      for (const [command, { stdout, stderr }] of results) {
        expectCalm(stdout, `stdout of ${command}`);
        expectCalm(stderr, `stderr of ${command}`);
      }
      expectInert(await readFile(join(output, 'report.html'), 'utf8'));
      // Tags are the library's own words; of names that users choose only the folder's is written.
      const [folderOfRun] = await readdir(board);
      const [events] = await readdir(join(board, folderOfRun!));
      const written = await readFile(join(board, folderOfRun!, events!), 'latin1');
      expect(written).to.include('train/loss').and.not.include('script').and.not.include('HYPERLINK');
      note('hostile texts: commands whose output was looked at', results.length);
    });
  });
});
