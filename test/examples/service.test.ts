import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { useTemporaryDirectory } from '../lib/files.js';
import { ADAPTERS, writeTinyAdapter } from '../lib/tiny-adapters.js';
import { LABELS, writeTinyCheckpoint } from '../lib/tiny-model.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of several routes
  body: any;
}

/** The example as a user has it: its own folder, with `bertune` and what it needs in node_modules. */
describe('examples/service', function () {
  this.timeout(30_000);
  const directory = useTemporaryDirectory();
  let child: ChildProcessWithoutNullStreams;
  let output = '';
  let address = '';

  beforeEach(async () => {
    const folder = directory.path('service');
    await cp(join(ROOT, 'examples/service'), folder, { recursive: true });
    await mkdir(join(folder, 'node_modules'));
    await symlink(ROOT, join(folder, 'node_modules/bertune'));
    for (const name of ['fastify', 'prom-client']) {
      await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
    }
    await writeTinyCheckpoint(directory.path('model'));
  });
  afterEach(() => {
    child.kill('SIGKILL');
  });

  async function start(...args: string[]): Promise<void> {
    const model = directory.path('model');
    child = spawn(process.execPath, ['main.js', '--model', model, '--port', '0', '--device', 'cpu', ...args], {
      cwd: directory.path('service'),
    });
    output = '';
    const ready = new Promise<void>((resolve, reject) => {
      const onText = (text: string) => {
        output += text;
        if (output.includes('ready\n')) resolve();
      };
      child.stdout.setEncoding('utf8').on('data', onText);
      child.stderr.setEncoding('utf8').on('data', onText);
      child.on('exit', () => reject(new Error(output)));
    });
    await ready;
    address = /listening on (\S+)/.exec(output)![1]!;
  }

  async function post(body: unknown, raw = JSON.stringify(body)): Promise<Answer> {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${address}/predict`, { method: 'POST', headers, body: raw });
    return { status: answer.status, headers: answer.headers, body: await answer.json() };
  }

  /** The answer to a body of so many bytes, before any of them is sent. */
  function statusOfLength(bytes: number): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': bytes };
      const sent = request(`${address}/predict`, { method: 'POST', headers }, ({ statusCode }) => {
        resolve(statusCode);
        sent.destroy();
      });
      sent.on('error', reject).flushHeaders();
    });
  }

  const metrics = async () => (await fetch(`${address}/metrics`)).text();

  it('says what is worth knowing about its model, and takes labels with spaces', async () => {
    await writeTinyCheckpoint(directory.path('model'), { classifier: false });
    await start('--labels', 'sad, happy');
    expect(output).to.contain('note: The classifier is new');
    const { body } = await post({ text: 'a good day' });
    expect(Object.keys(body.predictions[0].scores)).to.deep.equal(['sad', 'happy']);
  });

  it('predicts, says how it is, refuses what is not a request, counts, and ends when told to', async () => {
    await start();
    const one = await post({ text: 'a good day' });
    expect(one.status).to.equal(200);
    expect(Object.keys(one.body.predictions[0].scores)).to.have.members(LABELS);
    const many = await post({ texts: ['a good day', 'never', ''] });
    expect(many.body.predictions).to.have.length(3);
    expect(many.body.predictions[0].score).to.be.closeTo(one.body.predictions[0].score, 1e-6);
    for (const route of ['ready', 'healthz']) {
      const health = await fetch(`${address}/${route}`);
      expect(health.status).to.equal(200);
      expect(await health.json()).to.deep.equal({ phase: 'ready' });
    }

    const long = 'x'.repeat(10_001);
    for (const body of [
      {},
      { texts: [] },
      { text: 1 },
      { texts: ['a'], text: 'b' },
      { texts: Array(257).fill('a') },
      { text: long },
      { text: 'a', top: 1 },
    ]) {
      const refused = await post(body);
      expect([refused.status, refused.body.error.code]).to.deep.equal([400, 'INVALID_REQUEST']);
    }
    expect((await post(null, '{')).status).to.equal(400);
    expect(await statusOfLength(2 << 20)).to.equal(413);
    expect((await fetch(`${address}/nothing`)).status).to.equal(404);

    const text = await metrics();
    expect(text).to.match(/bertune_request_duration_seconds_count\{route="\/predict",status="200"\} 2/);
    expect(text).to.match(/bertune_texts_total 4/);
    expect(text).to.match(/bertune_batch_tokens_count [1-9]/);
    expect(text).to.match(/bertune_queued_texts 0/);
    expect(text).to.match(/bertune_ready 1/);
    expect(text).to.match(/bertune_text_wait_seconds_total 0\.\d/);
    expect(text).to.match(/bertune_errors_total\{code="INVALID_REQUEST"\} 9/);
    expect(text).to.match(/process_resident_memory_bytes/);

    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).to.equal(0);
  });

  it('answers 503 with Retry-After when the queue is full, and finishes what it has before it ends', async () => {
    await start('--max-queued-texts', '250', '--max-wait', '300', '--max-batch-tokens', '100000');
    const texts = Array(200).fill('a good day with a friend');
    const first = post({ texts });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const refused = await post({ texts: texts.slice(0, 100) });
    expect([refused.status, refused.body.error.code]).to.deep.equal([503, 'QUEUE_FULL']);
    expect(Number(refused.headers.get('retry-after'))).to.be.at.least(1);
    child.kill('SIGINT');
    expect((await first).status).to.equal(200);
    expect((await once(child, 'exit'))[0]).to.equal(0);
    expect(output).to.include('SIGINT: finishing 1 requests');
  });

  it('says that it is not ready before it ends, and answers meanwhile', async () => {
    await start('--drain-delay', '1');
    child.kill('SIGTERM');
    let ready = 200;
    while (ready === 200) ready = (await fetch(`${address}/ready`)).status;
    expect(ready).to.equal(503);
    expect((await fetch(`${address}/healthz`)).status).to.equal(200);
    const answer = await post({ text: 'a good day' });
    expect(answer.status).to.equal(200);
    expect(answer.headers.get('connection')).to.equal('close');
    expect((await once(child, 'exit'))[0]).to.equal(0);
    expect(output).to.include('SIGTERM: not ready any more; taking requests for 1 s');
  });

  it('serves the adapters of a list, and changes them all at once', async () => {
    const config = await writeTinyCheckpoint(directory.path('model'));
    const list = directory.path('adapters.json');
    const version = async (n: number) => {
      for (const [name, adapter] of Object.entries({ a: ADAPTERS.polite, b: ADAPTERS.inner })) {
        const labels = [`${n}`, `not ${n}`];
        await writeTinyAdapter(directory.path(`${name}${n}`), directory.path('model'), config, { ...adapter, labels });
      }
      await writeList({ a: `a${n}`, b: `b${n}` });
    };
    const writeList = async (sources: unknown) => {
      await writeFile(`${list}.new`, JSON.stringify(sources));
      await rename(`${list}.new`, list);
    };
    await version(1);
    await start('--adapters', list, '--sync-seconds', '0.05');
    const sources = async () => (await fetch(`${address}/adapters`)).json();
    const served = async (): Promise<string> => {
      const { status, body } = await post({ texts: Array(20).fill('a good day'), adapter: [...'ab'.repeat(10)] });
      expect(status, JSON.stringify(body)).to.equal(200);
      const labels: string[] = body.predictions.map(({ label }: { label: string }) => label.replace('not ', ''));
      expect(new Set(labels).size, labels.join()).to.equal(1);
      return labels[0]!;
    };
    const seen = new Set<string>();
    const clients = Array.from({ length: 8 }, async () => {
      while (!seen.has('3')) seen.add(await served());
    });
    while (!seen.has('1')) await sleep(10);
    await version(2);
    while (!seen.has('2')) await sleep(10);
    // One of the two is wrong: neither is taken.
    await writeList({ a: 'a3', b: 'nowhere' });
    while (!output.includes('the adapters stay as they were: ')) await sleep(10);
    expect(await served()).to.equal('2');
    await version(3);
    await Promise.all(clients);
    expect([...seen].sort()).to.deep.equal(['1', '2', '3']);
    expect(await sources()).to.deep.equal({ a: directory.path('a3'), b: directory.path('b3') });

    const unknown = await post({ text: 'a', adapter: 'c' });
    expect([unknown.status, unknown.body.error.message]).to.deep.equal([404, 'There is no adapter c; there are a, b']);
    expect(Object.keys((await post({ text: 'a' })).body.predictions[0].scores)).to.have.members(LABELS);
    const text = await metrics();
    expect(text).to.contain(`bertune_adapter_info{adapter="a",source="${directory.path('a3')}"} 1`);
    expect(text.match(/^bertune_adapter_info\{/gm)).to.have.lengthOf(2);
    expect(text).to.match(/bertune_adapter_changes_total\{outcome="done"\} 2/);
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).to.equal(0);
  });

  it('takes no adapter of the hub that is not at a commit', async () => {
    const list = directory.path('adapters.json');
    await writeFile(list, JSON.stringify({ a: 'org/adapter@main' }));
    const failure = await start('--adapters', list).then(
      () => '',
      ({ message }) => message as string,
    );
    expect(failure).to.include('Expected the commit of org/adapter@main');
  });

  it('drops the work of a client that goes away', async () => {
    await start('--max-wait', '2000', '--max-batch-tokens', '100000');
    const body = JSON.stringify({ texts: Array(50).fill('never') });
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const call = request(`${address}/predict`, { method: 'POST', headers });
    call.on('error', () => {});
    call.end(body);
    const queued = async (count: number) => {
      for (let i = 0; i < 100; i++) {
        if ((await metrics()).includes(`bertune_queued_texts ${count}\n`)) return true;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return false;
    };
    expect(await queued(50)).to.equal(true);
    call.destroy();
    expect(await queued(0)).to.equal(true);
    expect(await metrics()).to.match(/bertune_errors_total\{code="ABORTED"\} 1/);
    expect(await metrics()).to.match(/bertune_texts_total 0/);
  });

  it('ends with 1 when the model cannot be loaded', async () => {
    let failure = '';
    try {
      await start('--model', directory.path('nothing'));
    } catch (error) {
      failure = (error as Error).message;
    }
    expect(failure).to.include('error [NOT_FOUND]');
    expect(child.exitCode).to.equal(1);
  });
});
