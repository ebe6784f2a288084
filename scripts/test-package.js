// npm run test:package: tests the packages with oneDNN, which takes some minutes to build, once; then tests matrix products with
// the published addon, since its oneDNN is not the system's. Files and arguments for mocha may follow, in place of those tests.
import { main, say } from './console.js';
import { withLock } from './lock.js';
import { closingLines, mocha, resetTally } from './mocha.js';
import { buildOneDnn } from './package/onednn.js';
import { buildPortable } from './package/portable.js';

/** Tests of products, and of what is promised about their bits. */
const PRODUCTS = [
  'test/operations/**/*.test.ts',
  ...['goldens', 'lazy-rows', 'parity', 'products'].map((name) => `test/model/${name}.test.ts`),
  'test/cli/precision.test.ts',
  'test/native/lifetime.test.ts',
  'test/faults/{generated-code,workers}.test.ts',
];

await main(async () => {
  const given = process.argv.slice(2);
  const { file } = await withLock(async () => buildPortable({ oneDnn: await buildOneDnn(), operations: true }));
  resetTally();
  const env = { BERTUNE_ADDON: file, BERTUNE_TEST_DEVICES: 'cpu' };
  if (given.length > 0) {
    const status = await mocha(given, { env });
    console.log(closingLines());
    return status;
  }
  say('the packages');
  const packages = await mocha(['test/package/**/*.test.ts']);
  say('products of the published addon');
  const products = await mocha(PRODUCTS, { env });
  console.log(closingLines());
  return Math.max(packages, products);
});
