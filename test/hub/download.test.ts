import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, renameSync } from 'node:fs';
import { access, lstat, mkdir, readdir, readFile, readlink, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { findModel, type HubProgress } from '../../lib/hub/index.js';
import { loadNative } from '../../lib/native/index.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { type FakeHub, gitHash, type Seen, send, sha256 } from './fake-hub.js';
import { COMMIT, OTHER_COMMIT, paperModel, useEnvironment, useFakeHubs } from './support.js';

const WEIGHTS = 'model.safetensors';

describe('a download from the hub', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  const setEnvironment = useEnvironment();
  const startHub = useFakeHubs();
  const repository = paperModel();
  const weights = Buffer.from(repository.files[WEIGHTS]!);
  const blob = () => directory.path('hub/models--org--paper/blobs', sha256(weights));
  const partial = () => `${blob()}.bertune.incomplete`;

  async function use(...args: Parameters<typeof startHub>): Promise<FakeHub> {
    const hub = await startHub(...(args.length > 0 ? args : [repository]));
    setEnvironment({ HF_HOME: directory.path(), HF_ENDPOINT: hub.endpoint });
    return hub;
  }

  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  const isWeights = ({ host, path }: Seen) => host === 'cdn' && path.endsWith(WEIGHTS);

  /** Answers the first requests for the weights by `faults`, the others as they should be. */
  function spoil(hub: FakeHub, ...faults: FakeHub['fault'][]): void {
    let count = 0;
    hub.fault = (request, response, body) => {
      if (!isWeights(request)) return false;
      const fault = faults[count];
      count += 1;
      return fault?.(request, response, body) ?? false;
    };
  }

  const expectWhole = async () => {
    expect(
      (await readFile(directory.path('hub/models--org--paper/snapshots', COMMIT, WEIGHTS))).equals(weights),
    ).to.equal(true);
    expect(await exists(partial()), 'a partial file').to.equal(false);
  };

  it('leaves the layout that Python reads, and only the files that are needed', async () => {
    await use();
    const found = await findModel('org/paper');
    expect(found).to.include({ commit: COMMIT, name: 'org/paper', revision: null });
    const root = directory.path('hub/models--org--paper');
    expect(found.directory).to.equal(join(root, 'snapshots', COMMIT));
    expect((await readdir(found.directory)).sort()).to.deep.equal([
      'config.json',
      WEIGHTS,
      'tokenizer.json',
      'vocab.txt',
    ]);
    expect(await readlink(join(found.directory, WEIGHTS))).to.equal(`../../blobs/${sha256(weights)}`);
    expect(await readlink(join(found.directory, 'vocab.txt'))).to.equal(`../../blobs/${gitHash('[PAD]\n')}`);
    expect(await readFile(join(root, 'refs/main'), 'utf8')).to.equal(COMMIT);
    expect((await readdir(join(root, '.no_exist', COMMIT))).sort()).to.deep.equal([
      'added_tokens.json',
      'special_tokens_map.json',
      'tokenizer_config.json',
    ]);
    expect((await readdir(join(root, 'blobs'))).some((name) => /incomplete|tmp/.test(name))).to.equal(false);
    await expectWhole();
  });

  it('keeps copies where there are no links', async () => {
    await use();
    setEnvironment({ HF_HUB_DISABLE_SYMLINKS: '1' });
    const { directory: folder } = await findModel('org/paper');
    expect((await lstat(join(folder, WEIGHTS))).isFile()).to.equal(true);
    await expectWhole();
  });

  it('says how far it is', async () => {
    await use();
    const steps: HubProgress[] = [];
    await findModel('org/paper', { onProgress: (progress) => steps.push(progress) });
    // Of what is fetched once config.json has said what the model is.
    const total = 300_000 + 2 + 6;
    expect(steps.at(-1)).to.include({ source: 'org/paper', receivedBytes: total, totalBytes: total });
    const bytes = steps.filter(({ totalBytes }) => totalBytes === total).map(({ receivedBytes }) => receivedBytes);
    expect(bytes).to.deep.equal([...bytes].sort((a, b) => a - b));
  });

  it('sends the token to the hub alone, not to where it redirects', async () => {
    const hub = await use(paperModel({ token: 'secret' }));
    setEnvironment({ HF_TOKEN: 'secret\n' });
    await findModel('org/paper');
    const hosts = (host: Seen['host']) => hub.seen.filter((request) => request.host === host);
    expect(hosts('hub').every(({ authorization }) => authorization === 'Bearer secret')).to.equal(true);
    expect(hosts('cdn').map(({ authorization }) => authorization)).to.deep.equal([undefined]);
  });

  it('takes the token of the file that hf auth login writes', async () => {
    await use(paperModel({ token: 'filed' }));
    await writeFile(directory.path('token'), 'filed\n');
    expect(await findModel('org/paper')).to.include({ commit: COMMIT });
  });

  it('goes on after a broken transfer where it broke off', async () => {
    const hub = await use();
    spoil(hub, (_, response, body) => {
      response.writeHead(200, { 'content-length': body!.length });
      response.write(body!.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50));
      return true;
    });
    await findModel('org/paper');
    const ranges = hub.seen.filter(isWeights).map(({ range }) => range);
    expect(ranges).to.deep.equal([undefined, 'bytes=100000-']);
    await expectWhole();
  });

  it('goes on in another process where the first was stopped', async () => {
    const hub = await use();
    await mkdir(directory.path('hub/models--org--paper/blobs'), { recursive: true });
    await writeFile(partial(), weights.subarray(0, 1234));
    await findModel('org/paper');
    expect(hub.seen.find(isWeights)?.range).to.equal('bytes=1234-');
    await expectWhole();
  });

  it('starts over where the server does not resume', async () => {
    const hub = await use();
    await mkdir(directory.path('hub/models--org--paper/blobs'), { recursive: true });
    await writeFile(partial(), weights.subarray(0, 1234));
    spoil(hub, (request, response, body) => {
      send({ ...request, range: undefined }, response, body!);
      return true;
    });
    await findModel('org/paper');
    expect(hub.seen.filter(isWeights)).to.have.length(1);
    await expectWhole();
  });

  it('starts over where what it went on with was spoilt', async () => {
    const hub = await use();
    await mkdir(directory.path('hub/models--org--paper/blobs'), { recursive: true });
    await writeFile(partial(), Buffer.alloc(1234, 'x'));
    await findModel('org/paper');
    expect(hub.seen.filter(isWeights).map(({ range }) => range)).to.deep.equal(['bytes=1234-', undefined]);
    await expectWhole();
  });

  it('tries again after a transfer that stalls', async () => {
    const hub = await use();
    setEnvironment({ HF_HUB_DOWNLOAD_TIMEOUT: '1' });
    spoil(hub, (_, response, body) => {
      response.writeHead(200, { 'content-length': body!.length });
      response.write(body!.subarray(0, 100));
      return true;
    });
    await findModel('org/paper');
    expect(hub.seen.filter(isWeights).map(({ range }) => range)).to.deep.equal([undefined, 'bytes=100-']);
    await expectWhole();
  });

  it('gives up on a transfer that drips', async () => {
    const hub = await use();
    setEnvironment({ HF_HUB_DOWNLOAD_TIMEOUT: '1' });
    hub.fault = (request, response, body) => {
      if (!isWeights(request)) return false;
      const start = Number(/\d+/.exec(request.range ?? '0')?.[0]);
      response.writeHead(start > 0 ? 206 : 200, { 'content-range': `bytes ${start}-299999/300000` });
      let next = start;
      const drip = setInterval(() => response.write(body!.subarray(next, ++next)), 100);
      response.on('close', () => clearInterval(drip));
      return true;
    };
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'fewer than 1024 bytes came in 1 s', WEIGHTS);
    expect(hub.seen.filter(isWeights)).to.have.length(4);
    expect(hub.seen.filter(isWeights).at(-1)?.range, 'what dripped is kept').to.match(/^bytes=\d+-$/);
  });

  it('gives up on a server that breaks off again and again', async () => {
    const hub = await use();
    hub.fault = (request, response, body) => {
      if (!isWeights(request)) return false;
      const start = Number(/\d+/.exec(request.range ?? '0')?.[0]);
      response.writeHead(start > 0 ? 206 : 200, { 'content-range': `bytes ${start}-299999/300000` });
      response.write(body!.subarray(start, start + 10), () => setTimeout(() => response.destroy(), 50));
      return true;
    };
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'broke off', WEIGHTS);
    expect(hub.seen.filter(isWeights)).to.have.length(4);
  });

  it('asks from the start where the server refuses the rest', async () => {
    const hub = await use();
    await mkdir(directory.path('hub/models--org--paper/blobs'), { recursive: true });
    await writeFile(partial(), weights.subarray(0, 1234));
    spoil(hub, (_, response) => {
      response.writeHead(416).end();
      return true;
    });
    await findModel('org/paper');
    expect(hub.seen.filter(isWeights).map(({ range }) => range)).to.deep.equal(['bytes=1234-', undefined]);
    await expectWhole();
  });

  it('tries again after 503 and after 429, when Retry-After says', async () => {
    const hub = await use();
    const status =
      (code: number, headers = {}): FakeHub['fault'] =>
      (_, response) => {
        response.writeHead(code, headers).end();
        return true;
      };
    spoil(hub, status(503), status(429, { 'retry-after': '1' }));
    const start = performance.now();
    await findModel('org/paper');
    expect(performance.now() - start).to.be.greaterThan(1300);
    expect(hub.seen.filter(isWeights)).to.have.length(3);
  });

  it('tries a question again, too', async () => {
    const hub = await use();
    let asked = 0;
    hub.fault = ({ path }, response) => {
      if (!path.includes('/revision/')) return false;
      asked += 1;
      if (asked === 1) response.destroy();
      else if (asked === 2) response.writeHead(502).end();
      return asked < 3;
    };
    await findModel('org/paper');
    expect(asked).to.equal(3);
  });

  it('gives up on a server that wants minutes', async () => {
    const hub = await use();
    hub.fault = (_, response) => {
      response.writeHead(429, { 'retry-after': '600' }).end();
      return true;
    };
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'status 429', '600 s');
    expect(hub.seen).to.have.length(1);
  });

  it('shows nothing of a file whose hash is wrong', async () => {
    const hub = await use();
    const wrong: FakeHub['fault'] = (request, response, body) => {
      send(request, response, Buffer.alloc(body!.length, 'x'));
      return true;
    };
    spoil(hub, wrong, wrong);
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', WEIGHTS, 'hash', sha256(weights));
    for (const path of [blob(), partial(), directory.path('hub/models--org--paper/snapshots', COMMIT, WEIGHTS)]) {
      expect(await exists(path), path).to.equal(false);
    }
    await findModel('org/paper');
    await expectWhole();
  });

  it('checks the hash of files that git keeps, too', async () => {
    const hub = await use();
    hub.fault = (request, response, body) => {
      if (!request.path.endsWith('/vocab.txt')) return false;
      send(request, response, Buffer.alloc(body!.length, 'x'));
      return true;
    };
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'vocab.txt', gitHash('[PAD]\n'));
  });

  it('refuses more bytes than the file has', async () => {
    const hub = await use();
    spoil(hub, (request, response, body) => {
      send(request, response, Buffer.concat([body!, Buffer.from('more')]));
      return true;
    });
    await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'more than the 300000 bytes');
    expect(await exists(blob())).to.equal(false);
  });

  it('fetches the rest of a file that came too short', async () => {
    const hub = await use();
    spoil(hub, (request, response, body) => {
      send(request, response, body!.subarray(0, 5000));
      return true;
    });
    await findModel('org/paper');
    expect(hub.seen.filter(isWeights).at(-1)?.range).to.equal('bytes=5000-');
    await expectWhole();
  });

  it('says that the disk is too small before it starts', async () => {
    const hub = await use();
    hub.fault = ({ path }, response) => {
      if (!path.includes('/tree/')) return false;
      const file = (name: string, size: number, content = name) => ({
        type: 'file',
        path: name,
        size,
        oid: gitHash(content),
      });
      const config = '{"model_type":"bert"}';
      response.end(
        JSON.stringify([
          file('config.json', config.length, config),
          file(WEIGHTS, 2 ** 52),
          file('vocab.txt', 6, '[PAD]\n'),
        ]),
      );
      return true;
    };
    await expectRefusal(findModel('org/paper'), 'OUTPUT_REFUSED', 'the disk is full', 'HF_HUB_CACHE');
  });

  it('stops at its signal, and keeps what has come', async () => {
    const hub = await use();
    const controller = new AbortController();
    spoil(hub, (_, response, body) => {
      response.writeHead(200, { 'content-length': body!.length });
      response.write(body!.subarray(0, 1000));
      setTimeout(() => controller.abort(), 100);
      return true;
    });
    await expectRefusal(findModel('org/paper', { signal: controller.signal }), 'ABORTED');
    expect(await readFile(partial())).to.have.length(1000);
    await findModel('org/paper');
    await expectWhole();
  });

  it('happens once when two processes want the same', async () => {
    const hub = await use();
    spoil(hub, (request, response, body) => {
      setTimeout(() => send(request, response, body!), 500);
      return true;
    });
    const program = fileURLToPath(new URL('find-model.ts', import.meta.url));
    const children = [1, 2].map(() => fork(program, ['org/paper']));
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'close'))[0]));
    expect(codes).to.deep.equal([0, 0]);
    for (const name of [WEIGHTS, 'config.json', 'vocab.txt']) {
      expect(
        hub.seen.filter(({ host, path }) => path.endsWith(`/${name}`) && (name !== WEIGHTS || host === 'cdn')),
        name,
      ).to.have.length(1);
    }
    await expectWhole();
  });

  it('happens once in containers that share the cache', async function () {
    const isolate = ['--map-root-user', '--pid', '--fork', '--uts', '--mount-proc', 'sh', '-c'];
    if (spawnSync('unshare', [...isolate, 'hostname a']).status !== 0) this.skip();
    const hub = await use();
    spoil(hub, (request, response, body) => {
      setTimeout(() => send(request, response, body!), 1000);
      return true;
    });
    const program = fileURLToPath(new URL('find-model.ts', import.meta.url));
    const command = [process.execPath, ...process.execArgv, program, 'org/paper'].map((word) => `'${word}'`).join(' ');
    const children = ['a', 'b', 'c'].map((name) =>
      spawn('unshare', [...isolate, `hostname ${name} && exec ${command}`], {
        stdio: ['ignore', 'inherit', 'inherit'],
      }),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'close'))[0]));
    expect(codes).to.deep.equal([0, 0, 0]);
    expect(hub.seen.filter(isWeights)).to.have.length(1);
    await expectWhole();
  });

  it('goes by no name, process id or time in a lock file', async () => {
    await use();
    const lock = directory.path('hub/.locks/models--org--paper', `${sha256(weights)}.bertune.lock`);
    await mkdir(dirname(lock), { recursive: true });
    const text = JSON.stringify({ host: 'elsewhere', pid: 1 });
    await writeFile(lock, text);
    await utimes(lock, new Date('2100-01-01'), new Date('2100-01-01'));
    await findModel('org/paper');
    expect(await readFile(lock, 'utf8')).to.equal(text);
    await expectWhole();
  });

  it('leaves the partial file of a writer whose lock was passed over to that writer', async () => {
    await use();
    await mkdir(dirname(partial()), { recursive: true });
    await writeFile(partial(), 'being written');
    const writer = openSync(partial(), 'r');
    expect(loadNative().lockFile(writer)).to.equal(true);
    await findModel('org/paper');
    expect(await readFile(partial(), 'utf8')).to.equal('being written');
    closeSync(writer);
    await rm(partial());
    await expectWhole();
    expect((await readdir(dirname(blob()))).filter((name) => name.includes('incomplete'))).to.deep.equal([]);
  });

  it('is content where another machine, whose lock is not seen, has published the file first', async () => {
    const hub = await use();
    spoil(hub, (request, response, body) => {
      renameSync(partial(), blob());
      send(request, response, body!);
      return true;
    });
    await findModel('org/paper');
    await expectWhole();
  });

  it('shares blobs between commits', async () => {
    const hub = await use();
    await findModel('org/paper');
    const next = await use(
      paperModel({ commit: OTHER_COMMIT, files: { ...repository.files, 'vocab.txt': '[UNK]\n' } }),
    );
    const found = await findModel('org/paper');
    expect(found.commit).to.equal(OTHER_COMMIT);
    expect(hub.transfers(WEIGHTS)).to.have.length(2); // the hub's redirect and the other host
    expect(next.transfers(WEIGHTS)).to.deep.equal([]);
    expect(next.transfers('vocab.txt')).to.have.length(1);
  });

  for (const path of ['../../../../evil', '/etc/evil', 'a/../../evil', '..\\evil', 'C:/evil', 'a//b']) {
    it(`refuses a repository with the path ${path}`, async () => {
      await use(paperModel({ files: { ...repository.files, [path]: 'evil' } }));
      await expectRefusal(findModel('org/paper'), 'CHECKPOINT_INVALID', 'inside the repository', JSON.stringify(path));
    });
  }
});
