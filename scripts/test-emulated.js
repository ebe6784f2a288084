// npm run test:emulated: what the emulator's builds find of planted bugs, then the CUDA operations under the stricter two, which see
// races, and accesses out of bounds and of memory that is not initialised. See test/simt/README.md. Files and arguments for mocha
// may follow, for the operations.
import { main } from './console.js';
import { buildEmulator } from './cuda.js';
import { closingLines, mocha, resetTally, testsAndArguments } from './mocha.js';
import { capture } from './process.js';

await main(async () => {
  await buildEmulator({ strict: true });
  resetTally();
  const planted = await mocha(['test/simt/**/*.test.ts'], { env: { BERTUNE_EMULATOR: 'all' } });
  const { files, forMocha } = testsAndArguments(process.argv.slice(2), 'test/operations');
  const emulated = (build, env = {}) =>
    mocha(files, {
      args: forMocha,
      env: { BERTUNE_EMULATOR: build, BERTUNE_TEST_DEVICES: 'cuda-emulated', ...env },
      output: 'failure',
    });
  // Node itself is not built with AddressSanitizer, so its library comes first.
  const { text } = await capture('g++', ['-print-file-name=libasan.so']);
  const sanitizer = { LD_PRELOAD: text.trim(), ASAN_OPTIONS: 'detect_leaks=0' };
  // Side by side, as each keeps one core busy.
  const statuses = await Promise.all([emulated('race'), emulated('asan', sanitizer)]);
  console.log(closingLines());
  return Math.max(planted, ...statuses);
});
