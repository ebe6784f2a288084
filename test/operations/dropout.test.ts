import { expect } from 'chai';
import {
  type Case,
  devices,
  garbage,
  type Operation,
  places,
  proveGradients,
  proveValues,
  Random,
  run,
  unalignedCases,
} from './harness.js';
import { dropoutFactor, philox } from './reference.js';

const dropoutApply: Operation = {
  name: 'dropout_apply',
  formula(args, round) {
    const inp = args.floats('inp');
    const n = args.size('n');
    const factor = dropoutFactor(args.dropout, round);
    const before = args.size('add_to_out', 0) === 1 ? args.floats('out') : null;
    const dropped = inp.map((value, i) => round(value * factor(Math.floor(i / n), i % n)));
    return { out: before ? dropped.map((value, i) => round(before[i]! + value)) : dropped };
  },
};

function dropoutCase(title: string, rows: number, n: number, sizes: Record<string, number>): Case {
  const inp = new Random(rows * 1000 + n).normal(rows * n);
  return {
    title,
    tensors: { inp, out: garbage(rows * n) },
    sizes: { rows, n, seed: 2 ** 40 + 42, dropout_step: 7, dropout_site: 3, ...sizes },
  };
}

const plain = [
  dropoutCase('one element', 1, 1, { dropout_p: 0.5 }),
  dropoutCase('fewer columns than a group of four', 5, 3, { dropout_p: 0.1 }),
  dropoutCase('a column less than a block', 17, 63, { dropout_p: 0.1 }),
  dropoutCase('a whole block', 16, 64, { dropout_p: 0.9 }),
  dropoutCase('a column more than a block', 15, 65, { dropout_p: 0.3 }),
  dropoutCase('many blocks', 33, 258, { dropout_p: 0.1, row_kind: 1 }),
  dropoutCase('prefix rows', 20, 40, { dropout_p: 0.1, row_kind: 2 }),
  dropoutCase('whole vectors in two blocks', 11, 264, { dropout_p: 0.1 }),
  ...unalignedCases(dropoutCase('(9, 16)', 9, 16, { dropout_p: 0.1 }), ['inp', 'out']),
  dropoutCase('p of 0 copies', 9, 70, { dropout_p: 0 }),
];
const added = plain.map((item) => ({
  ...item,
  title: `${item.title}, added`,
  tensors: { ...item.tensors, out: new Random(3).normal(item.tensors.out!.length) },
  sizes: { ...item.sizes, add_to_out: 1 },
}));
const inPlace = dropoutCase('in place', 31, 100, { dropout_p: 0.2 });
inPlace.tensors.out = inPlace.tensors.inp!;

describe('Philox4x32-10', () => {
  // The known answers that come with Random123.
  const answers: [string, number[], number[], number[]][] = [
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [
      'ones',
      new Array(4).fill(0xffffffff),
      new Array(2).fill(0xffffffff),
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      'digits of pi',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [title, counter, key, words] of answers) {
    it(`gives the known words of ${title}`, () => expect(philox(counter, key)).to.deep.equal(words));
  }
});

proveValues(dropoutApply, [...plain, ...added, inPlace]);
proveGradients(
  {
    forward: 'dropout_apply',
    backward: 'dropout_apply',
    outputs: { out: 'inp' },
    inputs: { out: 'inp' },
    backwardCase: (after) => ({ tensors: { out: garbage(after.floats('inp').length) }, sizes: after.sizes }),
  },
  plain.slice(1, 5),
);

for (const device of devices()) {
  describe(`dropout masks on ${device.device}`, () => {
    const rows = 100;
    const n = 1000;
    const mask = async (sizes: Record<string, number>, count = rows): Promise<boolean[]> => {
      const where = places(device)[0]!;
      const { tensors, sizes: own } = dropoutCase('', count, n, { dropout_p: 0.25, ...sizes });
      const { out } = await run('dropout_apply', where, tensors, own);
      return Array.from(out!, (value) => value !== 0);
    };

    it('keep a share of 1 − p', async () => {
      const kept = (await mask({})).filter(Boolean).length / (rows * n);
      // Five standard deviations of 100,000 draws.
      expect(kept).to.be.closeTo(0.75, 5 * Math.sqrt((0.25 * 0.75) / (rows * n)));
    });

    it('go by the place of a row in a micro-batch that processes share', async () => {
      const whole = await mask({});
      expect(await mask({ tokens_before: 64, sequences_before: 7 }, 30)).to.deep.equal(whole.slice(64 * n, 94 * n));
      const ofSequences = { row_kind: 1, tokens_before: 7, sequences_before: 64 };
      expect(await mask(ofSequences, 30)).to.deep.equal(whole.slice(64 * n, 94 * n));
      // The rows of a prefix are those of all processes.
      expect(await mask({ ...ofSequences, row_kind: 2 }, 30)).to.deep.equal(whole.slice(0, 30 * n));
    });

    it('of another seed, step or site are independent', async () => {
      const first = await mask({});
      for (const other of [{ seed: 43 }, { seed: 42 }, { dropout_step: 8 }, { dropout_site: 4 }]) {
        const second = await mask(other);
        const both = first.filter((kept, i) => kept && second[i]).length / (rows * n);
        const share = 0.75 * 0.75;
        expect(both, JSON.stringify(other)).to.be.closeTo(share, 5 * Math.sqrt((share * (1 - share)) / (rows * n)));
      }
    });
  });
}
