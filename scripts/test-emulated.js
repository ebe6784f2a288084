// npm run test:emulated: tests that the emulator's builds find planted bugs, then runs the CUDA operations under the two strict
// builds, which see races, accesses out of bounds and reads of uninitialized memory. See test/simt/README.md. Files and arguments
// for mocha may follow; they select tests of the operations.
import { main } from './console.js';
import { buildEmulator } from './cuda.js';
import { closingLines, mocha, resetTally, testsAndArguments } from './mocha.js';
import { capture } from './process.js';

await main(async () => {
  await buildEmulator({ strict: true });
  resetTally();
  const planted = await mocha(['test/simt/**/*.test.ts'], { env: { BERTUNE_PLANTED: 'all' } });
  const { files, forMocha } = testsAndArguments(process.argv.slice(2), 'test/operations');
  const emulated = (build, env = {}) =>
    mocha(files, {
      args: forMocha,
      env: { BERTUNE_EMULATOR: build, BERTUNE_TEST_DEVICES: 'cuda-emulated', ...env },
      output: 'failure',
    });
  // Node itself is not built with AddressSanitizer, so the sanitizer's library has to come first.
  const { text } = await capture('g++', ['-print-file-name=libasan.so']);
  const sanitizer = { LD_PRELOAD: text.trim(), ASAN_OPTIONS: 'detect_leaks=0' };
  // Side by side, since each keeps one core busy.
  const statuses = await Promise.all([emulated('race'), emulated('asan', sanitizer)]);
  console.log(closingLines());
  return Math.max(planted, ...statuses);
});
