import { expect } from 'chai';
import { parseHTML } from 'linkedom';
import { BertuneError } from '../../lib/errors.js';
import { NOTEBOOK_REFERENCE } from '../../lib/experiments/presets.js';
import { LINE_HEIGHT, overlap, placeLabels, spread, textWidth } from '../../lib/report/html/charts/labels.js';
import { averaged, thinned } from '../../lib/report/html/charts/series.js';
import { renderReport } from '../../lib/report/html/page.js';
import { contrast, PAGE, runColors, SHADES, shade } from '../../lib/report/html/palette.js';
import { verdict } from '../../lib/report/html/verdict.js';
import { expectRefusal } from '../lib/files.js';
import { comparisonOf, HOSTILE, runOf } from './html-records.js';

interface Found {
  textContent: string;
  getAttribute(name: string): string | null;
  querySelectorAll(selector: string): Iterable<Found>;
}

const LABELS = [...HOSTILE, ...Array.from({ length: 22 }, (_, index) => `label ${index}`)];
const pageOf = (results: unknown) => {
  const html = renderReport(results);
  const { document } = parseHTML(html) as unknown as { document: Found };
  return { html, all: (selector: string) => [...document.querySelectorAll(selector)] };
};

describe('report.html', () => {
  it('shows every part of a comparison, by itself', () => {
    const { html, all } = pageOf(comparisonOf(LABELS, { reference: NOTEBOOK_REFERENCE }));
    const ids = all('section').map((section) => section.getAttribute('id'));
    expect(ids).to.deep.equal([
      'comparison',
      'reference',
      'curves',
      'size',
      'costs',
      'ranks',
      'runs',
      'settings',
      'data',
      'environment',
    ]);
    expect(all('#runs > details')).to.have.lengthOf(8);
    expect(all('#runs table.matrix')).to.have.lengthOf(7);
    expect(all('#reference tbody')).to.have.lengthOf(8);
    expect(all('svg').every((svg) => svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label'))).to.equal(
      true,
    );
    expect(all('figure').every((figure) => [...figure.querySelectorAll('figcaption')].length === 1)).to.equal(true);
    expect(all('html')[0]?.getAttribute('lang')).to.equal('en');
    expect(all('meta[http-equiv]')[0]?.getAttribute('content')).to.match(
      /^default-src 'none'; style-src 'unsafe-inline'; img-src data:/,
    );
    expect(html).to.not.match(/https?:\/\/(?!www\.w3\.org)/);
    expect(html.length).to.be.lessThan(2 ** 20);
    expect(all('th').every((th) => th.getAttribute('scope'))).to.equal(true);
  });

  it('shows texts of data and users, and obeys none', () => {
    const { html, all } = pageOf(comparisonOf(LABELS));
    expect(all('script, img, iframe, object')).to.have.lengthOf(0);
    expect(html).to.not.match(/<(img|script)/i);
    expect(html).to.contain('&lt;/script&gt;&lt;img src=x').and.to.not.contain('\u202e').and.to.not.contain('\u0000');
    expect(all('#runs tbody th').some(({ textContent }) => textContent === HOSTILE[0])).to.equal(true);
  });

  it('draws the ranks of LoRA without those of DoRA', () => {
    const method = { kind: 'lora', rank: 8, alpha: 32, dora: true } as const;
    const runs = [
      runOf('lora4', 'LoRA r=4', 'lora', LABELS),
      runOf('lora8', 'LoRA r=8', 'lora', LABELS),
      runOf('dora8', 'DoRA r=8', 'lora', LABELS, { method }),
    ];
    const { all } = pageOf(comparisonOf(LABELS, { runs }));
    const [chart] = all('#ranks svg');
    expect(chart?.getAttribute('aria-description')).to.match(/^rank 4: [^,]+, rank 8: [^,]+$/);
  });

  it('draws numbers only, whatever is missing', () => {
    for (const results of [
      comparisonOf(LABELS),
      comparisonOf(['a', 'b'], { runs: [] }),
      comparisonOf(['a', 'b'], { runs: [runOf('full', 'full', 'full', ['a', 'b'], { log_history: [] })] }),
      comparisonOf(['a', 'b'], { runs: [runOf('lora8', 'LoRA r=8', 'lora', [])] }),
      JSON.parse(JSON.stringify(comparisonOf(LABELS))),
      { method: { kind: 'full' } },
      {
        runs: [null, 3, { name: 5, test: { labels: {}, confusion: [[null]] }, log_history: [{ step: 'x', loss: {} }] }],
      },
      {
        ...comparisonOf(['a']),
        data: { summary: { splits: [{ name: '<b>', tokens: 3.25 }], deep: { er: { still: [1, 2] } } } },
      },
    ]) {
      const { all } = pageOf(results);
      for (const node of all('svg *')) {
        for (const name of ['d', 'transform', 'x', 'y', 'width', 'height']) {
          expect(node.getAttribute(name) ?? '').to.not.match(/NaN|undefined|Infinity/);
        }
      }
      expect(all('h1')).to.have.lengthOf(1);
    }
  });

  it('draws a run by itself from what train leaves, which is compared with nothing', () => {
    const { html, all } = pageOf({
      ...runOf('lora8', 'LoRA r=8', 'lora', ['a', 'b']),
      created: '',
      model: '/models/m',
      data: { source: '/data/d.csv', labels: ['a', 'b'], splits: { train: 5 } },
    });
    expect(all('h1')[0]?.textContent).to.equal('m on d.csv');
    expect(all('section').map((section) => section.getAttribute('id'))).to.deep.equal([
      ...['result', 'labels', 'curves', 'settings', 'data'],
    ]);
    expect(all('#result dt')[0]?.textContent).to.equal('accuracy');
    expect(html.toLowerCase()).to.not.contain('compar');
  });

  it('refuses what is no results.json', () => {
    for (const value of [null, 3, [], {}, { runs: 3 }]) {
      expect(() => renderReport(value))
        .to.throw(BertuneError)
        .with.property('code', 'INVALID_DATA');
    }
  });

  it('lets no label of a chart cover another', () => {
    const { all } = pageOf(comparisonOf(['a', 'b']));
    let labels = 0;
    for (const svg of all('#curves svg, #size svg, #costs svg, #ranks svg')) {
      const boxes = [...svg.querySelectorAll('text.label')].map((text) => {
        const [own = ''] = text.textContent.split('\n');
        const shown = own.includes('…') ? own.slice(0, own.indexOf('…') + 1) : own;
        const width = textWidth(shown);
        const [x, y] = [Number(text.getAttribute('x')), Number(text.getAttribute('y'))];
        const left = text.getAttribute('text-anchor') === 'end' ? x - width : x;
        return { left, right: left + width, top: y - LINE_HEIGHT / 2 + 0.2, bottom: y + LINE_HEIGHT / 2 - 0.2 };
      });
      labels += boxes.length;
      boxes.forEach((box, index) => {
        for (const other of boxes.slice(index + 1)) expect(overlap(box, other)).to.equal(false);
        expect(box.left >= 0 && box.right <= 442, JSON.stringify(box)).to.equal(true);
      });
    }
    expect(labels).to.be.greaterThan(30);
  });

  it('spreads and places labels', () => {
    expect(spread([10, 11, 200], 0, 300)).to.deep.equal([10, 10 + LINE_HEIGHT, 200]);
    expect(spread([299, 300], 0, 300)).to.deep.equal([300 - LINE_HEIGHT, 300]);
    expect(spread([1, 2, 3], 0, LINE_HEIGHT)).to.equal(null);
    const bounds = { left: 0, top: 0, right: 60, bottom: 12 };
    expect(placeLabels([{ x: 5, y: 6, text: 'a label that is too wide' }], bounds)).to.deep.equal([]);
  });

  it('draws curves of 30 to 50 points, however long their logs are', () => {
    for (const length of [51, 60, 1000, 500_000]) {
      const line = Array.from({ length }, (_, x) => ({ x, y: x % 2 }));
      expect(averaged(line)).to.have.length(40);
      expect(averaged(line).at(-1)!.x).to.equal(length - 1);
      expect(thinned(line)).to.have.length(40);
      expect([thinned(line)[0], thinned(line).at(-1)]).to.deep.equal([line[0], line.at(-1)]);
    }
    const long = Array.from({ length: 4000 }, (_, x) => ({ x, y: x }));
    expect(averaged(long)[1]!.x).to.equal(199);
    expect(averaged(long)[1]!.y).to.be.closeTo(149.5, 1e-9);
    expect(averaged(long.slice(0, 50))).to.deep.equal(long.slice(0, 50));
    const log_history = long.map(({ x }) => ({ step: x + 1, epoch: x, loss: 1 / (x + 1) }));
    const { all } = pageOf({ ...runOf('full', 'full', 'full', ['a', 'b'], { log_history }) });
    // Ticks of the axes are paths as well.
    const points = all('#curves svg path[d^=M]').map((path) => path.getAttribute('d')!.split(/[ML]/).length - 1);
    expect(Math.max(...points)).to.be.within(30, 50);
  });

  it('draws numbers that leave an axis no room', () => {
    for (const numbers of [
      [5e-324, 1e-323],
      [1, 1 + 2 ** -52],
      [1e308, -1.7e308],
      [5e-324, 1.7e308],
    ]) {
      const runs = numbers.map((value, index) =>
        runOf(`lora${index + 1}`, 'LoRA', 'lora', ['a'], {
          method: { kind: 'lora', rank: value },
          parameters: { trainable: value, total: value },
          log_history: numbers.map((loss) => ({ epoch: loss, step: loss, loss, eval_loss: loss, eval_accuracy: loss })),
        } as object),
      );
      expect(renderReport({ runs }), numbers.join()).to.include('</html>');
    }
  });

  it('is refused for more runs than a page holds', async () => {
    const run = { name: 'a', method: { kind: 'full' } };
    expect(renderReport({ runs: Array(100).fill(run) })).to.include('</html>');
    await expectRefusal(() => renderReport({ runs: Array(101).fill(run) }), 'INVALID_DATA', 'at most 100 runs');
  });

  it('lists the commonest confusions of many labels', () => {
    const labels = Array.from({ length: 70 }, (_, i) => ({ label: `l${i}` }));
    const confusion = labels.map((_, row) =>
      labels.map((_, column) => (row + 1 === column ? row + 1 : row === 69 ? 0.5 : 0)),
    );
    const page = renderReport({ method: { kind: 'full' }, test: { labels, confusion } });
    expect(page).to.include('The commonest of 138 kinds of confusion');
    const confusions = page.slice(page.indexOf('<h3>Commonest confusions'));
    expect([...confusions.matchAll(/>l(\d+)</g)].slice(0, 4).map(([, label]) => Number(label))).to.deep.equal([
      68, 69, 67, 68,
    ]);
  });

  it('fits a matrix of twenty labels to the page, and names its commonest confusions', () => {
    const labels = Array.from({ length: 20 }, (_, i) => `label ${i}`);
    const { all } = pageOf(runOf('full', 'full', 'full', labels));
    const [matrix] = all('table.matrix');
    expect(matrix!.getAttribute('class')).to.equal('matrix large upright');
    expect([...matrix!.querySelectorAll('tbody td')]).to.have.lengthOf(400);
    expect([...matrix!.querySelectorAll('th[scope=row]')].map(({ textContent }) => textContent)).to.deep.equal(labels);
    expect(all('#labels tbody td:first-of-type').some(({ textContent }) => textContent === 'label 1')).to.equal(true);
  });

  it('marks the best of each metric', () => {
    const { all } = pageOf(comparisonOf(['a', 'b']));
    expect(all('#comparison td.best').map(({ textContent }) => textContent)).to.deep.equal([
      ...['0.9000', '0.8900', '0.9000', '0.9000'],
    ]);
  });

  it('shows what is in the data, and no dump of it', () => {
    const label = (count: number) => ({ label: HOSTILE[0], count, share: count / 10 });
    const split = (rows: number) => ({
      ...{ rows, pairs: false, labels: [label(3)] },
      tokens: { min: 1, median: 5, p95: 9, max: 65, cut: 0.25, maxLength: 64, sample: 4 },
    });
    const finding = {
      ...{ kind: 'repeated-texts', splits: [], count: 1, total: 2, examples: ['"a secret"'] },
      text: 'one repeats, e.g. "a secret" 3 times: remove it',
    };
    const summary = {
      task: 'single-label',
      splits: { train: split(10), test: split(4) },
      findings: [finding],
      notes: [],
    };
    const results = {
      ...runOf('full', 'full', 'full', []),
      data: { source: 'd', labels: [HOSTILE[0]], splits: {}, summary },
    };
    const cells = (page: string) =>
      [...(parseHTML(page) as unknown as { document: Found }).document.querySelectorAll('#data tbody tr')].map((row) =>
        [...row.querySelectorAll('th, td')].map(({ textContent }) => textContent),
      );
    const page = renderReport(results);
    expect(cells(page)[0]).to.deep.equal(
      ['train', '10', '5', '9', '&gt; 64', '25.00 %'].map((cell) => cell.replace('&gt;', '>')),
    );
    // What becomes of them depends on the run.
    expect(page).to.contain('longer</th>').and.to.contain('longer than 64, texts are cut or read in windows');
    expect(cells(page)[2]).to.deep.equal([HOSTILE[0], '3', '30.0 %', '3']);
    expect(page)
      .to.contain('a secret')
      .and.to.not.match(/stratified|maxLength|kind/);
    expect(renderReport(results, { texts: false }))
      .to.contain('e.g. a text 3 times')
      .and.to.not.contain('a secret');
  });

  it('has colours that can be seen on both pages', () => {
    for (const { light, dark } of runColors(comparisonOf([]).runs)) {
      expect(contrast(light, PAGE.light)).to.be.at.least(3);
      expect(contrast(dark, PAGE.dark)).to.be.at.least(3);
    }
    for (const mode of ['light', 'dark'] as const) {
      for (let step = 0; step < SHADES; step++) {
        const { background, text } = shade(step, mode);
        expect(contrast(background, text), `${mode} ${step}`).to.be.at.least(4.5);
      }
    }
  });

  it('names the best, the smallest near it and the fastest', () => {
    const run = (name: string, accuracy: number, trainable: number, seconds: number) => {
      const made = runOf(name, name, 'full', ['a']);
      return {
        ...made,
        train_runtime: seconds,
        parameters: { trainable, total: 1e6 },
        test: { ...made.test!, accuracy },
      };
    };
    expect(verdict([run('big', 0.93, 1e6, 30), run('near', 0.915, 1e3, 20), run('quick', 0.5, 10, 5)])).to.equal(
      'big is the most accurate (0.9300); near is the smallest within 0.02 of it (0.9150 with 1,000 trainable parameters); ' +
        'quick is the fastest to train (5.00 s, 0.5000).',
    );
    const together = (name: string, seconds: number) => ({ ...run(name, 0.9, 1e3, seconds), together: 2 });
    expect(verdict([run('alone', 0.93, 1e6, 5), together('a', 12), together('b', 12)])).to.contain(
      'alone is the fastest',
    );
    // Two in 6 s: each took less than 5.
    expect(verdict([run('alone', 0.93, 1e6, 5), together('a', 6), together('b', 6)])).to.not.contain('fastest');
    expect(verdict([])).to.equal('No run came to a result on the test split.');
  });
});
