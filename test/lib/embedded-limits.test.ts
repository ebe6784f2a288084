import { expect } from 'chai';
import { embeddedModelNotes } from '../../lib/experiments/embedded-limits.js';
import { loadDataset, type Split } from '../../lib/index.js';

/** English texts of its own data, and the same made into something else. */
async function texts(change: (text: string) => string): Promise<Split> {
  const { train } = await loadDataset('goemotions6');
  return { ...train, texts: train.texts.map(change) };
}

describe('the limits of the embedded model', () => {
  it('are no matter for short English texts, nor for another model', async () => {
    expect(await embeddedModelNotes('bert-mini', await texts((text) => text))).to.deep.equal([]);
    const long = await texts((text) => `${text} `.repeat(20));
    expect(await embeddedModelNotes('google-bert/bert-base-uncased', long)).to.deep.equal([]);
  });

  it('are told for long texts, with their share', async () => {
    const [note, ...others] = await embeddedModelNotes('bert-mini', await texts((text) => `${text} `.repeat(20)));
    expect(note).to.match(/^\d+\.\d+ % of the training texts are longer than 64 tokens.*bert-base-uncased/);
    expect(others).to.deep.equal([]);
  });

  for (const [language, sentence] of [
    ['German', 'Die Lieferung kam viel zu spät, und für die Rückgabe hört mir niemand zu.'],
    ['Chinese', '今天的天气很好'],
    ['Russian', 'сегодня хорошая погода'],
  ] as const) {
    it(`are told for another language: ${language}`, async () => {
      const notes = await embeddedModelNotes('bert-mini', await texts(() => sentence));
      expect(notes.join()).to.contain('do not look English').and.contain('multilingual');
    });
  }
});
