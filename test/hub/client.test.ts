import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { HubClient } from '../../lib/hub/client.js';
import { TransientFailure } from '../../lib/hub/failure.js';
import { hubSettings } from '../../lib/hub/settings.js';
import { runCli } from '../cli/run-cli.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { COMMIT } from './support.js';

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const PACKED = `${OK}content-encoding: ${Array(6).fill('gzip').join(', ')}\r\n\r\nx`;
const json = (value: unknown) => {
  const body = JSON.stringify(value);
  return `${OK}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
};

/** What a server writes, byte for byte, before it resets the connection. */
const BROKEN = {
  'an answer packed six times': PACKED,
  nothing: '',
  'no HTTP': 'SSH-2.0-OpenSSH_9.6\r\n',
  'a status of no kind': 'HTTP/1.1 9999 x\r\n\r\n',
  'a header that is none': `${OK}bad\u0001name: y\r\n\r\n{}`,
  'headers without end': `${OK}x: ${'y'.repeat(100_000)}\r\n\r\n{}`,
  'two lengths': `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
  'a length and chunks': `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  'less than its length': `${OK}content-length: 100\r\n\r\n{`,
  'a chunk of no size': `${OK}transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n`,
  'a last chunk that is missing': `${OK}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
  'trailers that are none': `${OK}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\u0000:\u0001\r\n\r\n`,
  'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx',
  'a redirect with garbage behind': 'HTTP/1.1 302 Found\r\nlocation: ftp://host/\r\ncontent-length: 0\r\n\r\ngarbage',
};

describe('a client of the hub', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  let server: Server;
  let answer: (socket: Socket) => void;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', () => answer(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((resolve) => server.close(resolve));
  });

  const environment = () => ({
    HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    HF_HOME: directory.path('cache'),
    HF_HUB_ETAG_TIMEOUT: '1',
    HF_HUB_DOWNLOAD_TIMEOUT: '1',
  });
  const client = async () =>
    new HubClient(await hubSettings(environment()), { kind: 'model', name: 'org/x', revision: 'main' });

  /** Reads a file to its end. */
  async function file(): Promise<void> {
    const response = await (await client()).open(COMMIT, 'config.json', {}, AbortSignal.timeout(2000));
    for await (const _ of response);
  }

  for (const [words, bytes] of Object.entries(BROKEN)) {
    it(`survives ${words}`, async () => {
      answer = (socket) => socket.write(bytes, 'latin1', () => setTimeout(() => socket.resetAndDestroy(), 20));
      await expectRefusal((await client()).commit(1), 'HUB_UNAVAILABLE', 'no usable answer');
      const failure = await file().then(
        () => undefined,
        (cause) => cause,
      );
      expect(failure, 'of a file').to.be.instanceOf(Error);
      if (failure instanceof BertuneError) expect(failure.code).to.equal('HUB_UNAVAILABLE');
    });
  }

  it('waits no longer than it says for an answer that is never to come', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(1000);
    const flood = (socket: Socket) => {
      while (!socket.destroyed && socket.write(early));
      socket.once('drain', () => flood(socket));
    };
    for (const never of [flood, (socket: Socket) => socket.write(OK), (socket: Socket) => socket.write(`${OK}\r\n{`)]) {
      answer = never;
      await expectRefusal((await client()).commit(1), 'HUB_UNAVAILABLE', 'no answer in time');
    }
  });

  it('says that an answer is packed, asks for none, and lets the process end', async () => {
    answer = (socket) => socket.write(PACKED);
    await expectRefusal((await client()).commit(), 'HUB_UNAVAILABLE', 'compressed as gzip, gzip');
    const args = ['predict', '--model', 'org/x', '--device', 'cpu', 'good'];
    const { status, stderr } = await runCli(args, { environment: environment() });
    expect(status).to.equal(1);
    expect(stderr).to.match(/^error \[HUB_UNAVAILABLE\]: .*compressed as gzip, gzip/m);
  });

  it('tells where to try again from where it cannot help', async () => {
    answer = (socket) => socket.end('HTTP/1.1 503 x\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n');
    const failure = await file().catch((cause) => cause);
    expect(failure).to.be.instanceOf(TransientFailure);
    expect(failure.waitMilliseconds).to.equal(7000);
  });

  for (const [value, words] of [
    [null, 'no JSON object but null'],
    [[1], 'no JSON object but [1]'],
    [7, 'no JSON object but 7'],
    [{}, 'no commit id but nothing'],
    [{ sha: { x: 'y'.repeat(200) } }, 'no commit id but {"x":"yyy'],
  ] as const) {
    it(`says what is wrong with a commit's answer: ${JSON.stringify(value).slice(0, 20)}`, async () => {
      answer = (socket) => socket.write(json(value));
      await expectRefusal((await client()).commit(), 'HUB_UNAVAILABLE', words);
    });
  }

  for (const [value, words] of [
    [{ error: 'x' }, 'no list of files but {"error":"x"}'],
    ['abc', 'no list of files but "abc"'],
    [[null], 'a list of files with the entry null'],
    [[{}, 'x'], 'a list of files with the entry "x"'],
    [[{ type: 'file' }], 'a list of files with the path nothing'],
    [[{ type: 'file', path: 5 }], 'a list of files with the path 5'],
    [[{ type: 'file', path: 'a', lfs: 5 }], 'no size and hash for "a"'],
  ] as const) {
    it(`says what is wrong with a listing: ${JSON.stringify(value)}`, async () => {
      answer = (socket) => socket.write(json(value));
      await expectRefusal((await client()).tree(COMMIT), 'HUB_UNAVAILABLE', words);
    });
  }

  it('says so where an answer is no JSON, or goes on nowhere', async () => {
    answer = (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n<html>sign in</html>');
    await expectRefusal((await client()).commit(), 'HUB_UNAVAILABLE', 'no JSON but "<html>sign in</html>"');
    answer = (socket) => socket.end(`${OK}link: <http://[/>; rel="next"\r\ncontent-length: 2\r\n\r\n[]`);
    await expectRefusal((await client()).tree(COMMIT), 'HUB_UNAVAILABLE', 'goes on at "http://[/"');
  });
});
