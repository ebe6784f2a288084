// The service of examples/service under load: requests a second, latency, errors, memory over time.
//
//   node bench/service.js --model CHECKPOINT                  (needs npm run build)
//   ... --clients 1,8,64,512 --seconds 20 --threads 2 --precision int8 --json results.json
//   ... --minutes 10 --clients 64                             the soak: memory every second, and its slope
//   ... --replicas 2 --threads 1 --clients 64                 several behind HAProxy, which must be installed
//
// The service and the load (autocannon) are processes of their own, on the loopback. Each request is one text.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadDataset } from '../dist/index.js';
import { startBalancer } from './service/balancer.js';
import { slope } from './service/slope.js';
import { runMain } from './support/main.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** The example in a folder as a user has it. */
function install(folder) {
  const target = path.join(folder, 'service');
  cpSync(path.join(ROOT, 'examples/service'), target, { recursive: true });
  mkdirSync(path.join(target, 'node_modules'), { recursive: true });
  for (const name of ['fastify', 'prom-client']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(target, 'node_modules', name));
  }
  symlinkSync(ROOT, path.join(target, 'node_modules/bertune'));
  return target;
}

/** Starts a server and resolves to it and its address once it says `ready`. */
async function start(script, args, cwd) {
  const child = spawn(process.execPath, [script, ...args], { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  let address;
  for await (const line of createInterface({ input: child.stdout })) {
    address ??= /listening on (\S+)/.exec(line)?.[1];
    if (line === 'ready') return { child, address };
  }
  throw new Error('Expected the service to get ready but it ended');
}

/** One run of autocannon in its own process. */
async function load(url, textsFile, clients, seconds) {
  const args = [path.join(ROOT, 'bench/service/load.js'), `${url}/predict`, textsFile, clients, seconds];
  const child = spawn(process.execPath, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`Expected the load to end with 0 but it ended with ${status}`);
  return JSON.parse(output);
}

/** Bytes in use by the services, and batches so far, as they say themselves; added up. */
async function readMetrics(addresses) {
  const texts = await Promise.all(addresses.map(async (address) => (await fetch(`${address}/metrics`)).text()));
  const figure = (name, text) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]);
  const value = (name) => texts.reduce((sum, text) => sum + figure(name, text), 0);
  return {
    rss: value('process_resident_memory_bytes'),
    heap: value('nodejs_heap_size_used_bytes'),
    external: value('nodejs_external_memory_bytes'),
    batches: value('bertune_batch_tokens_count'),
    tokens: value('bertune_batch_tokens_sum'),
  };
}

const MiB = (bytes) => bytes / 2 ** 20;

async function sweep(url, addresses, textsFile, clientCounts, seconds) {
  console.log('clients   requests/s    p50 ms    p95 ms    p99 ms   errors   tokens/batch   RSS MiB   load');
  const rows = [];
  for (const clients of clientCounts) {
    await load(url, textsFile, clients, Math.min(2, seconds));
    const before = await readMetrics(addresses);
    const row = await load(url, textsFile, clients, seconds);
    const after = await readMetrics(addresses);
    const tokens = (after.tokens - before.tokens) / (after.batches - before.batches);
    const cells = [
      String(clients).padStart(7),
      row.rate.toFixed(1).padStart(12),
      ...[row.p50, row.p95, row.p99].map((ms) => ms.toFixed(2).padStart(9)),
      String(row.errors).padStart(8),
      tokens.toFixed(0).padStart(14),
      MiB(after.rss).toFixed(0).padStart(9),
      os.loadavg()[0].toFixed(2).padStart(6),
    ];
    console.log(cells.join(' '));
    rows.push({ clients, ...row, tokens_per_batch: tokens, ...after, load_average: os.loadavg()[0] });
  }
  return rows;
}

async function soak(url, addresses, textsFile, clients, minutes) {
  const samples = [];
  const began = performance.now();
  const timer = setInterval(async () => {
    const { rss, heap } = await readMetrics(addresses);
    samples.push({ minutes: (performance.now() - began) / 60_000, rss: MiB(rss), heap: MiB(heap) });
  }, 1000);
  const row = await load(url, textsFile, clients, Math.round(minutes * 60));
  clearInterval(timer);
  // The first fifth is warm-up: code is compiled and pools grow.
  const settled = samples.filter((sample) => sample.minutes > minutes / 5);
  const slopes = { rss: slope(settled, 'rss'), heap: slope(settled, 'heap') };
  console.log(
    `${clients} clients for ${minutes} minutes: ${row.rate.toFixed(1)} requests/s, p99 ${row.p99} ms, ${row.errors} errors`,
  );
  for (const key of ['rss', 'heap']) {
    const values = settled.map((sample) => sample[key]);
    console.log(
      `${key}: ${values[0].toFixed(1)} MiB first, ${values.at(-1).toFixed(1)} last, ` +
        `${Math.max(...values).toFixed(1)} most; slope ${slopes[key].toFixed(3)} MiB a minute`,
    );
  }
  return { clients, ...row, slopes, samples };
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: path.join(ROOT, 'assets/models/bert-mini') },
      data: { type: 'string', default: path.join(ROOT, 'assets/data/goemotions6') },
      server: { type: 'string' },
      'server-args': { type: 'string', default: '' },
      clients: { type: 'string', default: '1,8,64,512' },
      seconds: { type: 'string', default: '20' },
      minutes: { type: 'string' },
      replicas: { type: 'string', default: '1' },
      threads: { type: 'string', default: String(os.availableParallelism()) },
      precision: { type: 'string', default: 'fp32' },
      json: { type: 'string' },
    },
  });
  const { test } = await loadDataset(values.data);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bertune-service-'));
  const textsFile = path.join(folder, 'texts.json');
  writeFileSync(textsFile, JSON.stringify(test.texts));
  // Another server with the same routes can be measured in its place.
  const cwd = install(folder);
  const where = ['--device', 'cpu', '--threads', values.threads, '--precision', values.precision];
  const own = ['--model', path.resolve(values.model), ...where, '--port', '0'];
  const extra = values['server-args'].split(' ').filter(Boolean);
  const script = values.server ? path.resolve(values.server) : 'main.js';
  const args = [...(values.server ? ['--threads', values.threads] : own), ...extra];
  const replicas = [];
  for (let i = 0; i < Number(values.replicas); i++) replicas.push(await start(script, args, cwd));
  const ports = replicas.map(({ address }) => Number(new URL(address).port));
  const balancer = ports.length > 1 ? await startBalancer(folder, ports) : undefined;
  const url = (balancer ?? replicas[0]).address;
  const addresses = replicas.map(({ address }) => address);
  try {
    const clients = values.clients.split(',').map(Number);
    const result = values.minutes
      ? await soak(url, addresses, textsFile, clients[0], Number(values.minutes))
      : await sweep(url, addresses, textsFile, clients, Number(values.seconds));
    if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    for (const { child } of [...(balancer ? [balancer] : []), ...replicas]) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  }
});
