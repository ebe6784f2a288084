import { expect } from 'chai';
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
});
