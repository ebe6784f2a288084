import { expect } from 'chai';
import {
  type Case,
  devices,
  expectSameBits,
  type Operation,
  places,
  proveValues,
  Random,
  run,
  type Sizes,
  starts,
} from './harness.js';

const keepStep: Operation = {
  name: 'keep_step',
  formula(args, round) {
    const slot = args.size('slot', 0);
    const add = args.size('add', 0) === 1;
    const losses = args.output('losses', 0);
    const norms = args.output('norms', 0);
    const correct = args.ints('correct').slice();
    const right = args.has('right')
      ? args.ints('right').reduce((sum, one) => sum + one, 0)
      : args.has('predictions')
        ? args.ints('predictions').filter((label, b) => label === args.ints('labels')[b]).length
        : 0;
    const loss = round(args.size('scale', 1) * args.floats('loss')[0]!);
    losses[slot] = add ? round(losses[slot]! + loss) : loss;
    correct[slot] = (add ? correct[slot]! : 0) + right;
    if (args.has('norm')) norms[slot] = args.floats('norm')[0]!;
    return { losses, norms, correct };
  },
};

const keepLogits: Operation = {
  name: 'keep_logits',
  formula(args) {
    const kept = args.output('kept_logits', 0);
    kept.set(args.floats('logits'), args.size('order_begin', 0) * args.size('NC'));
    return { kept_logits: kept };
  },
};

function stepCase(title: string, B: number, sizes: Sizes = {}): Case {
  const random = new Random(B);
  const slots = 6;
  return {
    title,
    tensors: {
      cu_seqlens: starts(new Array(B).fill(1)),
      labels: random.integers(B, 3),
      predictions: random.integers(B, 3),
      loss: Float64Array.of(1.375),
      norm: Float64Array.of(0.625),
      losses: random.normal(slots),
      norms: random.normal(slots),
      correct: random.integers(slots, 1000),
    },
    sizes,
  };
}

/** The case with what is right in place of predictions and labels, or with none of them. */
function unlabelled(item: Case, right?: Int32Array): Case {
  const { labels: _, predictions: __, ...tensors } = item.tensors;
  return { ...item, tensors: { ...tensors, ...(right && { right }) } };
}

const withoutNorm = stepCase('without a norm', 16, { slot: 2 });
delete withoutNorm.tensors.norm;
proveValues(keepStep, [
  stepCase('one example', 1),
  stepCase('the first micro-batch of a step', 17, { slot: 3, scale: 0.25 }),
  stepCase('a later micro-batch', 17, { slot: 3, scale: 0.25, add: 1 }),
  stepCase('more examples than a block has threads', 600, { slot: 5, add: 1 }),
  withoutNorm,
  unlabelled(stepCase('what is right', 17, { slot: 3 }), new Random(2).integers(17, 2)),
  unlabelled(stepCase('what is right of many, added', 600, { slot: 5, add: 1 }), new Random(2).integers(600, 2)),
  unlabelled(stepCase('nothing that could be right', 17, { slot: 3, add: 1 })),
]);

function logitsCase(title: string, B: number, NC: number, sizes: Sizes = {}): Case {
  const random = new Random(B + NC);
  return {
    title,
    tensors: {
      cu_seqlens: starts(new Array(B).fill(1)),
      logits: random.normal(B * NC),
      kept_logits: random.normal((B + 9) * NC),
    },
    sizes: { NC, ...sizes },
  };
}

proveValues(keepLogits, [
  logitsCase('one example', 1, 2),
  logitsCase('behind other batches', 17, 6, { order_begin: 5 }),
  logitsCase('the last batch', 17, 3, { order_begin: 9 }),
  logitsCase('many', 200, 6, { order_begin: 1 }),
]);

for (const device of devices()) {
  it(`grad_norm on ${device.device} keeps what keep_step keeps of its norm`, async () => {
    for (const where of places(device)) {
      for (const B of [1, 17, 600]) {
        const { tensors } = stepCase('', B);
        const sizes = { slot: 3, add: 1, scale: 0.25 };
        const gradient = { 'grad.0': new Random(B).normal(10_000), norm: new Float64Array(1) };
        const found = await run('grad_norm', where, { ...tensors, ...gradient }, { ...sizes, segments: 1 });
        const kept = await run('keep_step', where, { ...tensors, norm: found.norm! }, sizes);
        const { losses, norms, correct } = kept;
        expectSameBits(found, { losses: losses!, norms: norms!, correct: correct! }, `${B} in ${where.precision}`);
      }
    }
  });
}

// The CPU pads nothing.
for (const device of devices().filter(({ device: name }) => name !== 'cpu')) {
  describe(`what is kept on ${device.device} of a padded batch`, () => {
    it('counts no prediction of a padded row', async () => {
      for (const where of places(device)) {
        const { tensors } = stepCase('', 17);
        tensors.labels!.fill(0);
        tensors.predictions = new Int32Array(32);
        const { correct } = await run('keep_step', where, tensors, { padding_sequences: 15 });
        expect(correct![0]).to.equal(17);
      }
    });

    it('counts nothing as right in a padded row', async () => {
      for (const where of places(device)) {
        const { tensors } = unlabelled(stepCase('', 17), new Int32Array(32).fill(1));
        const { correct } = await run('keep_step', where, tensors, { padding_sequences: 15 });
        expect(correct![0]).to.equal(17);
      }
    });

    it('leaves no logits of a padded row', async () => {
      for (const where of places(device)) {
        const { tensors } = logitsCase('', 17, 6);
        tensors.logits = new Random(1).normal(32 * 6).map((x) => Math.round(x * 64) / 64);
        tensors.kept_logits = new Float64Array(40 * 6).fill(0.25);
        const sizes = { NC: 6, order_begin: 2, padding_sequences: 15 };
        const { kept_logits: kept } = await run('keep_logits', where, tensors, sizes);
        const expected = tensors.kept_logits.slice();
        expected.set(tensors.logits.subarray(0, 17 * 6), 2 * 6);
        expect(kept).to.deep.equal(expected);
      }
    });
  });
}
