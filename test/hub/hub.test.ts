import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset } from '../../lib/data/dataset.js';
import { comparisonExperiments, settle } from '../../lib/experiments/comparison.js';
import { executeRun } from '../../lib/experiments/execute.js';
import { PRESETS } from '../../lib/experiments/presets.js';
import { readConfig } from '../../lib/formats/checkpoint/config.js';
import { parseHubId } from '../../lib/hub/id.js';
import { findDataset, findModel, pinned } from '../../lib/hub/index.js';
import { hubSettings } from '../../lib/hub/settings.js';
import { lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { runCli } from '../cli/run-cli.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { writeTinyAdapter } from '../lib/tiny-adapters.js';
import { LABELS, tinySplit } from '../lib/tiny-model.js';
import type { FakeHub, FakeRepository } from './fake-hub.js';
import { COMMIT, OTHER_COMMIT, paperModel, tinyModel, useEnvironment, useFakeHubs } from './support.js';

const CPU = { device: 'cpu', precision: 'fp32', threads: 1 } as const;

describe('the Hugging Face hub', function () {
  this.timeout(30_000);
  const directory = useTemporaryDirectory();
  const setEnvironment = useEnvironment();
  const startHub = useFakeHubs();

  async function use(...repositories: FakeRepository[]): Promise<FakeHub> {
    const hub = await startHub(...repositories);
    setEnvironment({ HF_HOME: directory.path(), HF_ENDPOINT: hub.endpoint });
    return hub;
  }

  /** A hub where nobody answers. */
  async function useNoHub(): Promise<string> {
    const hub = await startHub();
    setEnvironment({ HF_HOME: directory.path(), HF_ENDPOINT: hub.endpoint });
    await hub.stop();
    return process.env.HF_ENDPOINT!;
  }

  /** A snapshot as Python leaves it: no listing. */
  async function fillAsPython(files: Record<string, string>, options: { ref?: boolean; missing?: string[] } = {}) {
    const root = directory.path('hub/models--org--paper');
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(root, 'blobs'), { recursive: true });
      await writeFile(join(root, 'blobs', `etag-${path}`), text);
      const target = join(root, 'snapshots', COMMIT, path);
      await mkdir(dirname(target), { recursive: true });
      await symlink(`../../blobs/etag-${path}`, target);
    }
    for (const path of options.missing ?? []) {
      await mkdir(join(root, '.no_exist', COMMIT), { recursive: true });
      await writeFile(join(root, '.no_exist', COMMIT, path), '');
    }
    await mkdir(join(root, 'refs'), { recursive: true });
    if (options.ref ?? true) await writeFile(join(root, 'refs/main'), COMMIT);
    return join(root, 'snapshots', COMMIT);
  }

  const whole = {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': 'w',
    'tokenizer.json': '{}',
    'vocab.txt': 'v',
  };
  const absent = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];

  describe('findModel', () => {
    it('leaves a local path alone', async () => {
      const hub = await use();
      expect(await findModel(directory.path())).to.include({ directory: directory.path(), commit: null });
      await expectRefusal(
        findModel(directory.path(), { revision: 'main' }),
        'INVALID_OPTION',
        'revision',
        'is for ids of the hub',
      );
      expect(hub.seen).to.deep.equal([]);
    });

    it('names both possibilities where there is neither', async () => {
      await use();
      await expectRefusal(
        findModel(directory.path('none')),
        'NOT_FOUND',
        'no such file or folder',
        'org/name@revision',
      );
      await expectRefusal(findModel('./none'), 'NOT_FOUND', 'no such file or folder');
      await expectRefusal(findModel('org/none'), 'NOT_FOUND', 'local folder org/none', 'there is neither', 'HF_TOKEN');
    });

    it('takes a branch, a tag or a commit', async () => {
      await use(paperModel({ refs: { 'v1.0': OTHER_COMMIT, 'refs/pr/1': OTHER_COMMIT } }));
      expect(await findModel('org/paper')).to.include({ commit: COMMIT, revision: null });
      expect(await findModel('org/paper@v1.0')).to.include({
        commit: OTHER_COMMIT,
        revision: 'v1.0',
        name: 'org/paper',
      });
      expect(await findModel('org/paper', { revision: 'refs/pr/1' })).to.include({ commit: OTHER_COMMIT });
      expect(await findModel(`org/paper@${COMMIT}`)).to.include({ commit: COMMIT });
      expect(await readFile(directory.path('hub/models--org--paper/refs/refs/pr/1'), 'utf8')).to.equal(OTHER_COMMIT);
      await expectRefusal(findModel('org/paper@v9'), 'NOT_FOUND', 'revision v9 of the model org/paper');
      await expectRefusal(findModel('org/paper@v1.0', { revision: 'main' }), 'INVALID_OPTION', 'revision');
      await expectRefusal(findModel('org/paper', { revision: '../../x' }), 'INVALID_OPTION', 'revision');
    });

    it('asks nobody about a commit whose files are here', async () => {
      const hub = await use(paperModel());
      await findModel('org/paper');
      const before = hub.seen.length;
      const found = await findModel(`org/paper@${COMMIT}`);
      expect(hub.seen).to.have.length(before);
      expect(found.notes).to.deep.equal([]);
    });

    it('asks nobody about a commit that Python has downloaded', async () => {
      await useNoHub();
      const folder = await fillAsPython(whole, { missing: absent });
      expect(await findModel(`org/paper@${COMMIT}`)).to.deep.include({ directory: folder, notes: [] });
    });

    it('uses what the branch was, with a note, where the hub is out of reach', async () => {
      await useNoHub();
      const folder = await fillAsPython(whole);
      const { notes, ...found } = await findModel('org/paper');
      expect(found).to.include({ directory: folder, commit: COMMIT });
      expect(notes.join()).to.match(/could not be reached for org\/paper.*cached main \(0123456789ab\)/);
    });

    it('uses the cache alone offline', async () => {
      const hub = await use(paperModel());
      setEnvironment({ HF_HUB_OFFLINE: '1' });
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'HF_HUB_OFFLINE', 'hf download org/paper');
      const folder = await fillAsPython(whole);
      expect(await findModel('org/paper')).to.deep.include({ directory: folder, notes: [] });
      await rm(join(folder, 'model.safetensors'));
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'model.safetensors', 'hf download org/paper');
      expect(hub.seen).to.deep.equal([]);
    });

    it('takes the names of a cache that was laid out by hand', async () => {
      await useNoHub();
      const root = directory.path('hub/models--org--paper');
      const folder = join(root, 'snapshots/local');
      await mkdir(folder, { recursive: true });
      for (const [path, text] of Object.entries(whole)) await writeFile(join(folder, path), text);
      await mkdir(join(root, 'refs'));
      await writeFile(join(root, 'refs/main'), 'local');
      const found = await findModel('org/paper');
      expect(found).to.include({ directory: folder, commit: 'local' });
      expect(found.notes.join()).to.contain('cached main (local)');
      setEnvironment({ HF_HUB_OFFLINE: '1' });
      expect(await findModel('org/paper')).to.deep.include({ directory: folder, commit: 'local', notes: [] });
      expect(await findModel(await pinned('model', 'org/paper'))).to.include({ directory: folder, revision: 'local' });
      await rm(join(folder, 'config.json'));
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'config.json');
    });

    for (const ref of ['../..', '..', '.', '/etc', 'a/b', 'a\\b', 'C:', 'a\0b', '', 'x'.repeat(256)]) {
      it(`never takes a ref for a path: ${JSON.stringify(ref).slice(0, 20)}`, async () => {
        await useNoHub();
        setEnvironment({ HF_HUB_OFFLINE: '1' });
        const root = directory.path('hub/models--org--paper');
        await mkdir(join(root, 'snapshots'), { recursive: true });
        await mkdir(join(root, 'refs'));
        await writeFile(join(root, 'refs/main'), ref);
        // A whole model where the path leads, if there can be such a path.
        const target = join(root, 'snapshots', ref);
        for (const [path, text] of Object.entries(whole)) {
          await mkdir(target, { recursive: true })
            .then(() => writeFile(join(target, path), text))
            .catch(() => undefined);
        }
        await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'hf download org/paper');
      });
    }

    it('says what is lacking offline of what it had begun itself', async () => {
      await use(paperModel());
      const { directory: folder } = await findModel('org/paper');
      await rm(join(folder, 'vocab.txt'));
      setEnvironment({ HF_HUB_OFFLINE: 'yes' });
      await expectRefusal(findModel('org/paper'), 'HUB_UNAVAILABLE', 'it lacks vocab.txt');
    });

    it('completes what Python has begun', async () => {
      const hub = await use(paperModel());
      await fillAsPython({ 'config.json': '{"model_type":"bert"}' });
      const { directory: folder } = await findModel('org/paper');
      expect(hub.transfers('config.json')).to.deep.equal([]);
      expect(await readFile(join(folder, 'vocab.txt'), 'utf8')).to.equal('[PAD]\n');
    });

    it('says what to do where nothing answers', async () => {
      const endpoint = await useNoHub();
      const said = [
        'HF_ENDPOINT',
        'HF_HUB_OFFLINE=1',
        'hf download org/none',
        'local folder',
        endpoint,
        'ECONNREFUSED',
      ];
      await expectRefusal(findModel('org/none'), 'HUB_UNAVAILABLE', ...said);
    });

    it('tells a gated from a private repository and from a wrong token', async () => {
      await use(paperModel({ gated: true }), paperModel({ name: 'org/private', token: 'right' }));
      await expectRefusal(findModel('org/paper'), 'HUB_ACCESS', 'gated', 'Accept its conditions at', 'HF_TOKEN');
      await expectRefusal(findModel('org/private'), 'HUB_ACCESS', 'private or does not exist', 'set HF_TOKEN');
      setEnvironment({ HF_TOKEN: 'wrong' });
      await expectRefusal(findModel('org/private'), 'HUB_ACCESS', 'the token that was sent', 'check HF_TOKEN');
      setEnvironment({ HF_TOKEN: 'right' });
      expect(await findModel('org/private')).to.include({ commit: COMMIT });
    });

    it('refuses a repository of pickles, and fetches none', async () => {
      const hub = await use(
        paperModel({
          files: { 'config.json': '{"model_type":"bert"}', 'vocab.txt': '', 'pytorch_model.bin': 'pickle' },
          large: [],
        }),
        paperModel({
          name: 'org/adapter',
          files: { 'adapter_config.json': '{}', 'adapter_model.bin': 'x' },
          large: [],
        }),
      );
      await expectRefusal(
        findModel('org/paper'),
        'CHECKPOINT_INVALID',
        'pytorch_model.bin',
        'Convert it to safetensors',
      );
      await expectRefusal(findModel('org/adapter'), 'CHECKPOINT_INVALID', 'adapter_model.bin', 'a pickle');
      expect(hub.seen.some(({ path }) => /\/resolve\/.*\.bin$/.test(path))).to.equal(false);
    });

    it('fetches the shards that the index names', async () => {
      const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } });
      const files = {
        'config.json': '{"model_type":"bert"}',
        'vocab.txt': '[PAD]',
        'model.safetensors.index.json': index,
        'model-1.safetensors': '1',
        'model-2.safetensors': '2',
        'model-3.safetensors': '3',
      };
      await use(paperModel({ files, large: [] }));
      const found = await findModel('org/paper');
      expect(found.files).to.include.members(['model-1.safetensors', 'model-2.safetensors']);
      expect(found.files).not.to.include('model-3.safetensors');
    });

    it('fetches every file that a tokenizer may need', async () => {
      const { files } = paperModel();
      const extra = [
        'added_tokens.json',
        'special_tokens_map.json',
        'tokenizer_config.json',
        'vocab.json',
        'merges.txt',
      ];
      const unread = ['tokenizer.pkl', 'spiece.model'];
      const more = Object.fromEntries([...extra, ...unread].map((name) => [name, name]));
      const hub = await use(paperModel({ files: { ...files, ...more } }));
      const found = await findModel('org/paper');
      expect(found.files).to.include.members([...extra, 'tokenizer.json', 'vocab.txt']);
      for (const name of unread) expect(hub.transfers(name), name).to.deep.equal([]);
    });

    it('follows the hub to a new name', async () => {
      const hub = await use(paperModel({ token: 'secret' }));
      setEnvironment({ HF_TOKEN: 'secret' });
      hub.fault = ({ path }, response) => {
        if (!path.includes('old-name')) return false;
        response.writeHead(307, { location: path.replace('old-name', 'org/paper') }).end();
        return true;
      };
      expect(await findModel('old-name')).to.include({ commit: COMMIT, name: 'old-name' });
    });

    it('stops before it asks where its signal is aborted', async () => {
      const hub = await use(paperModel());
      await expectRefusal(findModel('org/paper', { signal: AbortSignal.abort() }), 'ABORTED');
      expect(hub.seen).to.deep.equal([]);
    });
  });

  describe('findDataset', () => {
    const files = { 'README.md': '# card', 'data/train.csv': 'text,label\na,x\nb,y\n', 'data/big.csv': 'no' };
    const dataset: FakeRepository = { kind: 'dataset', name: 'org/data', commit: COMMIT, files };

    it('fetches what `select` chooses, given paths and card', async () => {
      const hub = await use(dataset);
      const asked: unknown[] = [];
      const select = (paths: readonly string[], card: string | null) => {
        asked.push([paths, card]);
        return ['data/train.csv'];
      };
      const found = await findDataset('org/data', { select });
      expect(asked).to.deep.equal([[Object.keys(files), '# card']]);
      expect(found.directory).to.equal(directory.path('hub/datasets--org--data/snapshots', COMMIT));
      expect(await readFile(join(found.directory, 'data/train.csv'), 'utf8')).to.equal(files['data/train.csv']);
      expect(hub.transfers('data/big.csv')).to.deep.equal([]);
      const before = hub.seen.length;
      await findDataset(`org/data@${COMMIT}`, { select });
      expect(hub.seen, 'all of it is here').to.have.length(before);
    });

    it('refuses a selection of nothing, or of what is not there', async () => {
      await use(dataset);
      await expectRefusal(findDataset('org/data', { select: () => [] }), 'NOT_FOUND', 'data files', 'data/train.csv');
      await expectRefusal(findDataset('org/data', { select: () => ['x.csv'] }), 'INVALID_OPTION', 'x.csv');
      await expectRefusal(findDataset('org/none', { select: () => [] }), 'NOT_FOUND', 'data set org/none');
    });

    it('is what loadDataset calls for an id', async () => {
      await use({ ...dataset, files: { 'train.csv': files['data/train.csv'] } });
      const data = await loadDataset('org/data');
      expect(data.train?.texts).to.deep.equal(['a', 'b']);
    });
  });

  describe('pinned', () => {
    it('names the commit, and leaves paths and commits alone', async () => {
      const hub = await use(paperModel());
      expect(await pinned('model', 'org/paper')).to.equal(`org/paper@${COMMIT}`);
      const before = hub.seen.length;
      expect(await pinned('model', `org/paper@${OTHER_COMMIT}`)).to.equal(`org/paper@${OTHER_COMMIT}`);
      expect(await pinned('model', directory.path())).to.equal(directory.path());
      expect(hub.seen).to.have.length(before);
    });
  });

  describe('TextClassifier', () => {
    it('loads a model by its id, and an adapter that names it', async () => {
      const tiny = await tinyModel(directory.path('tiny'));
      const hub = await use({ ...tiny, refs: { v2: COMMIT } });
      await using model = await TextClassifier.load('org/tiny', { ...CPU, revision: 'v2' });
      expect(model.labels).to.deep.equal(LABELS);
      const trainer = new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 });
      await trainer.train(tinySplit('train', 8, 1));
      await model.save(directory.path('adapter'));
      const config = JSON.parse(await readFile(directory.path('adapter/adapter_config.json'), 'utf8'));
      expect(config).to.include({ base_model_name_or_path: 'org/tiny', revision: 'v2' });

      const names = ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'];
      const files = Object.fromEntries(
        await Promise.all(names.map(async (name) => [name, await readFile(directory.path('adapter', name))] as const)),
      );
      const second = await use(
        { ...tiny, refs: { v2: COMMIT } },
        { kind: 'model', name: 'org/adapter', commit: OTHER_COMMIT, files },
      );
      await using again = await TextClassifier.load('org/adapter', CPU);
      expect(again.method).to.deep.include({ kind: 'lora', rank: 2 });
      expect(await again.predict('good')).to.deep.equal(await model.predict('good'));
      expect(second.seen.some(({ path }) => path.endsWith('/api/models/org/tiny/revision/v2'))).to.equal(true);
      expect(second.transfers('model.safetensors'), 'fetched before').to.deep.equal([]);
      expect(hub.transfers('model.safetensors')).not.to.deep.equal([]);
    });

    it('asks for no base that was a folder, and says so where a name may have been one', async () => {
      const tiny = await tinyModel(directory.path('tiny'), 'models/base');
      const config = await readConfig(directory.path('tiny'));
      const adapter = { rank: 2, alpha: 4, targets: ['query'], labels: LABELS, seed: 1 };
      const out = directory.path('out');
      const save = (base: string) => writeTinyAdapter(out, base, config, adapter);
      const hub = await use({ ...tiny, refs: { v2: COMMIT } });
      for (const folder of ['../base', './models/base', '/models/base', 'C:\\models\\base', 'a/models/base']) {
        await save(folder);
        await expectRefusal(TextClassifier.load(out, CPU), 'NOT_FOUND', folder, 'there is no folder', 'with base');
        expect(hub.seen, folder).to.deep.equal([]);
      }
      // Version 0.1.0 wrote a folder's path as it was given: only the hub can tell whether it is an id.
      await save('models/base');
      await using model = await TextClassifier.load(out, CPU);
      expect(model.notes.join()).to.match(/models\/base was taken from the hub \(there is no folder/);
      await save('models/other');
      await expectRefusal(
        TextClassifier.load(out, CPU),
        'NOT_FOUND',
        `(there is no folder ${directory.path('out/models/other')}`,
        'As an id of the hub: ',
        'say where it is with base: a folder',
      );
      // PEFT and this version say that it is one.
      await copyWith(out, out, 'adapter_config.json', (json) => {
        Object.assign(json, { base_model_name_or_path: 'models/base', revision: 'v2' });
      });
      await using known = await TextClassifier.load(out, CPU);
      expect(known.notes.join()).to.not.include('taken from the hub');
    });
  });

  describe('the command line', () => {
    it('trains on a model of the hub, and says what it fetches', async () => {
      const hub = await use(await tinyModel(directory.path('tiny')));
      await writeFile(directory.path('train.csv'), 'text,label\ngood,yes\nbad,no\n');
      const files = ['--train-file', directory.path('train.csv'), '--output', directory.path('out')];
      const method = ['--method', 'lora', '--max-steps', '1', '--device', 'cpu', '--threads', '1'];
      const result = await runCli(['train', '--model', 'org/tiny@main', ...files, ...method]);
      expect(result.status, result.stderr).to.equal(0);
      expect(result.stderr).to.contain('fetching org/tiny from the Hugging Face hub').and.to.contain('MiB');
      const config = JSON.parse(await readFile(directory.path('out/adapter_config.json'), 'utf8'));
      expect(config).to.include({ base_model_name_or_path: 'org/tiny', revision: 'main' });
      expect(
        hub.seen.filter(({ path }) => path.includes('/revision/')),
        'asked once',
      ).to.have.length(1);
    });
  });

  describe('a comparison', () => {
    it('asks and fetches once for all its processes', async () => {
      const rows = 'text,label\ngood,yes\nbad,no\nother,maybe\n';
      const files = { 'train.csv': rows, 'test.csv': rows };
      const tiny = await tinyModel(directory.path('tiny'));
      const hub = await use(tiny, { kind: 'dataset', name: 'org/data', commit: COMMIT, files });
      const overrides = { model: 'org/tiny', data: 'org/data', methods: ['linear'], where: CPU };
      const [before, linear] = await settle(comparisonExperiments(PRESETS.quick, overrides), {});
      expect(linear).to.include({ model: before.model, data: `org/data@${COMMIT}` });
      await loadDataset(before.data, before.dataset);
      await hub.stop();
      const record = await executeRun(before);
      expect(record.error).to.equal(undefined);
      expect(record.test?.examples).to.equal(3);
    });
  });

  describe('its settings', () => {
    const cache = async (values: Record<string, string>) => (await hubSettings(values)).cache;

    it('are those of the environment, as Python reads them', async () => {
      expect(await cache({ HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' })).to.equal('/a');
      expect(await cache({ HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' })).to.equal('/b');
      expect(await cache({ HF_HOME: '$ROOT/c', ROOT: '/r', XDG_CACHE_HOME: '/d' })).to.equal('/r/c/hub');
      expect(await cache({ XDG_CACHE_HOME: '/d' })).to.equal('/d/huggingface/hub');
      expect(await cache({})).to.match(/.\.cache.huggingface.hub$/);
      for (const value of ['1', 'on', 'YES', 'True']) {
        expect(await hubSettings({ HF_HUB_OFFLINE: value })).to.include({ offline: true });
      }
      expect(await hubSettings({ HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' })).to.include({ offline: false });
      expect(await hubSettings({ TRANSFORMERS_OFFLINE: '1' })).to.include({ offline: true });
      const timeouts = {
        HF_HUB_ETAG_TIMEOUT: '3',
        HF_HUB_DOWNLOAD_TIMEOUT: '0',
        HF_ENDPOINT: 'https://mirror.example/',
      };
      expect(await hubSettings({ ...timeouts, HF_TOKEN: ' t\n' })).to.include({
        metadataTimeout: 3000,
        stallTimeout: 10_000,
        endpoint: 'https://mirror.example',
        token: 't',
      });
      await writeFile(directory.path('tok'), 'filed\n');
      const filed = { HF_TOKEN_PATH: directory.path('tok') };
      expect(await hubSettings(filed)).to.include({ token: 'filed' });
      expect(await hubSettings({ ...filed, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).to.include({ token: null });
      await expectRefusal(hubSettings({ HF_HUB_ETAG_TIMEOUT: 'soon' }), 'INVALID_OPTION', 'HF_HUB_ETAG_TIMEOUT');
      await expectRefusal(hubSettings({ HF_ENDPOINT: 'mirror' }), 'INVALID_OPTION', 'HF_ENDPOINT');
    });
  });

  describe('parseHubId', () => {
    it('knows ids as the hub does', () => {
      for (const id of ['foo', 'foo/bar', '123', 'Foo-BAR_foo.bar123', 'google-bert/bert-base-uncased']) {
        expect(parseHubId(id), id).to.deep.equal({ name: id, revision: null });
      }
      expect(parseHubId('a/b@refs/pr/1')).to.deep.equal({ name: 'a/b', revision: 'refs/pr/1' });
      const odd = [
        '',
        'a/b/c',
        '.repo',
        'foo--bar',
        'foo..bar',
        'foo.git',
        '/a',
        'a/',
        './a',
        '../a',
        '~/a',
        'a\\b',
        'é',
      ];
      const revisions = [
        'a@',
        'a@../b',
        'a@/b',
        'a@b\\c',
        'a@b c',
        `${'x'.repeat(97)}`,
        'train.csv',
        'model.safetensors',
      ];
      for (const source of [...odd, ...revisions]) expect(parseHubId(source), source).to.equal(null);
    });
  });
});
