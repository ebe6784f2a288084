import { expect } from 'chai';
import { loadOperations } from './addon.js';
import {
  Arguments,
  type Case,
  copyTensors,
  devices,
  expectClose,
  expectSameBits,
  type Operation,
  places,
  proveValues,
  Random,
  run,
  type Sizes,
  type Tensors,
} from './harness.js';
import { exact, type Round, rounding } from './reference.js';

function segments(args: Arguments): number[] {
  return Array.from({ length: args.size('segments') }, (_, i) => i);
}

function norm(args: Arguments, round: Round): number {
  let sum = 0;
  for (const i of segments(args)) {
    for (const g of args.floats(`grad.${i}`)) sum = round(sum + round(g * g));
  }
  return round(Math.sqrt(sum));
}

const gradNorm: Operation = {
  name: 'grad_norm',
  formula: (args, round) => ({ norm: Float64Array.of(norm(args, round)) }),
};

const adamw: Operation = {
  name: 'adamw',
  formula(args, round) {
    const [beta1, beta2, eps, step] = [args.size('beta1'), args.size('beta2'), args.size('eps'), args.size('step')];
    const lr = args.size('learning_rate');
    const most = args.size('max_grad_norm', 0);
    const outputs: Tensors = { norm: Float64Array.of(norm(args, round)) };
    const clip = round(most > 0 ? Math.min(1, most / (norm(args, round) + 1e-6)) : 1);
    const rootCorrection = round(Math.sqrt(1 - beta2 ** step));
    for (const i of segments(args)) {
      const p = args.output(`master.${i}`, 0);
      const m = args.output(`m.${i}`, 0);
      const v = args.output(`v.${i}`, 0);
      const rate = lr * args.size(`rate.${i}`, 1);
      const stepSize = round(rate / (1 - beta1 ** step));
      const decay = args.size(`decay.${i}`, 0) === 1 ? round(1 - rate * args.size('weight_decay')) : 1;
      for (const [j, grad] of args.floats(`grad.${i}`).entries()) {
        const g = round(grad * clip);
        p[j] = round(p[j]! * decay);
        m[j] = round(round(round(beta1) * m[j]!) + round(round(1 - beta1) * g));
        v[j] = round(round(round(beta2) * v[j]!) + round(round(1 - beta2) * round(g * g)));
        const denominator = round(round(round(Math.sqrt(v[j]!)) / rootCorrection) + eps);
        p[j] = round(p[j]! - round(stepSize * round(m[j]! / denominator)));
      }
      Object.assign(outputs, { [`master.${i}`]: p, [`m.${i}`]: m, [`v.${i}`]: v });
    }
    return outputs;
  },
};

const settings = {
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weight_decay: 0.01,
  max_grad_norm: 1,
  learning_rate: 2e-3,
  step: 1,
};

function optimizerCase(title: string, counts: number[], sizes: Sizes = {}): Case {
  const random = new Random(counts.length);
  const tensors: Case['tensors'] = { loss: Float64Array.of(1.5), norm: Float64Array.of(-1) };
  const decays: Sizes = {};
  for (const [i, count] of counts.entries()) {
    tensors[`grad.${i}`] = random.normal(count, 0.1);
    tensors[`master.${i}`] = random.normal(count);
    tensors[`m.${i}`] = random.normal(count, 0.01);
    tensors[`v.${i}`] = random.normal(count, 0.01).map((x) => x * x);
    decays[`decay.${i}`] = i % 2;
  }
  return { title, tensors, sizes: { segments: counts.length, ...decays, ...settings, ...sizes } };
}

/** The case with some arrays starting further into their buffers: `shifts` gives by how many elements. */
function shifted(item: Case, shifts: Sizes): Case {
  const tensors = { ...item.tensors };
  for (const [name, shift] of Object.entries(shifts)) {
    const array = tensors[name]!;
    const view = new Float64Array(shift + array.length).subarray(shift);
    view.set(array);
    tensors[name] = view;
  }
  return { ...item, tensors };
}

