import { expect } from 'chai';
import {
  expectAbortSignal,
  expectBoolean,
  expectFunction,
  expectNames,
  expectNonNegativeInteger,
  expectNumberInRange,
  expectObject,
  expectOneOf,
  expectPositiveInteger,
  expectSeed,
  expectString,
  nearest,
} from '../../lib/options/validation.js';
import { expectRefusal } from './files.js';

async function refusal(work: () => unknown): Promise<string> {
  return (await expectRefusal(work, 'INVALID_OPTION')).message;
}

describe('options', () => {
  it('returns what it accepts', () => {
    const signal = new AbortController().signal;
    expect(expectPositiveInteger('n', 1)).to.equal(1);
    expect(expectPositiveInteger('n', Number.MAX_SAFE_INTEGER)).to.equal(Number.MAX_SAFE_INTEGER);
    expect(expectPositiveInteger('n', 7, 7)).to.equal(7);
    expect(expectNonNegativeInteger('n', 0)).to.equal(0);
    expect([expectSeed('n', 0), expectSeed('n', 2 ** 32 - 1)]).to.deep.equal([0, 2 ** 32 - 1]);
    expect(expectNumberInRange('x', 0.5, { min: 0, max: 1 })).to.equal(0.5);
    expect(expectBoolean('b', false)).to.equal(false);
    expect(expectString('s', 'a')).to.equal('a');
    expect(expectOneOf('o', 'cpu', ['auto', 'cpu'])).to.equal('cpu');
    expect(expectFunction('f', Math.abs)).to.equal(Math.abs);
    expect(expectAbortSignal('signal', signal)).to.equal(signal);
    expect(expectNames('labels', ['no', 'yes'])).to.deep.equal(['no', 'yes']);
    const options = { rank: 8 };
    expect(expectObject('options', options, ['rank', 'alpha'])).to.deep.equal(options);
  });

  it('says what was expected, for what, and what was received', async () => {
    expect(await refusal(() => expectPositiveInteger('batchSize', -1))).to.equal(
      'Expected a positive integer for batchSize but received -1',
    );
    expect(await refusal(() => expectNonNegativeInteger('seed', '4'))).to.equal(
      'Expected a non-negative integer for seed but received "4"',
    );
    expect(await refusal(() => expectPositiveInteger('threads', 8, 7))).to.equal(
      'Expected an integer of at most 7 for threads but received 8',
    );
    expect(await refusal(() => expectSeed('seed', 2 ** 32))).to.equal(
      'Expected an integer of at most 4294967295 for seed but received 4294967296',
    );
    expect(await refusal(() => expectBoolean('overwrite', undefined))).to.equal(
      'Expected a boolean for overwrite but received undefined',
    );
    expect(await refusal(() => expectString('model', null))).to.equal(
      'Expected a non-empty string for model but received null',
    );
    expect(await refusal(() => expectOneOf('device', 'gpu', ['auto', 'cpu', 'cuda']))).to.equal(
      'Expected one of auto, cpu, cuda for device but received "gpu"',
    );
    expect(await refusal(() => expectFunction('listener', [1]))).to.equal(
      'Expected a function for listener but received [1]',
    );
    expect(await refusal(() => expectAbortSignal('signal', {}))).to.equal(
      'Expected an AbortSignal for signal but received {}',
    );
  });

  it('refuses what is not a positive or non-negative integer', async () => {
    for (const value of [0, 1.5, Number.NaN, Infinity, 2 ** 53, '1', 1n, null, [1]]) {
      await refusal(() => expectPositiveInteger('n', value));
    }
    for (const value of [-1, 0.5, Number.NaN, -Infinity, 2 ** 53, '', true]) {
      await refusal(() => expectNonNegativeInteger('n', value));
    }
  });

  it('keeps to the bounds of a range, exclusive ones as well', async () => {
    const half = { min: 0, max: 1, maxExclusive: true };
    const open = { min: 0, minExclusive: true };
    expect(expectNumberInRange('dropout', 0, half)).to.equal(0);
    expect(expectNumberInRange('learningRate', Number.MIN_VALUE, open)).to.equal(Number.MIN_VALUE);
    expect(await refusal(() => expectNumberInRange('dropout', 1, half))).to.include(
      'a number of at least 0 and less than 1 for dropout',
    );
    expect(await refusal(() => expectNumberInRange('learningRate', 0, open))).to.include('a number greater than 0');
    expect(await refusal(() => expectNumberInRange('x', 2, { max: 1 }))).to.include('a number of at most 1');
    for (const value of [Number.NaN, Infinity, -Infinity, '1', null]) {
      expect(await refusal(() => expectNumberInRange('x', value, {}))).to.include('a finite number');
    }
  });

  it('names the option that a misspelt one is nearest to', async () => {
    const keys = ['batchSize', 'learningRate', 'epochs'];
    expect(await refusal(() => expectObject('TrainerOptions', { batchsize: 1 }, keys))).to.equal(
      'Unknown option batchsize in TrainerOptions: did you mean batchSize?',
    );
    expect(await refusal(() => expectObject('TrainerOptions', { colour: 1 }, keys))).to.equal(
      'Unknown option colour in TrainerOptions: expected one of batchSize, learningRate, epochs',
    );
    for (const value of [null, undefined, [], 'x', 1]) await refusal(() => expectObject('options', value, keys));
  });

  it('refuses names that are empty, repeated or no strings', async () => {
    for (const value of [[], [''], ['a', 'a'], [1], 'a', undefined]) await refusal(() => expectNames('labels', value));
  });

  it('shows a value in short, whatever it is', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(await refusal(() => expectString('s', circular))).to.include('[object Object]');
    expect(await refusal(() => expectBoolean('b', 'x'.repeat(10_000)))).to.have.length.below(200);
  });

  it('finds the nearest of several words, or none', () => {
    expect(nearest('jyo', ['joy', 'anger'])).to.equal('joy');
    expect(nearest('ANGER', ['joy', 'anger'])).to.equal('anger');
    expect(nearest('completely different', ['joy', 'anger'])).to.equal(undefined);
    expect(nearest('x', [])).to.equal(undefined);
  });
});
