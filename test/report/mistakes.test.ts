import { expect } from 'chai';
import { parseHTML } from 'linkedom';
import { renderReport } from '../../lib/report/html/page.js';
import type { MistakeRecord, RunRecord } from '../../lib/report/records.js';
import type { TaskKind } from '../../lib/tasks/index.js';
import { mostMistaken } from '../../lib/tasks/mistakes.js';
import { HOSTILE, runOf } from './html-records.js';

describe('the most wrong texts', () => {
  it('are those whose scores are furthest off, the worst first and no more than asked for', () => {
    const labels = Int32Array.of(0, 1, 1, 0);
    const scores = Float64Array.of(0.9, 0.1, 0.8, 0.2, 0.6, 0.4, 0.3, 0.7);
    const outcome = { labels, predictions: Int32Array.of(0, 0, 0, 1), scores, labelNames: ['no', 'yes'] };
    const found = mostMistaken(outcome, 'class', 2);
    expect(found.map(({ row }) => row)).to.deep.equal([1, 3]);
    expect(found[0]).to.deep.include({ error: 1.6 });
    expect(found[0]!.labels).to.deep.equal([
      { label: 'no', target: 0, predicted: 0.8 },
      { label: 'yes', target: 1, predicted: 0.2 },
    ]);
    expect(mostMistaken(outcome, 'class', 9).map(({ row }) => row)).to.deep.equal([1, 3, 2]);
  });

  it('are told by the labels that are wrong, or by how far values are off', () => {
    const labels = Float32Array.of(1, 0, 0, 1);
    const several = {
      ...{ labels, predictions: Int32Array.of(1, 0, 1, 0), labelNames: ['a', 'b'] },
      scores: Float64Array.of(0.9, 0.1, 0.75, 0.5),
    };
    expect(mostMistaken(several, 'classes', 5)).to.deep.equal([
      {
        row: 1,
        error: 1.25,
        labels: [
          { label: 'a', target: 0, predicted: 0.75 },
          { label: 'b', target: 1, predicted: 0.5 },
        ],
      },
    ]);
    const values = Float64Array.of(1, 2.5, 7);
    const numbers = { labels: Float32Array.of(1, 2, 3), predictions: values, scores: values, labelNames: ['x'] };
    expect(mostMistaken(numbers, 'values', 5).map(({ row, error }) => [row, error])).to.deep.equal([
      [2, 4],
      [1, 0.5],
    ]);
  });

  const pageOf = (task: TaskKind, mistakes: readonly MistakeRecord[], texts = true) => {
    const run = runOf('full', 'full', 'full', ['a', 'b']);
    const html = renderReport({ ...run, task, test: { ...run.test!, task, mistakes } } as RunRecord, { texts });
    const { document } = parseHTML(html) as unknown as {
      document: { querySelectorAll(selector: string): Iterable<{ textContent: string }> };
    };
    const all = (selector: string) => [...document.querySelectorAll(selector)].map(({ textContent }) => textContent);
    return { html, all };
  };
  const two = (target: number) => [
    { label: 'a', target, predicted: 0.9123 },
    { label: HOSTILE[0]!, target: 1 - target, predicted: 0.05 },
  ];

  it('stand in the report with what they are and what was predicted, and obey nothing', () => {
    const mistakes = HOSTILE.map((text) => ({ text, pair: '<b>second</b>', error: 1, labels: two(0) }));
    const { html, all } = pageOf('single-label', [...mistakes, ...mistakes]);
    expect(all('#mistakes h2')).to.deep.equal(['Most wrong texts']);
    expect(all('#mistakes > ol > li')).to.have.lengthOf(8);
    expect(all('#mistakes details li')).to.have.lengthOf(4);
    expect(all('#mistakes blockquote').slice(0, 2)).to.deep.equal([HOSTILE[0], '<b>second</b>']);
    expect(all('#mistakes .true')[0]).to.equal(`is ${HOSTILE[0]} 0.05`);
    expect(all('#mistakes .false')[0]).to.equal('predicted a 0.912');
    expect(html).to.not.match(/<(img|script|b>second)/i);
  });

  it('of several labels say what was missed and what was wrongly predicted', () => {
    const { all } = pageOf('multi-label', [{ text: 't', error: 1, labels: two(1) }]);
    expect(all('#mistakes .tags span')).to.deep.equal(['missed a 0.912', `wrongly predicted ${HOSTILE[0]} 0.05`]);
  });

  it('of a regression are those furthest off', () => {
    const { all } = pageOf('regression', [
      { text: 't', error: 3, labels: [{ label: 'x', target: 4, predicted: 1.00004 }] },
    ]);
    expect(all('#mistakes h2')).to.deep.equal(['Texts furthest off']);
    expect(all('#mistakes .tags span')).to.deep.equal(['is 4', 'predicted 1.0000']);
  });

  it('are left out where they are not wanted', () => {
    const { html, all } = pageOf('single-label', [{ text: 'a secret', error: 1, labels: two(1) }], false);
    expect(all('#mistakes')).to.deep.equal([]);
    expect(html).to.not.contain('a secret');
  });
});
