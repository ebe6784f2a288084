import { expect } from 'chai';
import { expectSplit } from '../../lib/data/split.js';
import { BertuneError, datasetFromRows, type Split } from '../../lib/index.js';

const rows = [
  { text: 'x', label: 'a' },
  { text: 'y', label: 'b' },
];
const data = datasetFromRows({ train: rows, test: rows });

function refusal(name: string, value: unknown): string {
  try {
    expectSplit(name, value);
  } catch (error) {
    expect(error).to.be.instanceOf(BertuneError);
    return (error as BertuneError).message;
  }
  return expect.fail('accepted');
}

describe('a split that a caller passes', () => {
  it('is not a whole data set', () => {
    expect(refusal('train', data)).to.equal(
      'Expected a split, e.g. data.train, but received a data set with train and test',
    );
  });

  it('is there', () => {
    const { validation } = data as { validation?: Split };
    expect(refusal('split', validation)).to.match(
      /^split is undefined: the data set has no such split.*{ split: { test: 0.1 } }/,
    );
  });

  it('has its labels as native code takes them', () => {
    expect(refusal('train', { ...data.train, labels: [0, 1] })).to.match(
      /an Int32Array \(datasetFromRows makes one .*\[0,1\]/,
    );
    expect(expectSplit('train', data.train).labels).to.deep.equal(Int32Array.of(0, 1));
  });
});
