import { expect } from 'chai';
import fc from 'fast-check';
import { longestFirst, mostTokens, packBatches } from '../../lib/model/batches.js';

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 });

function offsetsOf(sizes: readonly number[]): Int32Array {
  const offsets = new Int32Array(sizes.length + 1);
  sizes.forEach((size, i) => {
    offsets[i + 1] = offsets[i]! + size;
  });
  return offsets;
}

describe('batches', () => {
  it('order texts from long to short, equal ones as they come', () => {
    expect([...longestFirst(offsetsOf([3, 5, 1, 5, 3]))]).to.deep.equal([1, 3, 0, 4, 2]);
  });

  it('order any lengths as a stable sort does', () => {
    fc.assert(
      fc.property(lengths, (sizes) => {
        const sorted = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]!);
        expect([...longestFirst(offsetsOf(sizes))]).to.deep.equal(sorted);
      }),
    );
  });

  it('fill each batch as far as it goes and leave nothing out', () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 100 }), (sizes, limit) => {
        const order = longestFirst(offsetsOf(sizes));
        const { starts, tokens, sequences } = packBatches(offsetsOf(sizes), order, limit);
        const sums: number[] = [];
        for (let b = 0; b + 1 < starts.length; b++) {
          const batch = [...order.subarray(starts[b]!, starts[b + 1]!)].map((i) => sizes[i]!);
          expect(batch).to.have.length.greaterThan(0);
          const sum = batch.reduce((x, y) => x + y, 0);
          if (batch.length > 1) expect(sum).to.be.at.most(limit);
          const next = starts[b + 1]! < order.length ? sizes[order[starts[b + 1]!]!]! : Infinity;
          expect(sum + next).to.be.greaterThan(limit);
          sums.push(sum);
        }
        expect(starts.at(-1)).to.equal(sizes.length);
        expect(tokens).to.equal(Math.max(...sums));
        expect(sequences).to.equal(Math.max(...sums.map((_, b) => starts[b + 1]! - starts[b]!)));
      }),
    );
  });

  it('hold at most 512 sequences', () => {
    const { starts } = packBatches(
      offsetsOf(new Array(1200).fill(1)),
      Int32Array.from({ length: 1200 }, (_, i) => i),
      4096,
    );
    expect([...starts]).to.deep.equal([0, 512, 1024, 1200]);
  });

  it('pack nothing into no batch', () => {
    const plan = packBatches(new Int32Array(1), new Int32Array(0), 10);
    expect(plan.starts.length).to.equal(1);
    expect(plan.tokens).to.equal(0);
  });

  it('tell the most tokens of any run of examples', () => {
    expect(mostTokens(offsetsOf([3, 5, 1, 5, 3]), Int32Array.of(0, 2, 1, 3, 4), 2)).to.equal(10);
    expect(mostTokens(offsetsOf([3, 5, 1, 5, 3]), Int32Array.of(4), 2)).to.equal(3);
    expect(mostTokens(offsetsOf([3, 5, 1, 5, 3]), Int32Array.of(0, 1, 3, 4, 2), 2, 2)).to.equal(16);
    expect(mostTokens(offsetsOf([3, 5, 1, 5, 3]), Int32Array.of(2, 0, 1, 3, 4), 2, 2)).to.equal(14);
  });
});
