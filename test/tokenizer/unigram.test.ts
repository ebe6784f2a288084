import { expect } from 'chai';
import { Unigram } from '../../lib/tokenizer/models/unigram.js';
import { finish } from '../../lib/tokenizer/steps.js';

const encode = (model: Unigram, word: string) => [...finish(model.encode(word))];

describe('unigram models', () => {
  // By Hugging Face's library, which reads the digits of a score as a whole number and divides it by a power of ten.
  it('break ties by the last bit of the scores as they are read', () => {
    const vocab = [
      ['<unk>', 0],
      ['a', -3.6176108980108053],
      ['aa', -7.2352217960216105],
      ['aaa', -10.852832694032415],
    ];
    const model = new Unigram({ type: 'Unigram', vocab, unk_id: 0 });
    expect(encode(model, 'a'.repeat(9))).to.deep.equal([2, 3, 3, 1]);
    expect(encode(model, 'a'.repeat(11))).to.deep.equal([2, 3, 3, 1, 1, 1]);
  });

  it('write what is unknown in a row as one, or as its bytes', () => {
    const vocab = [['<unk>', 0], ['a', -1], ...['C3', 'A9', '62'].map((byte) => [`<0x${byte}>`, -5])];
    expect(encode(new Unigram({ type: 'Unigram', vocab, unk_id: 0 }), 'éba')).to.deep.equal([0, 1]);
    const model = new Unigram({ type: 'Unigram', vocab, unk_id: 0, byte_fallback: true });
    expect(encode(model, 'aéba')).to.deep.equal([1, 2, 3, 4, 1]);
    expect(encode(model, 'éxa')).to.deep.equal([0, 1]);
  });
});
