import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

/*
 * What nvcc says of the kernels: `npm test` compiles and links the whole library for one architecture and keeps the
 * compiler's report, where there is an nvcc. The package of CUDA backends is made from six, whose report is read here as well.
 */

const REPORT =
  process.env.BERTUNE_CUDA_REPORT ?? fileURLToPath(new URL('../../build/cuda/report.txt', import.meta.url));
const ARCHITECTURES = process.env.BERTUNE_CUDA_ARCHITECTURES?.split(',') ?? ['sm_90'];

interface Kernel {
  name: string;
  architecture: string;
  /** Bytes a thread: stack frame, spilled by stores and by loads. */
  local: [number, number, number];
  registers: number;
}

function readKernels(): Kernel[] {
  const kernels: Kernel[] = [];
  const lines = readFileSync(REPORT, 'utf8').split('\n');
  let entry: { name: string; architecture: string } | undefined;
  let local: [number, number, number] = [0, 0, 0];
  for (const line of lines) {
    const compiling = /Compiling entry function '(\w+)' for '(sm_\d+)'/.exec(line);
    if (compiling) entry = { name: compiling[1]!, architecture: compiling[2]! };
    const frame = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (frame) local = [Number(frame[1]), Number(frame[2]), Number(frame[3])];
    const used = /Used (\d+) registers/.exec(line);
    if (used && entry) {
      kernels.push({ ...entry, local, registers: Number(used[1]) });
      entry = undefined;
    }
  }
  return kernels;
}

/** Kernels of a training step, as their mangled names hold them. */
const STEP = [
  'pack_kernel',
  'embedding_forward_kernel',
  'embedding_backward_kernel',
  'layernorm_forward_kernel',
  'layernorm_backward_kernel',
  'column_sums_kernel',
  'sum_rows_kernel',
  'attention_forward_kernel',
  'attention_backward_short_kernel',
  'attention_backward_long_kernel',
  'activation_forward_kernel',
  'activation_backward_kernel',
  '7forwardI',
  '8backwardI',
  'loss_kernel',
  'normed_classifier_kernel',
  'normed_linear_gradients_kernel',
  'grad_norm_kernel',
  'adamw_kernel',
  'meet_kernel',
  'catch_up_kernel',
  'update_rows_kernel',
];

/** Instances off the beaten track, and the bytes they may keep in local memory: unaligned arrays, products too small for
 * cuBLASLt, LayerNorm's sums in fp32. */
const RARE = /Lb0E|7productI|LayernormSourceIf/;
const RARE_BYTES = 40;

(existsSync(REPORT) ? describe : describe.skip)("nvcc's report", () => {
  let kernels: Kernel[];
  before(() => {
    kernels = readKernels();
  });

  it('is of every architecture asked for, with the same kernels for each', () => {
    const names = (architecture: string) =>
      kernels
        .filter((kernel) => kernel.architecture === architecture)
        .map(({ name }) => name)
        .sort();
    expect(new Set(kernels.map(({ architecture }) => architecture))).to.deep.equal(new Set(ARCHITECTURES));
    for (const architecture of ARCHITECTURES) {
      expect(names(architecture).length, architecture).to.be.greaterThan(50);
      expect(names(architecture), architecture).to.deep.equal(names('sm_90'));
    }
  });

  it('shows no local memory and no spills but in rare instances', () => {
    for (const { name, architecture, local } of kernels) {
      const most = RARE.test(name) ? RARE_BYTES : 0;
      expect(Math.max(...local), `bytes of local memory of ${name} for ${architecture}`).to.be.at.most(most);
    }
  });

  it('has every kernel of a step, in an instance that is not rare', () => {
    for (const part of STEP) {
      const found = kernels.filter(({ name }) => name.includes(part) && !RARE.test(name));
      expect(found, part).to.not.be.empty;
    }
  });
});
