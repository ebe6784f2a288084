import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { loadDataset } from '../../lib/data/dataset.js';
import { inRepository, runCli, withFolder } from './run-cli.js';

const MODEL = ['--model', inRepository('assets/models/bert-mini')];
const EMOTIONS = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'];
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** A folder laid out as the hub's dair-ai/emotion: Parquet files of two configurations, classes in metadata and card. */
async function writeEmotionLayout(folder: string): Promise<void> {
  const data = await loadDataset(inRepository('assets/data/goemotions6'), { labels: EMOTIONS });
  const features = { text: { dtype: 'string', _type: 'Value' }, label: { names: EMOTIONS, _type: 'ClassLabel' } };
  await mkdir(join(folder, 'split'), { recursive: true });
  for (const name of ['train', 'validation', 'test'] as const) {
    const { texts, labels } = data[name]!;
    const file = parquetWriteBuffer({
      columnData: [
        { name: 'text', data: [...texts], type: 'STRING' },
        { name: 'label', data: Array.from(labels, BigInt), type: 'INT64' },
      ],
      rowGroupSize: 1000,
      kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
    });
    await writeFile(join(folder, 'split', `${name}-00000-of-00001.parquet`), new Uint8Array(file));
  }
  const names = EMOTIONS.map((emotion, i) => `          '${i}': ${emotion}`).join('\n');
  const files = ['train', 'validation', 'test']
    .map((name) => `  - split: ${name}\n    path: split/${name}-*`)
    .join('\n');
  await writeFile(
    join(folder, 'README.md'),
    `---
dataset_info:
- config_name: split
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
${names}
configs:
- config_name: split
  data_files:
${files}
  default: true
- config_name: unsplit
  data_files:
  - split: train
    path: unsplit/train-*
---
# Emotions
`,
  );
}

describe('data on the command line', function () {
  this.timeout(120_000);

  it("is read in the layout of the hub's dair-ai/emotion", async () => {
    await withFolder(async (folder) => {
      await writeEmotionLayout(join(folder, 'emotion'));
      const output = join(folder, 'out');
      const args = ['--data', join(folder, 'emotion'), '--method', 'linear', '--max-steps', '1', '--output', output];
      const run = await runCli(['train', ...MODEL, ...args, '--max-length', '16', '--eval', 'no']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr)
        .to.match(/^train: 5,272 texts; sadness [\d,]+ \(/m)
        .and.match(/% of texts are longer than 16/);
      const { data } = await readJson(output, 'results.json');
      expect(data.labels).to.deep.equal(EMOTIONS);
      expect(data.splits).to.deep.equal({ train: 5272, validation: 625, test: 638 });
      expect(data.summary.splits.train.labels[0].label).to.equal('sadness');

      const missing = await runCli(['train', ...MODEL, ...args, '--overwrite', '--config', 'unsplit']);
      expect(missing.status).to.equal(1);
      expect(missing.stderr).to.contain('[NOT_FOUND]').and.contain('unsplit/train-*');
    });
  });

  it('may be pairs of texts in one file, split by fractions', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'pairs.csv');
      const row = (i: number) => `premise ${i},hypothesis ${i},${i % 2 === 0 ? 'yes' : 'no'}`;
      await writeFile(file, `first,second,label\n${Array.from({ length: 40 }, (_, i) => row(i)).join('\n')}\n`);
      const output = join(folder, 'out');
      const columns = ['--text-column', 'first', '--text-pair-column', 'second'];
      const fractions = ['--validation-fraction', '0.2', '--test-fraction', '0.1', '--split-seed', '7'];
      const args = ['--train-file', file, ...columns, '--method', 'linear', '--max-steps', '2', '--output', output];
      const run = await runCli(['train', ...MODEL, ...args, ...fractions]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.contain('train: 28 pairs of texts; no 14 (50.00 %), yes 14 (50.00 %)');
      const { data } = await readJson(output, 'results.json');
      expect(data.splits).to.deep.equal({ train: 28, validation: 8, test: 4 });

      const wrong = await runCli(['train', ...MODEL, ...args, '--overwrite', '--validation-fraction', '1']);
      expect(wrong.status).to.equal(2);
      expect(wrong.stderr).to.contain('--validation-fraction');
    });
  });
});
