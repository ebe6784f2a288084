import { expect } from 'chai';
import {
  formatClock,
  formatCount,
  formatFixed,
  formatMebibytes,
  formatMetric,
  formatSeconds,
  formatSetting,
  formatShare,
} from '../../lib/format.js';

describe('formats of reports', () => {
  it('groups counts by thousands', () => {
    expect([0, 999, 1000, 109486854].map(formatCount)).to.deep.equal(['0', '999', '1,000', '109,486,854']);
  });

  it('says what is not a number, and shows nothing for nothing', () => {
    expect(formatFixed(undefined, 2)).to.equal('-');
    expect(formatFixed(null, 2)).to.equal('-');
    expect([Number.NaN, Infinity, -Infinity].map((value) => formatFixed(value, 2))).to.deep.equal([
      'nan',
      'inf',
      '-inf',
    ]);
  });

  it('gives metrics four decimals and times two', () => {
    expect(formatMetric(0.88584)).to.equal('0.8858');
    expect(formatSeconds(1453.838)).to.equal('1453.84');
  });

  it('counts mebibytes in 2^20 bytes', () => {
    expect(formatMebibytes(1024 * 1024 * 427)).to.equal('427.00');
    expect(formatMebibytes(undefined)).to.equal('-');
  });

  it('shows shares with the digits that matter', () => {
    expect(formatShare(109486854, 109486854)).to.equal('100 %');
    expect(formatShare(299526, 109781766)).to.equal('0.27 %');
    expect(formatShare(4614, 109486854)).to.equal('0.0042 %');
    expect(formatShare(0, 10)).to.equal('0.00 %');
    expect(formatShare(1, 0)).to.equal('-');
  });

  it('writes settings as people do', () => {
    expect([2e-5, 3e-4, 0.01, 1, 0, 16, 0.1].map(formatSetting)).to.deep.equal([
      '2e-5',
      '3e-4',
      '0.01',
      '1',
      '0',
      '16',
      '0.1',
    ]);
  });

  it('shows spans of time as a clock', () => {
    expect([0, 6.6, 725, 3723].map(formatClock)).to.deep.equal(['0:00', '0:07', '12:05', '1:02:03']);
    expect([undefined, Number.NaN, Infinity, -1].map(formatClock)).to.deep.equal(['-:--', '-:--', '-:--', '-:--']);
  });
});
