import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { type EncodedTexts, type TextLimit, Tokenizer } from '../../lib/tokenizer/index.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';

const BERT_BASE = fixture('bert-base-uncased');

interface Fixture {
  texts: string[];
  max_length: number;
  cases: { side: 'left' | 'right'; stride: number; windows: number[][][] }[];
}

/** The ids of each window, by text. */
function windowsIn({ ids, offsets, windows }: EncodedTexts): number[][][] {
  const starts = windows ?? offsets.map((_, i) => i);
  return Array.from(starts.subarray(1), (end, text) =>
    Array.from({ length: end - starts[text]! }, (_, i) => {
      const window = starts[text]! + i;
      return [...ids.subarray(offsets[window], offsets[window + 1])];
    }),
  );
}

describe('texts that are longer than they may be', () => {
  const directory = useTemporaryDirectory();

  async function withSide(side: string): Promise<Tokenizer> {
    await writeFile(directory.path('tokenizer.json'), await readFile(`${BERT_BASE}/tokenizer.json`));
    await writeFile(directory.path('tokenizer_config.json'), JSON.stringify({ truncation_side: side }));
    return Tokenizer.load(directory.path());
  }

  it('are read in the windows that transformers makes', async () => {
    const { texts, max_length, cases } = JSON.parse(readFileSync(fixture('windows.json'), 'utf8')) as Fixture;
    for (const { side, stride, windows } of cases) {
      const tokenizer = await withSide(side);
      const encoded = await tokenizer.encodeTexts(texts, { maxLength: max_length, stride });
      expect(windowsIn(encoded), `${side}, ${stride}`).to.deep.equal(windows);
      expect(encoded.truncated).to.equal(0);
      const short = await tokenizer.encodeTexts(texts.slice(0, 3), { maxLength: max_length, stride });
      expect(short.windows).to.equal(undefined);
    }
  });

  it('keep their start, their end, or some of either, also of pairs', async () => {
    for (const side of ['right', 'left']) {
      const tokenizer = await withSide(side);
      const text = 'one two three four five six seven eight nine ten';
      const words = (await tokenizer.encodeTexts([text], 100)).ids.slice(1, -1);
      const kept = async (limit: TextLimit) => [...(await tokenizer.encodeTexts([text], limit)).ids.slice(1, -1)];
      const places = (ids: number[]) => ids.map((id) => 1 + words.indexOf(id));
      const length = { maxLength: 8 };
      expect(places(await kept({ ...length, truncation: 'head' }))).to.deep.equal([1, 2, 3, 4, 5, 6]);
      expect(places(await kept({ ...length, truncation: 'tail' }))).to.deep.equal([5, 6, 7, 8, 9, 10]);
      expect(places(await kept({ ...length, truncation: 'head-tail' }))).to.deep.equal([1, 2, 7, 8, 9, 10]);
      expect(places(await kept({ ...length, truncation: 'halves' }))).to.deep.equal([1, 2, 3, 8, 9, 10]);
      expect(places(await kept({ maxLength: 12, truncation: 'head-tail' }))).to.have.length(10);
      const pair = await tokenizer.encodeTexts([text], { maxLength: 11, truncation: 'halves' }, { pairs: [text] });
      expect(pair.truncated).to.equal(1);
      const [, first, second] = [...pair.ids].join(' ').split(/(?:^| )(?:101|102)(?: |$)/);
      expect(places(first!.split(' ').map(Number))).to.deep.equal([1, 2, 9, 10]);
      expect(places(second!.split(' ').map(Number))).to.deep.equal([1, 2, 9, 10]);
    }
    // 128 and 382 of 510, as Sun et al.
    const tokenizer = await Tokenizer.load(BERT_BASE);
    const text = `${'one '.repeat(300)}${'two '.repeat(400)}`;
    const { ids } = await tokenizer.encodeTexts([text], { maxLength: 512, truncation: 'head-tail' });
    expect(ids.filter((id) => id === ids[1])).to.have.length(128);
    expect(ids).to.have.length(512);
  });

  it('take twice their memory at most, however they are cut up', async () => {
    const tokenizer = await Tokenizer.load(BERT_BASE);
    const text = 'a '.repeat(500_000);
    const { ids, windows } = await tokenizer.encodeTexts([text, 'a'], { maxLength: 512, stride: 255 });
    expect(windows![1]).to.equal(Math.ceil((500_000 - 510) / 255) + 1);
    expect(windows![2]).to.equal(windows![1]! + 1);
    expect(ids.length).to.be.below(2.02 * 500_000);
    for (const stride of [-1, 1.5, 256]) {
      await expectRefusal(() => tokenizer.encodeTexts([text], { maxLength: 512, stride }), 'INVALID_OPTION', 'stride');
    }
    await expectRefusal(() => tokenizer.encodeTexts(['a'], { maxLength: 2, stride: 0 }), 'INVALID_OPTION', 'maxLength');
    await expectRefusal(
      () => tokenizer.encodeTexts(['a'], { maxLength: 8, stride: 0 }, { pairs: ['b'] }),
      'INVALID_OPTION',
      'pairs',
    );
  });
});