const counts = [1, 5, 4095, 4096, 4097, 64, 9000];
const five = [1030, 1027, 1028, 5, 1030];
const adamwCases = [
  optimizerCase('one element', [1]),
  optimizerCase('segments around a block', counts),
  optimizerCase('without clipping', counts, { max_grad_norm: 0 }),
  optimizerCase('a norm below the bound', counts, { max_grad_norm: 1e6 }),
  optimizerCase('a later step', counts, { step: 1234 }),
  optimizerCase('a learning rate of 0', counts, { learning_rate: 0 }),
  optimizerCase('learning rates of their own', counts, { 'rate.0': 16, 'rate.1': 0.5, 'rate.3': 0, 'rate.6': 0.1 }),
  optimizerCase('without decay', counts, { weight_decay: 0 }),
  shifted(optimizerCase('arrays that start anywhere', five), { 'grad.0': 1, 'm.1': 3, 'v.2': 2, 'master.4': 1 }),
  shifted(optimizerCase('arrays that start at every fourth element', five), {
    'grad.0': 4,
    'm.1': 12,
    'v.2': 8,
    'master.2': 4,
    'master.4': 2,
  }),
];

const normCases = [
  ...adamwCases.slice(0, 2),
  shifted(optimizerCase('gradients that start anywhere', five), { 'grad.0': 1, 'grad.1': 2, 'grad.2': 3, 'grad.4': 4 }),
  optimizerCase('many elements', [140_000, 7]),
].map(({ title, tensors }): Case => {
  const grads = Object.entries(tensors).filter(([name]) => name.startsWith('grad.'));
  return {
    title,
    tensors: { norm: Float64Array.of(-1), ...Object.fromEntries(grads) },
    sizes: { segments: grads.length },
  };
});

proveValues(gradNorm, normCases);
proveValues(adamw, adamwCases);

