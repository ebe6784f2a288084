import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EMULATED } from '../../bench/support/operations.js';
import { BertuneError } from '../../lib/errors.js';
import { loadNative, type NativePrecision } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { relativeError } from '../model/support.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from '../model/tiny-session.js';
import { startsOf } from '../native/support.js';

/*
 * What a GPU, its driver or cuBLASLt may refuse, one at a time: the results are those of a run without the failure, or a typed
 * error. cuBLASLt is the emulator's stand-in (test/simt/cublaslt), which answers no question while a step is captured.
 */

/** Large enough that the feed-forward part of the first layer, forward and backward, is cuBLASLt's. */
const LARGE = { ...MODEL, hiddenSize: 64, feedForwardSize: 256 };

const STEPS = 4;

interface Run {
  /** Bits of losses, norms, parameters and logits. */
  numbers: Record<string, Float32Array | Float64Array>;
  losses: Float64Array;
  nodes: number;
  warnings: string[];
}

interface Setting {
  method?: string;
  precision?: NativePrecision;
  /** The code of the error that training ends with first, before it starts anew. */
  failsFirst?: string;
  environment?: Record<string, string>;
}

const warnings: string[] = [];

/** Trains and predicts, each often enough to be recorded and replayed. */
async function run({ method = 'full', precision = 'bf16', failsFirst, environment = {} }: Setting = {}): Promise<Run> {
  Object.assign(process.env, environment);
  warnings.length = 0;
  try {
    const session = await makeSession(METHODS[method]!, 1, LARGE, { device: EMULATED, precision });
    try {
      const dataset = await addExamples(session);
      const plan = makePlan(dataset, {
        order: Int32Array.from({ length: 2 * STEPS }, (_, i) => (i % 2 === 0 ? 2 : i % 5)),
        batchSize: 2,
        learningRates: new Float64Array(STEPS).fill(1e-3),
        firstStep: 0,
        maxGradNorm: 1,
      });
      if (failsFirst) expect((await session.train(plan).catch((error) => error)).code).to.equal(failsFirst);
      const trained = await session.train(plan);
      const { nodes } = await session.recordings();
      const numbers: Run['numbers'] = { losses: trained.losses, norms: trained.gradNorms };
      for (const { name } of session.parameters()) numbers[name] = await session.read(name, 'value');
      for (const time of ['first', 'second', 'third'])
        numbers[`${time} logits`] = await session.forward(dataset, Int32Array.of(4, 1), startsOf(2));
      return { numbers, losses: trained.losses, nodes, warnings: [...warnings] };
    } finally {
      await session.dispose();
    }
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
}

async function refusal(environment: Record<string, string>): Promise<BertuneError> {
  try {
    await run({ environment });
  } catch (error) {
    expect(error).to.be.instanceOf(BertuneError);
    return error as BertuneError;
  }
  throw new Error(`Expected ${JSON.stringify(environment)} to be refused`);
}

if (gpus().some(({ device }) => device === EMULATED)) {
  describe('the way around a failure on a GPU', function () {
    this.timeout(300_000); // in the emulator's stricter builds
    let undisturbed: Run;
    let ownProducts: Run;
    before(async () => {
      loadNative().setWarningHandler((message) => warnings.push(message));
      undisturbed = await run();
      ownProducts = await run({ environment: { BERTUNE_GEMM: 'own' } });
    });
    after(() => loadNative().setWarningHandler((message) => process.emitWarning(message, 'BertuneWarning')));

    /** That nothing was replayed, which was said once, and that the numbers are those of the undisturbed run. */
    function expectEager(found: Run, expected: Run, reason?: RegExp): void {
      expect(found.nodes, 'kernels of a recorded step').to.equal(0);
      expect(found.warnings).to.have.lengthOf(reason ? 1 : 0);
      if (reason)
        expect(found.warnings[0])
          .to.match(/^A step could not be recorded as a CUDA graph/)
          .and.match(reason);
      expect(found.numbers).to.deep.equal(expected.numbers);
    }

    it('is not taken where nothing fails', () => {
      expect(undisturbed.nodes).to.be.greaterThan(50);
      expect(undisturbed.warnings).to.deep.equal([]);
      expect(undisturbed.numbers['third logits']).to.deep.equal(undisturbed.numbers['first logits']);
    });

    for (const method of ['full', 'prefix with projection', 'LoRA on every Linear']) {
      it(`leaves out recordings on request, with the same bits: ${method}`, async () => {
        const recorded = method === 'full' ? undisturbed : await run({ method });
        expect(recorded.nodes).to.be.greaterThan(0);
        expectEager(await run({ method, environment: { BERTUNE_CUDA_GRAPHS: 'off' } }), recorded);
      });
    }

    /** A run, and of the last graph that it recorded: how many nodes, and how many of them overlap the kernel ahead. */
    async function listed(environment: Record<string, string>) {
      const folder = mkdtempSync(join(tmpdir(), 'bertune-overlap-'));
      try {
        const list = join(folder, 'nodes');
        const found = await run({ environment: { BERTUNE_EMULATED_LIST_GRAPHS: list, ...environment } });
        const nodes = readFileSync(list, 'utf8').trim().split('\n');
        return { ...found, listed: nodes.length, overlapping: nodes.filter((node) => node.startsWith('+')).length };
      } finally {
        rmSync(folder, { recursive: true });
      }
    }

    it('leaves out launches that overlap on request and on older GPUs, with the same bits', async () => {
      const own = { BERTUNE_GEMM: 'own' }; // so that a kernel comes before each other
      const overlapping = await listed(own);
      const apart = await listed({ ...own, BERTUNE_CUDA_PDL: 'off' });
      const older = await listed({ ...own, BERTUNE_EMULATED_CAPABILITY: '89' });
      expect(overlapping.overlapping).to.be.within(0.8 * overlapping.listed, overlapping.listed - 1);
      for (const found of [overlapping, apart, older]) {
        expect(found.overlapping).to.equal(found === overlapping ? overlapping.overlapping : 0);
        expect([found.nodes, found.listed]).to.deep.equal([overlapping.nodes, overlapping.listed]);
        expect(found.warnings).to.deep.equal([]);
        expect(found.numbers).to.deep.equal(ownProducts.numbers);
      }
    });

    it('records graphs whose kernels do not overlap where others fail', async () => {
      const found = await listed({ BERTUNE_EMULATED_FAIL_GRAPHS: 'overlap' });
      expect(found.overlapping).to.equal(0);
      expect(found.nodes).to.equal(undisturbed.nodes);
      expect(found.numbers).to.deep.equal(undisturbed.numbers);
      expect(found.warnings).to.have.lengthOf(1);
      expect(found.warnings[0])
        .to.match(
          /^A step could not be recorded as a CUDA graph whose kernels overlap, so they run one behind the other/,
        )
        .and.match(/BERTUNE_CUDA_PDL=off .* cudaErrorNotSupported .* from cudaGraphInstantiate/);
    });

    it("leaves out cuBLASLt on request: the products are the kernels' own", async () => {
      expect(ownProducts.nodes).to.be.greaterThan(0);
      expect(ownProducts.numbers).to.not.deep.equal(undisturbed.numbers);
      expect(relativeError(ownProducts.losses, undisturbed.losses)).to.be.at.most(6e-2);
      const broken = { BERTUNE_GEMM: 'own', BERTUNE_EMULATED_CUBLASLT: 'fails=heuristic' };
      expect((await run({ environment: broken })).numbers).to.deep.equal(ownProducts.numbers);
    });

    it('refuses other words for any of them', async () => {
      for (const [name, value] of [
        ['BERTUNE_CUDA_GRAPHS', 'off'],
        ['BERTUNE_CUDA_PDL', 'off'],
        ['BERTUNE_CUDA_STREAMS', 'one'],
        ['BERTUNE_GEMM', 'own'],
        ['BERTUNE_GEMM_TUNING', 'off'],
      ] as const) {
        const { code, message } = await refusal({ [name]: '0' });
        expect(code).to.equal('INVALID_OPTION');
        expect(message).to.equal(
          `Expected the environment variable ${name} to be "${value}" or not set but received "0"`,
        );
      }
    });

    const GRAPHS: [call: string, reason: RegExp][] = [
      ['capture', /cudaErrorStreamCaptureUnsupported .* from cudaStreamBeginCapture/],
      ['end', /cudaErrorStreamCaptureInvalidated .* from cudaStreamEndCapture/],
      ['instantiate', /cudaErrorMemoryAllocation .* from cudaGraphInstantiate/],
      ['launch', /cudaErrorMemoryAllocation .* from cudaGraphLaunch/],
    ];
    for (const [call, reason] of GRAPHS) {
      it(`runs kernel by kernel where a graph fails: ${call}`, async () => {
        expectEager(await run({ environment: { BERTUNE_EMULATED_FAIL_GRAPHS: call } }), undisturbed, reason);
      });
    }

    for (const method of ['full', 'prefix with projection']) {
      it(`runs kernel by kernel where a product fails while it is captured: ${method}`, async () => {
        const environment = { BERTUNE_EMULATED_CUBLASLT: 'fails=capture' };
        const expected = method === 'full' ? undisturbed : await run({ method });
        const found = await run({ method, environment });
        expectEager(found, expected, /CUBLAS_STATUS_INTERNAL_ERROR from cublasLtMatmul/);
      });
    }

    it('records steps whose sizes were first met by one that failed', async () => {
      const environment = { BERTUNE_EMULATED_CUBLASLT: 'fails=first' };
      const found = await run({ environment, failsFirst: 'CUDA_ERROR' });
      expect(found.warnings).to.deep.equal([]);
      expect(found.nodes).to.equal(undisturbed.nodes);
      expect(found.numbers).to.deep.equal(undisturbed.numbers);
    });

    const OWN: [what: string, setting: string][] = [
      ['knows no algorithm that does with its workspace', 'workspace=67108864'],
      ['refuses the only algorithm once it is to run', 'refuse=1'],
      ['names no algorithm', 'algorithms=0'],
    ];
    for (const [what, setting] of OWN) {
      it(`multiplies by its own kernels where cuBLASLt ${what}`, async () => {
        const found = await run({ environment: { BERTUNE_EMULATED_CUBLASLT: setting } });
        expect(found.numbers).to.deep.equal(ownProducts.numbers);
        expect(found.nodes).to.equal(ownProducts.nodes);
      });
    }

    it('asks the heuristic again where a chosen algorithm fails its check', async () => {
      const found = await run({ environment: { BERTUNE_EMULATED_CUBLASLT: 'fails=check' } });
      expect(found.numbers).to.deep.equal(undisturbed.numbers);
      expect(found.nodes).to.equal(undisturbed.nodes);
    });

    it('fits the workspace that is there', async () => {
      const environment = { BERTUNE_EMULATED_CUBLASLT: 'workspace=1048576' };
      expect((await run({ environment })).numbers).to.deep.equal(undisturbed.numbers);
    });

    for (const [setting, call] of [
      ['fails=heuristic', 'cublasLtMatmulAlgoGetHeuristic'],
      ['fails=product', 'cublasLtMatmul'],
    ] as const) {
      it(`is named where ${call} fails for good`, async () => {
        const { code, message } = await refusal({ BERTUNE_EMULATED_CUBLASLT: setting });
        expect(code).to.equal('CUDA_ERROR');
        expect(message).to.equal(
          `CUBLAS_STATUS_INTERNAL_ERROR from ${call}; BERTUNE_GEMM=own multiplies without cuBLASLt`,
        );
      });
    }

    it('is named where there is no cuBLASLt, or not a whole one', async () => {
      const missing = await refusal({ BERTUNE_CUBLASLT: '/nowhere/libcublasLt.so.13' });
      expect(missing.code).to.equal('CUDA_UNAVAILABLE');
      expect(missing.message).to.match(
        /cuBLASLt.* was not found.*Looked for: \/nowhere\/libcublasLt\.so\.13: cannot open/,
      );
      const other = await refusal({ BERTUNE_CUBLASLT: 'libc.so.6' });
      expect(other.code).to.equal('CUDA_UNAVAILABLE');
      expect(other.message).to.match(/^libc\.so\.6 has no function cublasLtGetVersion/);
    });
  });
}
