import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

/*
 * The emulator itself: what its builds report of kernels with planted bugs, and whether its runtime API does what CUDA's
 * does. The programs are built with the emulated libraries (CMakeLists.txt) and lie beside the addon.
 */

const FOLDER = fileURLToPath(new URL('../../build/Release', import.meta.url));
const ALL_BUILDS = ['fast', 'asan', 'race'] as const;
type Build = (typeof ALL_BUILDS)[number];

/** `npm test` has one, `npm test -- --all` and `npm run test:emulated` all. */
const BUILDS: readonly Build[] = process.env.BERTUNE_PLANTED === 'all' ? ALL_BUILDS : ['fast'];

/** In order, and in a random one. */
const SEEDS = ['0', '1'];

interface Finding {
  build: Build;
  seed: string;
  outcome: string; // nothing, value, report or crash
  report: string;
}

const exists = (program: string): boolean => existsSync(path.join(FOLDER, program));

async function lines(program: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(path.join(FOLDER, program), args);
  return stdout.trimEnd().split('\n');
}

/** By the name of the planted bug. */
async function plant(): Promise<Map<string, Finding[]>> {
  const findings = new Map<string, Finding[]>();
  for (const build of BUILDS) {
    for (const seed of SEEDS) {
      for (const line of await lines(`planted_${build}`, seed)) {
        const [, name = '', outcome = '', report = ''] = /^(\S+) (\S+) ?(.*)$/.exec(line) ?? [];
        findings.set(name, [...(findings.get(name) ?? []), { build, seed, outcome, report }]);
      }
    }
  }
  return findings;
}

/** Bugs that one build has to report by itself, and in which words. */
const REPORTS: [name: string, build: Build, report: RegExp][] = [
  ['store_off_by_one', 'race', /OUT OF BOUNDS: 4-byte write of global memory at planted\.cu:\d+/],
  ['load_off_by_one', 'race', /OUT OF BOUNDS: 4-byte read of global memory at planted\.cu:\d+/],
  ['shared_off_by_one', 'race', /OUT OF BOUNDS: 4-byte write of shared memory at planted\.cu:\d+/],
  ['reuse_without_sync', 'race', /RACE: .* of shared memory at planted\.cu:\d+ is unordered with the .* by thread/],
  ['blocks_accumulate', 'race', /RACE: .* of global memory .* of another block at planted\.cu:\d+/],
  ['uninitialised_global', 'race', /reads uninitialised global memory at planted\.cu:\d+/],
  ['async_without_wait', 'race', /while a cp\.async into it .* has not been waited for/],
  ['shuffle_mask_too_short', 'fast', /__shfl_xor_sync planted\.cu:\d+/],
  ['shuffle_in_a_branch', 'fast', /__shfl_xor_sync planted\.cu:\d+/],
  [
    'overlap_without_wait',
    'fast',
    /thread \(\d+,0,0\) of block \(0,0,0\) exits without wait_for_previous\(\) in a launch that overlaps/,
  ],
  [
    'overlap_returns_before_wait',
    'fast',
    /thread \(2(5[6-9]|[6-8]\d),0,0\) of block \(0,0,0\) exits without wait_for_previous\(\) in a launch that overlaps/,
  ],
  ['overlap_reads_before_wait', 'race', /reads global memory at planted\.cu:\d+ before wait_for_previous\(\)/],
  ['overlap_writes_before_wait', 'race', /writes global memory at planted\.cu:\d+ before wait_for_previous\(\)/],
  ['overlap_counts_before_wait', 'race', /writes global memory at \S+:\d+ before wait_for_previous\(\)/],
  ['overlap_copies_before_wait', 'race', /reads global memory at planted\.cu:\d+ before wait_for_previous\(\)/],
  ['one_thread_skips_barrier', 'fast', /thread 77 exits without reaching the __syncthreads planted\.cu:\d+/],
];

describe('SIMT emulator', () => {
  describe('planted bugs', () => {
    let findings: Map<string, Finding[]>;

    before(async function () {
      if (BUILDS.some((build) => !exists(`planted_${build}`))) this.skip();
      findings = await plant();
    });

    const isFound = ({ outcome }: Finding): boolean => outcome !== 'nothing';

    if (BUILDS === ALL_BUILDS)
      it('are noticed by at least one build', () => {
        const bugs = [...findings].filter(([name]) => !name.startsWith('ok_'));
        expect(bugs.length).to.be.at.least(43);
        expect(bugs.filter(([, found]) => !found.some(isFound)).map(([name]) => name)).to.deep.equal([]);
      });

    it('are not seen in correct kernels that look like them', () => {
      const correct = [...findings].filter(([name]) => name.startsWith('ok_'));
      expect(correct.length).to.be.at.least(9);
      expect(
        correct.flatMap(([name, found]) => found.filter(isFound).map((finding) => ({ name, finding }))),
      ).to.deep.equal([]);
    });

    for (const [name, build, report] of REPORTS.filter(([, build]) => BUILDS.includes(build))) {
      it(`${name} is reported by the ${build} build`, () => {
        for (const seed of SEEDS) {
          const finding = findings.get(name)?.find((item) => item.build === build && item.seed === seed);
          expect(finding?.report, `seed ${seed}`).to.match(report);
        }
      });
    }
  });

  for (const build of BUILDS) {
    describe(`runtime API of the ${build} build`, () => {
      before(function () {
        if (!exists(`runtime_${build}`)) this.skip();
      });

      it('does what CUDA does', async () => {
        const checks = await lines(`runtime_${build}`);
        expect(checks.length).to.be.at.least(28);
        expect(checks.filter((line) => !line.endsWith(' ok'))).to.deep.equal([]);
      });
    });
  }
});
