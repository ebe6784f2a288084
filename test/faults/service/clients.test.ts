import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { useTemporaryDirectory } from '../../lib/files.js';
import { writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { note, scaled } from '../scale.js';
import { type Connection, Example, type RawAnswer, requestBytes } from './example.js';

const nested = (depth: number) => `{"text":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const text = (value: string | Buffer) =>
  Buffer.concat([Buffer.from('{"text":"'), Buffer.from(value as string), Buffer.from('"}')]);

/** A request to /predict whose body is chunks. */
function chunked(chunks: string, encoding = 'chunked'): Buffer {
  const head = 'host: a\r\ncontent-type: application/json\r\ntransfer-encoding:';
  return Buffer.from(`POST /predict HTTP/1.1\r\n${head} ${encoding}\r\n\r\n${chunks}`);
}

/** What is wrong with a request, its bytes, and the status and code that it is answered with. */
const WRONG: readonly [what: string, bytes: Buffer, status: number, code: string][] = [
  ['a body that is too large', requestBytes(text('x'.repeat(2 << 20))), 413, 'INVALID_REQUEST'],
  [
    'a length that is too large, and no body',
    requestBytes('', { 'content-length': '99999999999' }),
    413,
    'INVALID_REQUEST',
  ],
  ['broken JSON', requestBytes('{"text":'), 400, 'INVALID_REQUEST'],
  ['no body', requestBytes(''), 400, 'INVALID_REQUEST'],
  ['JSON 100,000 levels deep', requestBytes(nested(100_000)), 400, 'INVALID_REQUEST'],
  [
    'objects 100,000 levels deep',
    requestBytes(`{"text":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`),
    400,
    'INVALID_REQUEST',
  ],
  ['__proto__', requestBytes('{"text":"a","__proto__":{"x":1}}'), 400, 'INVALID_REQUEST'],
  ['constructor.prototype', requestBytes('{"text":"a","constructor":{"prototype":{}}}'), 400, 'INVALID_REQUEST'],
  ['an unknown key', requestBytes('{"text":"a","top":1}'), 400, 'INVALID_REQUEST'],
  ['text and texts', requestBytes('{"text":"a","texts":["a"]}'), 400, 'INVALID_REQUEST'],
  ['a number for a text', requestBytes('{"text":1}'), 400, 'INVALID_REQUEST'],
  ['null', requestBytes('null'), 400, 'INVALID_REQUEST'],
  ['a control character', requestBytes('{"text":"a\u0001b"}'), 400, 'INVALID_REQUEST'],
  ['a NUL byte', requestBytes('{"text":"a\u0000b"}'), 400, 'INVALID_REQUEST'],
  ['bytes that are no UTF-8', requestBytes(text(Buffer.from([0x61, 0xff, 0xfe]))), 400, 'INVALID_REQUEST'],
  ['a surrogate in UTF-8', requestBytes(text(Buffer.from([0xed, 0xa0, 0x80]))), 400, 'INVALID_REQUEST'],
  ['plain text', requestBytes('a', { 'content-type': 'text/plain' }), 415, 'INVALID_REQUEST'],
  ['a form', requestBytes('text=a', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'INVALID_REQUEST'],
  ['a content type that is none', requestBytes('{"text":"a"}', { 'content-type': ';;;' }), 415, 'INVALID_REQUEST'],
  ['no texts', requestBytes('{"texts":[]}'), 400, 'INVALID_REQUEST'],
  ['thousands of texts', requestBytes(JSON.stringify({ texts: Array(5000).fill('a') })), 400, 'INVALID_REQUEST'],
  ['a text that is too long', requestBytes(text('x'.repeat(10_001))), 400, 'INVALID_REQUEST'],
  [
    'headers that are too large',
    requestBytes('{"text":"a"}', { 'x-large': 'x'.repeat(20_000) }),
    431,
    'INVALID_REQUEST',
  ],
  [
    'thousands of headers',
    requestBytes('{"text":"a"}', Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x-${i}`, '1']))),
    431,
    'INVALID_REQUEST',
  ],
  ['no HTTP', Buffer.from('\u0016\u0003\u0001 hello\r\n\r\n'), 400, 'INVALID_REQUEST'],
  ['two lengths', requestBytes('{"text":"a"}', { 'Content-Length': '3' }), 400, 'INVALID_REQUEST'],
  ['a length and chunks', requestBytes('{"text":"a"}', { 'transfer-encoding': 'chunked' }), 400, 'INVALID_REQUEST'],
  [
    'a chunk without a size',
    requestBytes('zz\r\n', { 'transfer-encoding': 'chunked', 'content-length': '' }),
    400,
    'INVALID_REQUEST',
  ],
  ['another method', Buffer.from('PUT /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n'), 404, 'NOT_FOUND'],
  [
    'another path',
    Buffer.from(`GET /${'a'.repeat(5000)}?${'b'.repeat(1000)} HTTP/1.1\r\nhost: a\r\n\r\n`),
    404,
    'NOT_FOUND',
  ],
  ['a tunnel', Buffer.from('CONNECT a.example:443 HTTP/1.1\r\nhost: a\r\n\r\n'), 405, 'INVALID_REQUEST'],
  ['no host', Buffer.from('GET /healthz HTTP/1.1\r\n\r\n'), 400, 'INVALID_REQUEST'],
  ['two hosts', Buffer.from('GET /healthz HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n'), 400, 'INVALID_REQUEST'],
  ['an unknown expectation', requestBytes('{"text":"a"}', { expect: '200-ok' }), 417, 'INVALID_REQUEST'],
  ['a compressed body', requestBytes('{"text":"a"}', { 'content-encoding': 'gzip' }), 415, 'INVALID_REQUEST'],
  ['compressed chunks', chunked('c\r\n{"text":"a"}\r\n0\r\n\r\n', 'gzip, chunked'), 400, 'INVALID_REQUEST'],
  ['a chunk that is too large', chunked(`${'f'.repeat(20)}\r\n`), 400, 'INVALID_REQUEST'],
  [
    'a trailer that is too large',
    chunked(`c\r\n{"text":"a"}\r\n0\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`),
    431,
    'INVALID_REQUEST',
  ],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 400, 'INVALID_REQUEST'],
  ['an unknown method', Buffer.from('BREW / HTTP/1.1\r\nhost: a\r\n\r\n'), 400, 'INVALID_REQUEST'],
  ['TRACE', Buffer.from('TRACE / HTTP/1.1\r\nhost: a\r\n\r\n'), 404, 'NOT_FOUND'],
  ['OPTIONS of all', Buffer.from('OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n'), 404, 'NOT_FOUND'],
  [
    'an upgrade of another path',
    Buffer.from('GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
    404,
    'NOT_FOUND',
  ],
  [
    'a path that is too long',
    Buffer.from(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`),
    431,
    'INVALID_REQUEST',
  ],
  ['a path that cannot be decoded', Buffer.from('GET /%ff%fe%zz HTTP/1.1\r\nhost: a\r\n\r\n'), 400, 'INVALID_REQUEST'],
];

/** Odd, but right. */
const RIGHT: readonly [what: string, body: string | Buffer][] = [
  ['a key that comes twice', '{"text":"bad","text":"good"}'],
  ['an escaped NUL and control characters', '{"text":"a\\u0000b\\u0001\\u007f\\u001b[31m"}'],
  ['lone surrogates', '{"text":"a\\ud800b\\udc00"}'],
  ['an empty text', '{"text":""}'],
  ['white space only', '{"text":" \\n\\t\\u00a0\\u2028"}'],
  ['a byte order mark in a text', '{"text":"\\ufeffgood"}'],
  ['the longest text', JSON.stringify({ text: '字'.repeat(10_000) })],
  ['the most texts', JSON.stringify({ texts: Array(256).fill('good day') })],
  ['emoji and joiners', JSON.stringify({ text: '👩‍👩‍👧‍👦'.repeat(500) })],
];

/** Characters. */
const LONG_LABEL = 5000;
/** How long examples/service keeps a connection without a request, unless told otherwise. */
const KEEP_ALIVE_MILLISECONDS = 65_000;

describe('faults: clients of examples/service', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();
  let example: Example;

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('model'));
  });
  afterEach(() => example.kill());

  const start = async (...args: string[]) => {
    example = await Example.start(directory.path('service'), directory.path('model'), ...args);
  };

  /** Answers to what is sent on a connection of its own. */
  async function ask(bytes: Buffer): Promise<RawAnswer> {
    const connection = await example.connect();
    try {
      return await connection.send(bytes).answer();
    } finally {
      connection.socket.destroy();
    }
  }

  async function expectServing(): Promise<void> {
    const { status, body } = await ask(requestBytes('{"text":"a good day"}'));
    expect(status).to.equal(200);
    expect(JSON.parse(body).predictions).to.have.length(1);
  }

  const codeOf = ({ body }: RawAnswer) => JSON.parse(body).error.code as string;

  async function expectMetric(name: string, isRight: (value: number) => boolean): Promise<void> {
    let value = Number.NaN;
    for (const began = performance.now(); performance.now() - began < 90_000; ) {
      value = await example.metric(name);
      if (isRight(value)) return;
      await sleep(10);
    }
    throw new Error(`${name} is ${value}`);
  }

  /** Nothing of what clients began is under way any more. */
  async function expectNothingLeft(): Promise<void> {
    await expectMetric('bertune_calls', (calls) => calls === 0);
    await expectMetric('bertune_queued_texts', (texts) => texts === 0);
  }

  it('are answered with a status and a code whatever they send, and the others are served', async () => {
    await start();
    for (const [what, bytes, status, code] of WRONG) {
      const answer = await ask(bytes);
      expect([answer.status, codeOf(answer)], what).to.deep.equal([status, code]);
      expect(answer.headers['content-type'], what).to.match(/^application\/json/);
    }
    await expectServing();
    for (const [what, body] of RIGHT) {
      const answer = await ask(requestBytes(body));
      expect(answer.status, `${what}: ${answer.body}`).to.equal(200);
      for (const { score } of JSON.parse(answer.body).predictions) expect(score, what).to.be.within(0, 1);
    }
    const [twice, last] = [await ask(requestBytes(RIGHT[0]![1])), await ask(requestBytes('{"text":"good"}'))];
    expect(JSON.parse(twice.body)).to.deep.equal(JSON.parse(last.body));
    note('service: kinds of wrong requests', WRONG.length);
    note('service: kinds of odd but right requests', RIGHT.length);
    expect(await example.stop()).to.equal(0);
  });

  it('may speak HTTP/1.0 without a host, ask for an upgrade that is not made, and are answered before garbage is', async () => {
    await start();
    const health = (rest: string) => ask(Buffer.from(`GET /healthz HTTP/1.${rest}\r\n\r\n`));
    expect((await health('0')).status).to.equal(200);
    expect((await health('1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket')).status).to.equal(200);
    expect((await ask(requestBytes('{"text":"a"}', { expect: '100-continue' }))).status).to.equal(100);
    const connection = await example.connect();
    connection.send(requestBytes('{"text":"good"}'));
    expect((await connection.answer()).status).to.equal(200);
    const refused = await connection.send('\u0001garbage\r\n\r\n').answer();
    expect([refused.status, codeOf(refused)]).to.deep.equal([400, 'INVALID_REQUEST']);
    await connection.closed;
    await expectServing();
  });

  it('may send chunks without a length, of which no more are read than are allowed', async () => {
    await start();
    const head =
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
    const small = await example.connect();
    small.send(`${head}9\r\n{"text":"\r\n3\r\nyes\r\n2\r\n"}\r\n0\r\n\r\n`);
    expect((await small.answer()).status).to.equal(200);
    const endless = await example.connect();
    endless.send(`${head}9\r\n{"text":"\r\n`);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    let sent = 0;
    const timer = setInterval(() => {
      endless.send(chunk);
      sent += 0x10000;
    }, 1);
    const answer = await endless.answer();
    expect([answer.status, codeOf(answer)]).to.deep.equal([413, 'INVALID_REQUEST']);
    await endless.closed;
    clearInterval(timer);
    expect(sent).to.be.lessThan(64 << 20);
    await expectServing();
  });

  it('that are slow are told so, or closed, while the others are served', async () => {
    await start('--headers-timeout', '500', '--request-timeout', '1000', '--idle-timeout', '2000');
    const count = scaled(20, 500);
    const began = performance.now();
    const request = requestBytes('{"text":"a good day"}');
    const slow: { connection: Connection; timer: NodeJS.Timeout }[] = [];
    for (let i = 0; i < count; i++) {
      const connection = await example.connect();
      // Half of them send headers byte by byte, half the body.
      let at = i % 2 === 0 ? 0 : request.indexOf('\r\n\r\n') + 4;
      if (at > 0) connection.send(request.subarray(0, at));
      const timer = setInterval(() => {
        if (!connection.socket.destroyed && at < request.length) connection.send(request.subarray(at, ++at));
      }, 200);
      slow.push({ connection, timer });
    }
    const silent = await Promise.all(Array.from({ length: count }, () => example.connect()));
    for (let i = 0; i < 20; i++) await expectServing();
    for (const { connection, timer } of slow) {
      const answer = await connection.answer();
      expect([answer.status, codeOf(answer)]).to.deep.equal([408, 'TIMED_OUT']);
      await connection.closed;
      clearInterval(timer);
    }
    for (const connection of silent) await connection.closed;
    note('service: slow or silent connections', 2 * count);
    expect(performance.now() - began).to.be.lessThan(30_000);
    await expectServing();
    await expectNothingLeft();
  });

  it('that do not read their answers are closed, and hold nothing', async () => {
    // Labels so long that the answers are more than the sockets' buffers take, 36 MiB at most.
    // Each prediction has its own and all three.
    const answerBytes = 256 * 4 * LONG_LABEL;
    const ahead = Math.ceil((80 << 20) / answerBytes);
    const labels = ['a', 'b', 'c'].map((letter) => letter.repeat(LONG_LABEL));
    await writeTinyCheckpoint(directory.path('model'), { labels });
    await start('--idle-timeout', '3000', '--max-queued-texts', '100000', '--max-queue-time', '60000');
    const body = requestBytes(JSON.stringify({ texts: Array(256).fill('day') }));
    const began = performance.now();
    const count = scaled(2, 10);
    const connections = await Promise.all(Array.from({ length: count }, () => example.connect()));
    for (const { socket } of connections) {
      socket.pause();
      for (let i = 0; i < ahead; i++) socket.write(body);
    }
    await sleep(500);
    await expectServing();
    // What is left is the connection that asks.
    await expectMetric('bertune_connections', (open) => open === 1);
    // Those whose answers all found room would be closed for keeping quiet.
    expect(performance.now() - began).to.be.lessThan(KEEP_ALIVE_MILLISECONDS);
    for (const { socket, closed } of connections) {
      socket.removeAllListeners('data').resume();
      await closed;
      expect(socket.bytesRead).to.be.lessThan(ahead * answerBytes);
    }
    await expectNothingLeft();
    await expectServing();
    note('service: clients that never read', count);
  });

  it('that go away take their work with them: while they send, while they wait, several requests ahead', async () => {
    await start('--max-wait', '500', '--max-batch-tokens', '1000000', '--max-queue-time', '60000');
    const body = requestBytes(JSON.stringify({ texts: Array(20).fill('never') }));
    const count = scaled(10, 300);
    for (let i = 0; i < count; i++) {
      const connection = await example.connect();
      if (i % 3 === 0) connection.send(body.subarray(0, body.length - 10));
      else if (i % 3 === 1) connection.send(body);
      else for (let ahead = 0; ahead < 5; ahead++) connection.send(body);
      if (i % 2 === 0) await sleep(3);
      if (i % 4 === 0) connection.socket.resetAndDestroy();
      else connection.socket.destroy();
    }
    const before = await example.metric('bertune_texts_total');
    await expectNothingLeft();
    await sleep(600);
    expect(await example.metric('bertune_texts_total')).to.equal(before);
    expect(before).to.be.at.most(20 * 5 * count);
    await expectServing();
    note('service: clients that went away', count);
  });

  it('get the answers of requests that were sent ahead in their order, on one connection', async () => {
    await start('--max-queue-time', '60000');
    const words = ['never', 'good', 'a happy day', 'awful and sad', 'perhaps'];
    const alone = new Map<string, unknown>();
    for (const word of words)
      alone.set(word, JSON.parse((await ask(requestBytes(text(word)))).body).predictions[0].label);
    const connection = await example.connect();
    const count = scaled(200, 5000);
    for (let i = 0; i < count; i++) connection.send(requestBytes(text(words[i % words.length]!)));
    for (let i = 0; i < count; i++) {
      const { status, body } = await connection.answer();
      expect(status).to.equal(200);
      expect(JSON.parse(body).predictions[0].label).to.equal(alone.get(words[i % words.length]!));
    }
    connection.socket.destroy();
    expect(example.output).to.equal(`listening on ${example.address}\nready\n`);
    note('service: requests sent ahead on one connection', count);
  });

  it('are refused before their bodies are read where the queue is full, and keep their connections', async () => {
    await start('--max-wait', '9000', '--max-batch-tokens', '1000000', '--max-queued-texts', '1');
    const [first, second] = [await example.connect(), await example.connect()];
    const request = requestBytes('{"text":"good"}');
    first.send(request);
    await expectMetric('bertune_calls', (calls) => calls === 1);
    const end = request.indexOf('\r\n\r\n') + 4;
    for (let i = 0; i < 3; i++) {
      second.send(request.subarray(0, end));
      const refused = await second.answer();
      expect([refused.status, codeOf(refused)]).to.deep.equal([503, 'QUEUE_FULL']);
      expect(Number(refused.headers['retry-after'])).to.be.at.least(1);
      second.send(request.subarray(end));
    }
    first.socket.destroy();
    await expectNothingLeft();
    second.send(request);
    await expectMetric('bertune_calls', (calls) => calls === 1);
  });

  it('beyond the most that may be connected are closed, and the others are served', async () => {
    await start('--connections', '50');
    const working = await example.connect();
    const connections = await Promise.all(Array.from({ length: 49 }, () => example.connect()));
    const surplus = await example.connect();
    await surplus.closed;
    for (let i = 0; i < 20; i++) {
      expect((await working.send(requestBytes('{"text":"good"}')).answer()).status).to.equal(200);
    }
    for (const { socket } of connections) socket.destroy();
    // Once it has noticed.
    for (let i = 0; i < 100; i++) {
      if (
        await expectServing().then(
          () => true,
          () => false,
        )
      )
        return;
      await sleep(50);
    }
    await expectServing();
  });

  it('are answered when it ends where it had accepted them, refused where not, and then it is gone', async () => {
    await start('--max-wait', '9000', '--max-batch-tokens', '1000000');
    const accepted = await Promise.all(Array.from({ length: 20 }, () => example.connect()));
    for (const connection of accepted) connection.send(requestBytes('{"text":"good"}'));
    const request = requestBytes('{"text":"good"}');
    const [late, never] = [await example.connect(), await example.connect()];
    for (const connection of [late, never]) connection.send(request.subarray(0, -3));
    await expectMetric('bertune_calls', (calls) => calls === 20);
    const began = performance.now();
    const stopped = example.stop();
    await sleep(50);
    late.send(request.subarray(-3));
    const refused = await late.answer();
    expect([refused.status, codeOf(refused), refused.headers.connection]).to.deep.equal([503, 'NOT_READY', 'close']);
    for (const connection of accepted) expect((await connection.answer()).status).to.equal(200);
    await never.closed;
    expect(await stopped).to.equal(0);
    expect(performance.now() - began).to.be.lessThan(15_000);
  });
});
