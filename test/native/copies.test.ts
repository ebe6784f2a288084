import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { BertuneError } from '../../lib/errors.js';
import { openAddon } from '../../lib/native/addon.js';
import { type NativeAddon, nativeOrigin } from '../../lib/native/index.js';

describe('copies of the library in one process', () => {
  it('have an addon each, which throws the errors of its copy', async () => {
    const classes = [RangeError, SyntaxError];
    const addons = classes.map((Class) => {
      const addon = openAddon(nativeOrigin().path) as NativeAddon;
      addon.setErrorFactory((code, message) => new Class(`${code}: ${message}`));
      return addon;
    });
    for (const [i, addon] of addons.entries()) {
      const error: unknown = await (async () => addon.createSession({} as never))().catch((thrown) => thrown);
      expect(error)
        .to.be.an.instanceOf(classes[i])
        .with.property('message')
        .that.matches(/^INVALID_/);
    }
  });

  it('say so where a classifier is of another one', () => {
    class TextClassifier {}
    expect(() => new Trainer(new TextClassifier() as never, {})).to.throw(
      BertuneError,
      'Expected a TextClassifier of this copy of bertune for model but received one of another copy',
    );
  });
});
