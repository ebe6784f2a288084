import { expect } from 'chai';
import { useTemporaryDirectory } from '../lib/files.js';
import { DEFINITIONS, differences, TEXTS } from './differences.js';

describe('kinds of tokenizers', () => {
  const temporary = useTemporaryDirectory();

  for (const name of Object.keys(DEFINITIONS)) {
    it(`gives the ids of Hugging Face's library for ${name}`, async () => {
      expect(await differences(name, temporary.path())).to.deep.equal({ singles: [], further: [], characters: false });
    });
  }

  it('are many, as are the texts', () => {
    expect(Object.keys(DEFINITIONS).length).to.be.at.least(45);
    expect(TEXTS.length).to.be.at.least(4000);
  });
});
