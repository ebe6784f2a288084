import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadDataset } from '../../../lib/data/dataset.js';
import { TextClassifier } from '../../../lib/model/classifier.js';
import { useTemporaryDirectory } from '../../lib/files.js';
import { ASSETS } from '../../lib/tiny-model.js';
import { LONG, note, scaled } from '../scale.js';
import { Example } from './example.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const MODEL = join(ASSETS, 'models/bert-mini');

/** Texts that wait at most. */
const MAX_QUEUED = 200;

interface Times {
  count: number;
  p99: number;
}

/** What bench/service/open-loop.js prints. */
interface Load {
  offered: number;
  throughput: number;
  sent: number;
  answered_once: number;
  statuses: Record<string, number>;
  wrong: number;
  without_retry_after: number;
  failed: number;
  failures: string[];
  surplus: number;
  accepted: Times;
  refused: Times;
}

describe('faults: examples/service under more load than it can serve', function () {
  this.timeout(LONG ? 1_200_000 : 60_000);
  const directory = useTemporaryDirectory();
  let example: Example;
  let predictions: string;

  beforeEach(async () => {
    await using classifier = await TextClassifier.load(MODEL, { device: 'cpu' });
    const { test } = await loadDataset(join(ASSETS, 'data/goemotions6'));
    const answers = await classifier.predict(test!.texts);
    predictions = directory.path('predictions.json');
    const rows = test!.texts.map((text, i) => ({ text, label: answers[i]!.label, score: answers[i]!.score }));
    await writeFile(predictions, JSON.stringify(rows));
  });
  afterEach(() => example.kill());

  /** Requests at a fixed rate, from a process of its own; every answer is held against a direct prediction. */
  async function load(rate: number, count: number, connections = 512): Promise<Load> {
    const options = { url: `${example.address}/predict`, predictions, rate, count, connections };
    const program = join(ROOT, 'bench/service/open-loop.js');
    const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await once(child, 'close');
    const result = JSON.parse(output) as Load;
    expect(result.failures).to.deep.equal([]);
    expect(result).to.deep.include({ sent: count, answered_once: count, wrong: 0, failed: 0, surplus: 0 });
    expect(result.without_retry_after).to.equal(0);
    expect(Object.keys(result.statuses).filter((status) => status !== '200' && status !== '503')).to.deep.equal([]);
    return result;
  }

  /** Requests a second that are answered, of clients that wait for their answers: the most of a few numbers of them. */
  async function measureCapacity(seconds: number): Promise<number> {
    let most = 0;
    for (const clients of [4, 8, 16]) {
      const texts = directory.path('texts.json');
      await writeFile(texts, JSON.stringify((await loadDataset(join(ASSETS, 'data/goemotions6'))).test!.texts));
      const args = [join(ROOT, 'bench/service/load.js'), `${example.address}/predict`, texts, clients, seconds];
      const child = spawn(process.execPath, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await once(child, 'close');
      const { rate, requests, errors } = JSON.parse(output);
      most = Math.max(most, (rate * (requests - errors)) / requests);
    }
    return most;
  }

  it('answers each request once and rightly or refuses it, with bounded queue and memory', async () => {
    example = await Example.start(
      directory.path('service'),
      MODEL,
      // The clients take the other processor.
      ...['--threads', '1', '--max-batch-tokens', '128', '--max-queue-time', '0'],
      ...['--max-queued-texts', String(MAX_QUEUED)],
    );
    const [rounds, requests] = [scaled(1, 8), scaled(1500, 12_500)];
    await load(300, scaled(100, 5000));
    const ratios: number[] = [];
    const sums = { twice: 0, all: 0, accepted: 0, mostQueued: 0 };
    const samples: { requests: number; heap: number; rss: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const capacity = await measureCapacity(scaled(0.5, 4));
      const one = LONG ? await load(5, 100, 1) : undefined;
      const half = await load(capacity / 2, Math.ceil(requests / 10));
      let watching = true;
      const watch = (async () => {
        while (watching) {
          sums.mostQueued = Math.max(sums.mostQueued, await example.metric('bertune_queued_texts'));
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      })();
      const twice = await load(2 * capacity, requests);
      watching = false;
      await watch;
      sums.twice += requests;
      sums.all += half.sent + twice.sent;
      sums.accepted += twice.accepted.count;
      ratios.push(twice.accepted.p99 / half.accepted.p99);
      note(
        `service, HTTP: round ${round + 1}, load of the machine ${os.loadavg()[0]!.toFixed(1)}`,
        `capacity ${capacity.toFixed(0)}/s, offered ${twice.offered.toFixed(0)}/s, answered ${twice.throughput.toFixed(0)}/s; p99 ` +
          `${one?.accepted.p99.toFixed(1)} ms at 5/s, ${half.accepted.p99.toFixed(1)} ms at half, ` +
          `${twice.accepted.p99.toFixed(1)} ms at twice, refused in ${twice.refused.p99?.toFixed(1)} ms`,
      );
      const { heapUsed, rss } = await example.memory();
      samples.push({ requests: sums.all, heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20 });
    }
    expect(sums.mostQueued).to.be.at.most(MAX_QUEUED);
    expect(sums.accepted).to.be.greaterThan(0);
    note('service, HTTP: requests at twice the capacity, each answered once and rightly', sums.twice);
    note('service, HTTP: of them accepted', sums.accepted);
    note(`service, HTTP: most texts that waited, of ${MAX_QUEUED}`, sums.mostQueued);
    const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)]!;
    note('service, HTTP: p99 at twice the capacity, of that at half; the median', median.toFixed(2));
    if (LONG) {
      expect(median).to.be.at.most(2);
      expectFlat('overload', samples);
    }
    expect(await example.stop()).to.equal(0);
  });

  it('holds no more memory after many requests than after a few', async () => {
    example = await Example.start(
      directory.path('service'),
      MODEL,
      ...['--threads', LONG ? '2' : '1', '--max-queue-time', '10000'],
    );
    const samples: { requests: number; heap: number; rss: number }[] = [];
    const [rounds, each] = [scaled(3, 20), scaled(100, 15_000)];
    for (let round = 1; round <= rounds; round++) {
      // At a rate that it cannot keep up with: as fast as it can, from so many clients at once.
      await load(100_000, each, 64);
      const { heapUsed, rss } = await example.memory();
      samples.push({ requests: round * each, heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20 });
    }
    expectFlat('soak', samples);
    expect(await example.stop()).to.equal(0);
  });

  /** The first fifth is warm-up: code is compiled and pools grow. */
  function expectFlat(what: string, all: { requests: number; heap: number; rss: number }[]): void {
    const samples = all.slice(Math.floor(all.length / 5));
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const growth = (key: 'heap' | 'rss') => {
      const mean = (of: (sample: (typeof samples)[0]) => number) =>
        samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
      const [x, y] = [mean((sample) => sample.requests), mean((sample) => sample[key])];
      const above = mean((sample) => (sample.requests - x) * (sample[key] - y));
      return (above / mean((sample) => (sample.requests - x) ** 2)) * 1e5;
    };
    const line = (key: 'heap' | 'rss') =>
      `${first[key].toFixed(2)} → ${last[key].toFixed(2)} MiB over ${last.requests - first.requests} requests, ` +
      `${growth(key).toFixed(2)} MiB in 100,000`;
    note(`service, HTTP, ${what}: heap after gc`, line('heap'));
    note(`service, HTTP, ${what}: RSS after gc`, line('rss'));
    if (LONG) {
      expect(growth('heap'), line('heap')).to.be.below(0.5);
      expect(growth('rss'), line('rss')).to.be.below(5);
    } else expect(last.heap - first.heap, line('heap')).to.be.below(8);
  }
});
