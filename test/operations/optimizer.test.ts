import { expect } from 'chai';
import {
  type Arguments,
  type Case,
  copyTensors,
  devices,
  type Operation,
  places,
  proveValues,
  Random,
  run,
  type Sizes,
  type Tensors,
} from './harness.js';
import type { Round } from './reference.js';

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
    const stepSize = round(lr / (1 - beta1 ** step));
    const rootCorrection = round(Math.sqrt(1 - beta2 ** step));
    for (const i of segments(args)) {
      const p = args.output(`master.${i}`, 0);
      const m = args.output(`m.${i}`, 0);
      const v = args.output(`v.${i}`, 0);
      const decay = args.size(`decay.${i}`, 0) === 1 ? round(1 - lr * args.size('weight_decay')) : 1;
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

const counts = [1, 5, 4095, 4096, 4097, 64, 9000];
const adamwCases = [
  optimizerCase('one element', [1]),
  optimizerCase('segments around a block', counts),
  optimizerCase('without clipping', counts, { max_grad_norm: 0 }),
  optimizerCase('a norm below the bound', counts, { max_grad_norm: 1e6 }),
  optimizerCase('a later step', counts, { step: 1234 }),
  optimizerCase('a learning rate of 0', counts, { learning_rate: 0 }),
  optimizerCase('without decay', counts, { weight_decay: 0 }),
];

const normCases = adamwCases.slice(0, 2).map(({ title, tensors }): Case => {
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

    it('keeps the compute copy of the weights up to date', async () => {
      const { tensors, sizes } = optimizerCase('', [100]);
      tensors['weight.0'] = new Float64Array(100);
      for (const where of places(device)) {
        const after = await run('adamw', where, tensors, sizes);
        const tolerance = where.precision === 'bf16' ? 2 ** -8 : 0;
        for (const [i, weight] of after['weight.0']!.entries()) {
          const master = after['master.0']![i]!;
          expect(Math.abs(weight - master)).to.be.at.most(tolerance * Math.abs(master));
        }
      }
    });
  });
}
