import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Device } from '../../lib/model/device.js';
import { devices } from '../devices.js';
import { expectRefusal, fixture } from '../lib/files.js';

interface Expected {
  texts: string[];
  max_length: number;
  cases: Record<string, Record<'mean' | 'first' | 'mean_normalized', number[][]>>;
}

describe('embeddings', function () {
  this.timeout(60_000);
  let expected: Expected;
  before(async () => {
    expected = JSON.parse(await readFile(fixture('embeddings.json'), 'utf8'));
  });

  const VARIANTS = {
    mean: { pooling: 'mean' },
    first: { pooling: 'first' },
    mean_normalized: { normalize: true },
  } as const;

  for (const { device } of devices()) {
    it(`are transformers' last hidden state, pooled, on ${device}`, async () => {
      for (const [name, cases] of Object.entries(expected.cases)) {
        await using model = await TextClassifier.load(fixture('families', 'bases', name), {
          device: device as Device,
          precision: 'fp32',
        });
        for (const [variant, options] of Object.entries(VARIANTS)) {
          // Some batches of one text, and of several.
          for (const batchTokens of [8, 1024]) {
            const rows = await model.embed(expected.texts, { ...options, maxLength: expected.max_length, batchTokens });
            expect(rows).to.have.length(expected.texts.length);
            const difference = rows.flatMap((row, i) =>
              [...row].map((value, c) => Math.abs(value - cases[variant as keyof typeof VARIANTS][i]![c]!)),
            );
            expect(difference).to.have.length(rows.length * model.config.hiddenSize);
            expect(Math.max(...difference), `${name} ${variant}`).to.be.at.most(1e-5);
          }
        }
      }
    });
  }

  it('take pairs and no text, and refuse what they do not know', async () => {
    await using model = await TextClassifier.load(fixture('families', 'bases', 'roberta'), { device: 'cpu' });
    expect(await model.embed([])).to.deep.equal([]);
    const [pair, alone] = [await model.embed([['a text', 'another']]), await model.embed('a text')];
    expect(pair[0]).to.be.instanceOf(Float32Array).with.length(model.config.hiddenSize);
    expect(pair[0]).not.to.deep.equal(alone[0]);
    await expectRefusal(model.embed('a', { pooling: 'max' as 'mean' }), 'INVALID_OPTION', 'pooling', 'mean');
    await expectRefusal(model.embed('a', { normalize: 1 as unknown as boolean }), 'INVALID_OPTION', 'normalize');
    const stopped = AbortSignal.abort();
    await expectRefusal(model.embed('a', { signal: stopped }), 'ABORTED');
  });
});
