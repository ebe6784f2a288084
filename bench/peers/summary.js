// What run.sh left in a folder, as tables: medians over the rounds, and Bertune beside each peer.
//
//   node bench/peers/summary.js results/peers
//
// A ratio above 1 is Bertune's favor in steps a second; below 1 in memory and in microseconds. Lines that begin with
// `>` are those where a peer wins by more than 10 %. Memory: Bertune's is the peak of its arenas and workspaces,
// PyTorch's the peak of what its allocator gave to tensors.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { digits, Lines } from '../support/print.js';
import { median } from '../support/statistics.js';

const MARGIN = 1.1;

const folder = process.argv[2] ?? 'results/peers';

/** The objects of a file of JSON lines; what is not one is passed over. */
function readLines(name) {
  const file = path.join(folder, name);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    });
}

/** The rows of our own files, e.g. of every step-*.json. */
function readOurs(prefix) {
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith('.json'));
  return names.flatMap((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')).rows);
}

/** Rows by a key → the medians of their fields. */
function medians(rows, keyOf, fields) {
  const groups = Map.groupBy ? Map.groupBy(rows, keyOf) : groupBy(rows, keyOf);
  return new Map(
    [...groups].map(([key, group]) => [
      key,
      {
        count: group.length,
        first: group[0],
        ...Object.fromEntries(
          Object.entries(fields).map(([name, read]) => {
            const values = group.map(read).filter(Number.isFinite);
            return [name, values.length > 0 ? median(values) : undefined];
          }),
        ),
      },
    ]),
  );
}

function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

const ratio = (ours, theirs) => (ours === undefined || theirs === undefined ? undefined : ours / theirs);
const mark = (peerWins) => (peerWins ? '>' : ' ');
const ourName = (method) => method.replace(/\d+$/, '');

function printSteps(peers) {
  const ours = medians(readOurs('step-'), (row) => `${row.method} ${row.precision} ${row.batch_size}`, {
    steps_per_s: (row) => row.steps_per_s,
    MiB: (row) => row.memory.peak / 2 ** 20,
    eval: (row) => row.evaluation.texts_per_s,
  });
  const theirs = medians(
    peers.filter((row) => row.steps_per_s !== undefined),
    (row) =>
      [row.peer, row.graph, row.weights, row.method, row.precision, row.batch_size]
        .filter((part) => part !== undefined)
        .join(' '),
    { steps_per_s: (row) => row.steps_per_s, MiB: (row) => row.peak_MiB, eval: (row) => row.eval_texts_per_s },
  );
  const lines = new Lines([
    ['', -1],
    ['peer', -40],
    ['rounds', 6],
    ['steps/s', 8],
    ['ours', 8],
    ['ratio', 6],
    ['MiB', 8],
    ['ours', 8],
    ['ratio', 6],
    ['eval texts/s', 12],
    ['ours', 8],
    ['ratio', 6],
  ]);
  console.log('\nTraining steps\n');
  lines.printHead();
  for (const [key, peer] of theirs) {
    const { method, precision, batch_size } = peer.first;
    const own = ours.get(`${ourName(method)} ${precision} ${batch_size}`) ?? {};
    const speed = ratio(own.steps_per_s, peer.steps_per_s);
    const memory = ratio(own.MiB, peer.MiB);
    const evaluation = ratio(own.eval, peer.eval);
    const loses = speed < 1 / MARGIN || memory > MARGIN || evaluation < 1 / MARGIN;
    lines.print([
      mark(loses),
      key,
      `${peer.count}/${own.count ?? 0}`,
      ...[peer.steps_per_s, own.steps_per_s, speed, peer.MiB, own.MiB, memory, peer.eval, own.eval, evaluation].map(
        digits,
      ),
    ]);
  }
}

function printAttention(peers) {
  const isPlain = (row) =>
    row.operation?.startsWith('attention_') && !row.prefix && !row.first_only && /^\d+x\d+$/.test(row.batch ?? '');
  const ours = medians(
    readOurs('kernels-').filter(isPlain),
    (row) => `${row.operation.slice('attention_'.length)} ${row.precision} ${row.batch} ${row.dropout_p}`,
    { us: (row) => row.microseconds },
  );
  const rows = peers.flatMap((row) =>
    ['forward', 'backward']
      .filter((direction) => row[`${direction}_us`] !== undefined)
      .map((direction) => ({ ...row, direction, us: row[`${direction}_us`] })),
  );
  const theirs = medians(
    rows,
    (row) => `${row.backend} ${row.layout} ${row.direction} ${row.texts}x${row.length} dropout ${row.dropout_p}`,
    { us: (row) => row.us },
  );
  const lines = new Lines([
    ['', -1],
    ['attention', -52],
    ['rounds', 6],
    ['µs', 9],
    ['ours µs', 9],
    ['ratio', 7],
  ]);
  console.log('\nAttention, bf16, 12 heads of 64\n');
  lines.printHead();
  for (const [key, peer] of theirs) {
    const { direction, precision, texts, length, dropout_p } = peer.first;
    const own = ours.get(`${direction} ${precision} ${texts}x${length} ${dropout_p}`) ?? {};
    const time = ratio(own.us, peer.us);
    lines.print([mark(time > MARGIN), key, `${peer.count}/${own.count ?? 0}`, ...[peer.us, own.us, time].map(digits)]);
  }
}

function printAbout(rows) {
  const seen = new Set();
  for (const { peer, about, data } of rows.filter((row) => row.about)) {
    const text = JSON.stringify({ peer, ...about, ...(data && { data }) });
    if (!seen.has(text)) console.log(text);
    seen.add(text);
  }
}

function printErrors(rows) {
  for (const row of rows.filter(({ error }) => error)) console.log(`failed: ${JSON.stringify(row)}`);
}

const steps = [...readLines('hf.jsonl'), ...readLines('best.jsonl')];
const attention = readLines('attention.jsonl');
for (const name of readdirSync(folder)
  .filter((file) => /^(step|kernels)-\d+\.json$/.test(file))
  .slice(0, 1)) {
  console.log(JSON.stringify({ ours: JSON.parse(readFileSync(path.join(folder, name), 'utf8')).machine }));
}
printAbout([...steps, ...attention]);
printErrors([...steps, ...attention]);
if (steps.some(({ steps_per_s }) => steps_per_s)) printSteps(steps);
if (attention.some(({ forward_us }) => forward_us)) printAttention(attention);
