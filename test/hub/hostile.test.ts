import { execFileSync } from 'node:child_process';
import { link, lstat, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { findDataset, findModel } from '../../lib/hub/index.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { type FakeHub, type FakeRepository, gitHash, sha256 } from './fake-hub.js';
import { COMMIT, paperModel, useEnvironment, useFakeHubs } from './support.js';

describe('a hub or a cache that means harm', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  const setEnvironment = useEnvironment();
  const startHub = useFakeHubs();

  async function use(repository: FakeRepository = paperModel()): Promise<FakeHub> {
    const hub = await startHub(repository);
    setEnvironment({ HF_HOME: directory.path(), HF_ENDPOINT: hub.endpoint });
    return hub;
  }

  describe('a cache with planted links', () => {
    const root = () => directory.path('hub/models--org--paper');
    const weights = Buffer.from(paperModel().files['model.safetensors']!);
    const partial = () => directory.path('hub/models--org--paper/blobs', `${sha256(weights)}.bertune.incomplete`);
    const victim = () => directory.path('victim');

    const expectWhole = async () => {
      const file = directory.path('hub/models--org--paper/snapshots', COMMIT, 'model.safetensors');
      expect((await readFile(file)).equals(weights)).to.equal(true);
    };

    for (const [kind, plant] of Object.entries({ 'symbolic link': symlink, 'hard link': link })) {
      it(`writes through no partial file that is a ${kind}`, async () => {
        await use();
        await mkdir(dirname(partial()), { recursive: true });
        await writeFile(victim(), 'as it was');
        await plant(victim(), partial());
        await findModel('org/paper');
        expect(await readFile(victim(), 'utf8')).to.equal('as it was');
        await expectWhole();
      });
    }

    it('creates nothing where a partial file leads', async () => {
      await use();
      await mkdir(dirname(partial()), { recursive: true });
      await symlink(victim(), partial());
      await findModel('org/paper');
      expect(await lstat(victim()).catch(() => null)).to.equal(null);
      await expectWhole();
    });

    it('neither waits for a pipe nor writes to a folder in the place of a partial file', async () => {
      await use();
      await mkdir(dirname(partial()), { recursive: true });
      execFileSync('mkfifo', [partial()]);
      await findModel('org/paper');
      await expectWhole();
      await rm(directory.path('hub'), { recursive: true });
      await mkdir(partial(), { recursive: true });
      await findModel('org/paper');
      await expectWhole();
    });

    it('writes through no link in the place of a lock, a blob, a ref or a listing', async () => {
      await use();
      await writeFile(victim(), 'as it was');
      const places = [
        directory.path('hub/.locks/models--org--paper', `${sha256(weights)}.bertune.lock`),
        directory.path('hub/CACHEDIR.TAG'),
        ...[
          `blobs/${sha256(weights)}`,
          'refs/main',
          `trees/${COMMIT}.json`,
          `snapshots/${COMMIT}/vocab.txt`,
          `snapshots/${COMMIT}/model.safetensors`,
        ].map((name) => `${root()}/${name}`),
      ];
      for (const place of places) {
        await mkdir(dirname(place), { recursive: true });
        await symlink(victim(), place);
      }
      await findModel('org/paper');
      expect(await readFile(victim(), 'utf8')).to.equal('as it was');
      await expectWhole();
    });

    for (const folder of [
      'hub/.locks',
      'hub/.locks/models--org--paper',
      'hub/models--org--paper',
      'hub/models--org--paper/blobs',
      'hub/models--org--paper/snapshots',
      `hub/models--org--paper/snapshots/${COMMIT}`,
      'hub/models--org--paper/trees',
      `hub/models--org--paper/.no_exist`,
    ]) {
      it(`puts nothing into the folder that ${folder} leads to`, async () => {
        await use();
        await mkdir(victim());
        await mkdir(dirname(directory.path(folder)), { recursive: true });
        await symlink(victim(), directory.path(folder));
        await expectRefusal(
          findModel('org/paper'),
          'OUTPUT_REFUSED',
          directory.path(folder),
          'is a link',
          'HF_HUB_CACHE',
        );
        expect(await readdir(victim())).to.deep.equal([]);
      });
    }

    it('writes no ref through a folder of refs that is a link, which it can do without', async () => {
      await use();
      await mkdir(victim());
      await mkdir(root(), { recursive: true });
      await symlink(victim(), `${root()}/refs`);
      expect(await findModel('org/paper')).to.include({ commit: COMMIT });
      expect(await readdir(victim())).to.deep.equal([]);
    });

    it('keeps a cache that is itself a link', async () => {
      await use();
      await mkdir(directory.path('disk'));
      await symlink(directory.path('disk'), directory.path('hub'));
      await findModel('org/paper');
      await expectWhole();
    });

    it('reads no card without end', async () => {
      await use();
      setEnvironment({ HF_HUB_OFFLINE: '1' });
      const folder = directory.path('hub/datasets--org--data');
      await mkdir(`${folder}/snapshots/${COMMIT}`, { recursive: true });
      await mkdir(`${folder}/refs`);
      await writeFile(`${folder}/refs/main`, COMMIT);
      await writeFile(`${folder}/snapshots/${COMMIT}/README.md`, '# card');
      await truncate(`${folder}/snapshots/${COMMIT}/README.md`, 560 * 2 ** 20);
      await expectRefusal(
        findDataset('org/data', { select: () => [] }),
        'INVALID_DATA',
        'README.md',
        'found 587202560',
      );
    });

    it('waits for no pipe in the place of a ref', async () => {
      await use();
      await mkdir(`${root()}/refs`, { recursive: true });
      execFileSync('mkfifo', [`${root()}/refs/main`]);
      expect(await findModel('org/paper')).to.include({ commit: COMMIT });
    });
  });

  describe('a server', () => {
    const listed = (hub: FakeHub, answer: (page: number, next: string) => [headers: object, body: string]) => {
      let pages = 0;
      hub.fault = ({ path }, response) => {
        if (!path.includes('/tree/')) return false;
        pages += 1;
        const [headers, body] = answer(pages, `${hub.endpoint}${path}?page=${pages}`);
        response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);
        return true;
      };
      return () => pages;
    };
    const entry = (path: string, more: object = {}) => ({ type: 'file', path, size: 1, oid: gitHash(path), ...more });

    it('whose list of files has no last page', async () => {
      const hub = await use();
      const pages = listed(hub, (page, next) => [
        { link: `<${next}>; rel="next"` },
        JSON.stringify([entry(`${page}`)]),
      ]);
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'more than 300 pages of files');
      expect(pages()).to.equal(300);
    });

    it('whose list of files is too long to hold', async () => {
      const hub = await use();
      const long = 'x'.repeat(7 * 2 ** 20);
      listed(hub, (page, next) => [
        { link: `<${next}>; rel="next"` },
        JSON.stringify([entry(`${page}/${long}`, { xetHash: 'x' })]),
      ]);
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'a listing too long');
    });

    it('whose list of files is full of nothing', async () => {
      const hub = await use();
      const page = `[${'{},'.repeat(2e5)}{}]`;
      const pages = listed(hub, (_, next) => [{ link: `<${next}>; rel="next"` }, page]);
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'a listing too long');
      expect(pages()).to.equal(1);
    });

    it('whose answer does not end', async () => {
      const hub = await use();
      const chunk = Buffer.alloc(2 ** 20, '[');
      let sent = 0;
      hub.fault = (_, response) => {
        response.writeHead(200);
        const more = () => {
          while (!response.destroyed && sent++ < 1000) {
            if (!response.write(chunk)) return;
          }
          response.end();
        };
        response.on('drain', more);
        more();
        return true;
      };
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'more than 8388608 bytes');
      expect(sent, 'MiB').to.be.lessThan(100);
    });

    it('whose answer is nested without end', async () => {
      const hub = await use();
      listed(hub, () => [{}, '['.repeat(5e6) + ']'.repeat(2e6)]);
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'no usable answer');
    });

    for (const [words, odd] of Object.entries({
      'a negative size': { size: -1 },
      'half a byte': { size: 0.5 },
      'a size in words': { size: '1' },
      'a list for a hash': { oid: [gitHash('x')] },
      'a list for the hash of a large file': { lfs: { oid: [sha256('x')], size: 1 } },
      'a negative size of a large file': { lfs: { oid: sha256('x'), size: -5 } },
      'no hash': { oid: undefined },
    })) {
      it(`that lists ${words}`, async () => {
        const hub = await use();
        listed(hub, () => [{}, JSON.stringify([entry('config.json', odd)])]);
        await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'no size and hash for "config.json"');
      });
    }

    it('that gives a list for a commit', async () => {
      const hub = await use();
      hub.fault = (_, response) => {
        response.writeHead(200).end(JSON.stringify({ sha: [COMMIT], lastModified: '2024-01-01' }));
        return true;
      };
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'no commit id');
    });

    for (const place of ['/api/', 'model.safetensors']) {
      it(`that redirects in circles (${place})`, async () => {
        const hub = await use();
        hub.fault = ({ path }, response) => {
          if (!path.includes(place)) return false;
          response.writeHead(302, { location: path }).end();
          return true;
        };
        await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'more than 5 redirects');
        expect(hub.seen.filter(({ path }) => path.includes(place))).to.have.length(6);
      });
    }

    it('with a card too long to read', async () => {
      const dataset: FakeRepository = {
        kind: 'dataset',
        name: 'org/data',
        commit: COMMIT,
        files: { 'README.md': '#' },
      };
      const hub = await use(dataset);
      listed(hub, () => [{}, JSON.stringify([entry('README.md', { size: 560 * 2 ** 20 }), entry('train.csv')])]);
      await expectRefusal(
        findDataset('org/data', { select: () => ['train.csv'] }),
        'INVALID_DATA',
        'at most 16777216 bytes in README.md',
        'found 587202560',
      );
      expect(hub.transfers('README.md')).to.deep.equal([]);
    });

    it('with an index of shards too long to read', async () => {
      const hub = await use();
      const config = '{"model_type":"bert"}';
      const names = [entry('config.json', { size: config.length, oid: gitHash(config) }), entry('vocab.txt')];
      const index = entry('model.safetensors.index.json', { size: 560 * 2 ** 20 });
      listed(hub, () => [{}, JSON.stringify([...names, index])]);
      await expectRefusal(
        findModel('org/paper'),
        'CHECKPOINT_INVALID',
        'at most 16777216 bytes in model.safetensors.index',
      );
    });
  });
});
