import { expect } from 'chai';
import { classificationMetrics } from '../../lib/index.js';
import type { MetricsRecord } from '../../lib/report/records.js';
import { confusionSections, sectionText } from '../../lib/report/sections.js';

/** Texts of twelve classes, of which each is taken for the next so many times. */
function record(confused: (label: number) => number): MetricsRecord {
  const names = Array.from({ length: 12 }, (_, i) => `a request of kind ${i}`);
  const labels = names.flatMap((_, label) => new Array<number>(40).fill(label));
  const predictions = labels.map((label, i) => (i % 40 < confused(label) ? (label + 1) % 12 : label));
  const metrics = classificationMetrics(labels, predictions, names);
  return { labels: metrics.perClass, confusion: metrics.confusion } as unknown as MetricsRecord;
}

const linesOf = (metrics: MetricsRecord, width: number) =>
  sectionText(confusionSections(metrics, width)[0]!, undefined, width).trimEnd().split('\n');

describe('confusions', () => {
  it('are a matrix where it fits', () => {
    const lines = linesOf(
      record(() => 0),
      400,
    );
    expect(lines[0]).to.equal('Confusion');
    expect(lines).to.have.lengthOf(2 + 2 + 12);
  });

  it('are the most frequent pairs where it does not', () => {
    const lines = linesOf(
      record((label) => label),
      100,
    );
    expect(lines[0]).to.equal('Largest confusions');
    expect(Math.max(...lines.map(({ length }) => length))).to.be.at.most(100);
    expect(lines[4]).to.match(/^a request of kind 11 → a request of kind 0 +11 +40$/);
    expect(lines[5]).to.match(/^a request of kind 10 → a request of kind 11 +10 +40$/);
    expect(lines.at(-1)).to.contain('--json');
  });

  it('may be none', () => {
    expect(
      linesOf(
        record(() => 0),
        100,
      ).join(),
    ).to.contain('No text was taken for another label');
  });
});
