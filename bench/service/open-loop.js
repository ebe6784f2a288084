// node open-loop.js OPTIONS (JSON) → one line of JSON. Requests come at a given rate, whether the service keeps up or not, at
// random times (Poisson); a time is counted from the moment at which its request should have been sent.
//
//   { url, predictions, rate, count, connections, seed }
//   predictions: a file, [{ text, label, score }, ...], what is asked and what must be answered
import { readFileSync } from 'node:fs';
import { RawClient } from './raw-client.js';

const { url, predictions: file, rate, count, connections = 1024, seed = 1 } = JSON.parse(process.argv[2]);
const predictions = JSON.parse(readFileSync(file, 'utf8'));
const { hostname, port, pathname } = new URL(url);

/** Furthest that a score may be from what it should be. */
const TOLERANCE = 1e-5;

const requests = predictions.map(({ text }) => {
  const body = Buffer.from(JSON.stringify({ text }));
  const head = `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
});

/** Numbers in (0, 1), the same for the same seed (Lehmer). */
let state = seed;
function random() {
  state = (state * 48271) % 2147483647;
  return state / 2147483647;
}

const accepted = [];
const refused = [];
const late = [];
const problems = [];
const statuses = {};
let [sent, answered, wrong, unannounced] = [0, 0, 0, 0];
const answers = new Uint8Array(count);
let [began, due] = [0, 0];
const client = new RawClient({ host: hostname, port: Number(port), connections });

function check(index, { status, headers, body }) {
  const expected = predictions[index % predictions.length];
  if (status === 200) {
    const [answer] = JSON.parse(body).predictions;
    const right = answer.label === expected.label && Math.abs(answer.score - expected.score) <= TOLERANCE;
    if (!right) wrong += 1;
  } else if (status === 503) {
    const { error } = JSON.parse(body);
    if (error.code !== 'QUEUE_FULL') wrong += 1;
    if (!(Number(headers['retry-after']) >= 1)) unannounced += 1;
  } else wrong += 1;
}

function send(index, at) {
  sent += 1;
  late.push(performance.now() - at);
  client.send(requests[index % requests.length], (error, answer) => {
    answered += 1;
    answers[index] += 1;
    const milliseconds = performance.now() - at;
    if (error) problems.push(error.message);
    else {
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      if (answer.status === 200) accepted.push(milliseconds);
      else refused.push(milliseconds);
      check(index, answer);
    }
    if (answered === count) end();
  });
}

function tick() {
  const now = performance.now();
  while (sent < count && due <= now) {
    send(sent, due);
    due -= (Math.log(random()) * 1000) / rate;
  }
  if (sent < count) setTimeout(tick, 1);
}

function quantiles(values) {
  values.sort((a, b) => a - b);
  const quantile = (q) => values[Math.min(values.length - 1, Math.floor(q * values.length))] ?? null;
  return {
    count: values.length,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    most: values.at(-1) ?? null,
  };
}

function end() {
  const seconds = (performance.now() - began) / 1000;
  console.log(
    JSON.stringify({
      offered: count / ((due - began) / 1000),
      throughput: accepted.length / seconds,
      seconds,
      sent,
      answered_once: answers.reduce((sum, times) => sum + (times === 1 ? 1 : 0), 0),
      statuses,
      wrong,
      without_retry_after: unannounced,
      failed: problems.length,
      failures: [...new Set(problems)].slice(0, 5),
      surplus: client.surplus,
      connections: client.opened,
      accepted: quantiles(accepted),
      refused: quantiles(refused),
      late: quantiles(late),
    }),
  );
  client.close();
}

began = performance.now();
due = began;
tick();
