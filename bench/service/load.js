// node load.js URL TEXTS.json CLIENTS SECONDS → one line of JSON. Each client waits for its answer before it asks again.
import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';

const [url, file, clients, seconds] = process.argv.slice(2);
const texts = JSON.parse(readFileSync(file, 'utf8'));
let next = 0;
const latencies = [];
const instance = autocannon({
  url,
  connections: Number(clients),
  duration: Number(seconds),
  timeout: 30,
  requests: [
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      setupRequest: (request) => ({ ...request, body: JSON.stringify({ text: texts[next++ % texts.length] }) }),
    },
  ],
});
// Autocannon's own histogram counts whole milliseconds only.
instance.on('response', (_client, _status, _bytes, milliseconds) => latencies.push(milliseconds));
const result = await instance;
latencies.sort((a, b) => a - b);
const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))] ?? Number.NaN;
const { errors, timeouts, non2xx, duration } = result;
console.log(
  JSON.stringify({
    rate: latencies.length / duration,
    requests: latencies.length,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    errors: errors + timeouts + non2xx,
  }),
);