for (const device of devices()) {
  describe(`adamw on ${device.device}`, () => {
    const bad: [string, string][] = [
      ['loss', 'the loss'],
      ['grad.1', 'a gradient'],
    ];
    for (const [name, title] of bad) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        it(`does nothing where ${title} is ${value}`, async () => {
          const { tensors, sizes } = optimizerCase('', counts);
          for (const where of places(device)) {
            // Numbers that every precision holds, so that what is left alone is left alone to the bit.
            const before = copyTensors(tensors, (x) => Math.round(x * 64) / 64);
            before[name]![0] = value;
            const after = await run('adamw', where, before, sizes);
            for (const i of counts.keys()) {
              for (const part of ['master', 'm', 'v']) {
                expect(after[`${part}.${i}`], `${part}.${i}`).to.deep.equal(before[`${part}.${i}`]);
              }
            }
            expect(Number.isFinite(after.norm![0])).to.equal(name === 'loss');
          }
        });
      }
    }

    it('does nothing after a loss that is not finite, until it is started again', async () => {
      const { tensors, sizes } = optimizerCase('', counts);
      for (const where of places(device)) {
        const before = copyTensors(tensors, (x) => Math.round(x * 64) / 64);
        const halting = { ...before, earlier_loss: Float64Array.of(Number.NaN) };
        const plain = await run('adamw', where, before, sizes);
        const halted = await run('adamw', where, halting, sizes);
        const restarted = await run('adamw', where, halting, { ...sizes, restart: 1 });
        for (const i of counts.keys()) {
          for (const name of [`master.${i}`, `m.${i}`, `v.${i}`]) {
            expect(halted[name], name).to.deep.equal(before[name]);
            expect(restarted[name], name).to.deep.equal(plain[name]);
            expect(plain[name], name).not.to.deep.equal(before[name]);
          }
        }
      }
    });

    it('goes on after a loss that is finite', async () => {
      const { tensors, sizes } = optimizerCase('', [100], { learning_rate: 0 });
      for (const where of places(device)) {
        const once = await run('adamw', where, tensors, sizes);
        const twice = await run('adamw', where, { ...tensors, earlier_loss: Float64Array.of(2) }, sizes);
        const again = await run('adamw', where, { ...tensors, 'm.0': once['m.0']!, 'v.0': once['v.0']! }, sizes);
        expect(twice['m.0']).to.deep.equal(again['m.0']);
        expect(twice['v.0']).to.deep.equal(again['v.0']);
      }
    });

    it('keeps weights to the last bit of a float in every precision', async () => {
      const { tensors, sizes } = optimizerCase('', counts, { learning_rate: 0 });
      const before = copyTensors(tensors, Math.fround);
      // Around the places where bf16 rounds, infinity and its neighbor, the smallest numbers, zero.
      before['master.5']!.set([1.00390625, 1.01171875, 1.0039061307907104, -1.00390625, 3.4028234663852886e38]);
      before['master.5']!.set([2 ** -149, -(2 ** -149), 2 ** -126, 0, 1.9999998807907104, 65535.99609375, -1 / 0], 5);
      for (const where of places(device)) {
        const after = await run('adamw', where, before, sizes);
        for (const i of counts.keys()) expectSameBits(after, { [`master.${i}`]: before[`master.${i}`]! }, '');
      }
    });

    it('carries many weights to the device and back, from doubles and from floats', async () => {
      const count = 70_000;
      const { tensors, sizes } = optimizerCase('', [count]);
      const before = copyTensors({ ...tensors, loss: Float64Array.of(Number.NaN) }, Math.fround);
      before['weight.0'] = new Float64Array(count);
      for (const where of places(device)) {
        const round: Round = where.precision === 'bf16' ? rounding.bf16! : exact;
        const floats = Object.fromEntries(
          Object.entries(before).map(([name, array]) => [name, Float32Array.from(array)]),
        );
        await loadOperations().runOperation('adamw', where, floats, sizes, 1);
        for (const after of [await run('adamw', where, before, sizes), floats]) {
          for (const name of ['master.0', 'm.0', 'v.0']) {
            expect(
              before[name]!.every((value, i) => after[name]![i] === value),
              name,
            ).to.equal(true);
          }
          const weights = before['master.0']!.map(round);
          expect(weights.every((value, i) => after['weight.0']![i] === value)).to.equal(true);
        }
      }
    });

    it('keeps a weight that is not a number from looking like one', async () => {
      const { tensors, sizes } = optimizerCase('', [2], { learning_rate: 0 });
      // All bits but the sign's, and all bits: rounded upward they would become a zero.
      const words = new Uint32Array([0xe0000000, 0x7fffffff, 0xe0000000, 0xffffffff]);
      const before = { ...tensors, 'master.0': new Float64Array(words.buffer), 'weight.0': new Float64Array(2) };
      for (const where of places(device)) {
        const after = await run('adamw', where, before, sizes);
        for (const name of ['master.0', 'weight.0'])
          expect(Array.from(after[name]!), name).to.deep.equal([Number.NaN, Number.NaN]);
      }
    });

    it('updates weights to the precision of a float in every precision', async () => {
      for (const item of [optimizerCase('', counts), adamwCases.at(-2)!, adamwCases.at(-1)!]) {
        const before = copyTensors(item.tensors, Math.fround);
        const args = new Arguments(before, item.sizes);
        const expected = adamw.formula(args, exact);
        for (const where of places(device)) {
          const after = await run('adamw', where, before, item.sizes);
          for (const [name, values] of Object.entries(expected)) {
            expectClose(after[name]!, values, 5e-7, `${name} in ${where.precision}`);
          }
        }
      }
    });

    it('lets a moment that has faded go', async () => {
      const faded = [1.2e-30, -1.2e-30, 1.4e-30, -1.4e-30, 1.4e-30, -1.2e-30, 0, 1];
      const item = optimizerCase('', [faded.length]);
      const tensors = {
        ...item.tensors,
        'grad.0': new Float64Array(faded.length),
        'm.0': Float64Array.from(faded),
      };
      for (const where of places(device).filter(({ precision }) => precision !== 'fp64')) {
        const after = await run('adamw', where, tensors, item.sizes);
        const expected = faded.map((m) => (Math.abs(m) < 1.3e-30 ? 0 : m * 0.9));
        for (const [i, m] of after['m.0']!.entries()) {
          expect(Math.abs(m - expected[i]!), `m[${i}]`).to.be.at.most(1e-6 * Math.abs(expected[i]!));
        }
      }
    });

    it('keeps the compute copy of the weights up to date', async () => {
      const { tensors, sizes } = optimizerCase('', [100, 7]);
      tensors['weight.0'] = new Float64Array(100);
      tensors['weight.1'] = new Float64Array(7);
      for (const where of places(device)) {
        const after = await run('adamw', where, tensors, sizes);
        const round: Round = where.precision === 'bf16' ? rounding.bf16! : (x) => x;
        for (const i of [0, 1]) {
          expect(Array.from(after[`weight.${i}`]!)).to.deep.equal(Array.from(after[`master.${i}`]!, round));
        }
      }
    });
  });
}
