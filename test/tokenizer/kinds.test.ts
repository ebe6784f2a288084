import { expect } from 'chai';
import { LONG } from '../faults/scale.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { DEFINITIONS, differences, TEXTS } from './differences.js';

describe('kinds of tokenizers', () => {
  const temporary = useTemporaryDirectory();

  for (const [i, name] of Object.keys(DEFINITIONS).entries()) {
    it(`gives the ids of Hugging Face's library for ${name}`, async () => {
      const found = await differences(name, temporary.path(), LONG || i % 4 === 0);
      expect(found).to.deep.equal({ singles: [], further: [], characters: false });
    });
  }

  it('are many, as are the texts', () => {
    expect(Object.keys(DEFINITIONS).length).to.be.at.least(45);
    expect(TEXTS.length).to.be.at.least(4000);
  });
});
