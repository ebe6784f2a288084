import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { loadDataset } from '../../lib/data/dataset.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { bundled } from '../bundled.js';
import { leastWorstDelay } from './delays.js';
import { useTemporaryDirectory } from './files.js';
import { ASSETS } from './tiny-model.js';

const LIMIT_MILLISECONDS = 20;
describe('the event loop', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();
  let delays: Record<'texts' | 'control' | 'predict' | 'train', number>;

  before(async () => {
    const probe = await bundled('event-loop-probe.ts', import.meta.url);
    const { stdout } = await promisify(execFile)(process.execPath, [probe, `${LIMIT_MILLISECONDS}`]);
    delays = JSON.parse(stdout);
  });

  it('is seen to be held up when it is', () => {
    expect(delays.control).to.be.greaterThan(LIMIT_MILLISECONDS);
  });

  it('runs while 2,000 texts are classified', () => {
    expect(delays.texts).to.equal(2000);
    expect(delays.predict).to.be.lessThan(LIMIT_MILLISECONDS);
  });

  it('runs through an epoch of training with its evaluation', () => {
    expect(delays.train).to.be.lessThan(LIMIT_MILLISECONDS);
  });

  it('runs while 16,000 short texts are encoded, in seconds', async () => {
    const tokenizer = await Tokenizer.load(join(ASSETS, 'models/bert-mini'));
    const words = ['feeling', 'happy', 'i', 'was', 'disappointed', 'naïve', 'unbelievably', 'today', 'so', '😀', 'and'];
    const texts = Array.from({ length: 16_000 }, (_, i) =>
      Array.from({ length: 20 }, (_, j) => words[(i * 7 + j * j) % words.length]).join(' '),
    );
    let seconds = Number.POSITIVE_INFINITY;
    const delay = await leastWorstDelay(async () => {
      const started = performance.now();
      expect((await tokenizer.encodeTexts(texts, 512)).offsets).to.have.length(16_001);
      seconds = Math.min(seconds, (performance.now() - started) / 1000);
    }, LIMIT_MILLISECONDS);
    expect(delay, 'worst delay in ms').to.be.below(LIMIT_MILLISECONDS);
    expect(texts.length / seconds, 'texts a second').to.be.above(4000);
  });

  for (const [name, row] of [
    [
      'train.csv',
      (i: number) => `i feel that this is row number ${i} and it is about as long as most,class ${i % 6}\n`,
    ],
    ['train.jsonl', (i: number) => `{"text":"row number ${i}","label":${i % 6}}\n`],
  ] as const) {
    it(`runs while 16,000 rows are read: ${name}`, async () => {
      const path = directory.path(name);
      const rows = Array.from({ length: 16_000 }, (_, i) => row(i)).join('');
      await writeFile(path, name.endsWith('.csv') ? `text,label\n${rows}` : rows);
      const delay = await leastWorstDelay(async () => {
        expect((await loadDataset(path)).train!.texts).to.have.length(16_000);
      }, LIMIT_MILLISECONDS);
      expect(delay, 'worst delay in ms').to.be.below(LIMIT_MILLISECONDS);
    });
  }
});
