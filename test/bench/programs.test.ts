import { expect } from 'chai';
import { runProgram } from './run.js';

describe('benches at their smallest', function () {
  this.timeout(60_000);

  for (const [program, args, line] of [
    ['predict', '--scale tiny --precision fp32 --texts 2 --tokens 8 --device cpu', /^tiny +fp32 +2 +8 +\d/m],
    ['adapters', '--adapters 2 --rank 2 --texts 4', /^2 adapters mixed on it +\d/m],
    ['lazy-rows', '--data assets/data/goemotions6 --steps 5', /^rows that are met +[\d.]+ MB/m],
    ['scale', '', /^512 +\d/m],
  ] as const) {
    it(`bench/${program}.js measures`, async () => {
      const timed = ['predict', 'adapters'].includes(program) ? ['--seconds', '0', '--threads', '2'] : [];
      const all = [...args.split(' ').filter(Boolean), ...timed];
      const { status, stdout, stderr } = await runProgram(`bench/${program}.js`, all);
      expect(status, stderr).to.equal(0);
      expect(stdout).to.match(line);
    });
  }
});
