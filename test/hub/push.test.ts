import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { pushModel } from '../../lib/hub/push.js';
import { runCli } from '../cli/run-cli.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { FakeUploadHub, refuse } from './fake-upload-hub.js';
import { useEnvironment } from './support.js';

describe('pushing a model to the hub', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  const set = useEnvironment();
  let hub: FakeUploadHub;

  beforeEach(async () => {
    hub = await FakeUploadHub.start();
    set({ HF_ENDPOINT: hub.endpoint, HF_HOME: directory.path('home'), HF_TOKEN: hub.token });
    await write({
      'config.json': '{}',
      'README.md': '# card',
      'tokenizer.json': '{"a":1}',
      'model.safetensors': 'w'.repeat(300_000),
    });
  });
  afterEach(() => hub.stop());

  const model = () => directory.path('model');
  async function write(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(directory.path('model', name)), { recursive: true });
      await writeFile(directory.path('model', name), text);
    }
  }
  const puts = () => hub.count('PUT', /lfs/);

  it('makes a private repository of the files of the model alone', async () => {
    await write({
      'results.json': '{}',
      'training_rows.json': '{}',
      'checkpoint-3/config.json': '{}',
      'base/config.json': '{}',
    });
    const shares: number[] = [];
    const pushed = await pushModel(model(), 'org/mood', { onProgress: ({ share }) => shares.push(share) });
    expect(pushed).to.deep.include({ url: `${hub.endpoint}/org/mood`, created: true, notes: [] });
    expect(pushed.commit).to.match(/^[0-9a-f]{40}$/);
    expect(hub.repositories.get('org/mood')!.visibility).to.equal('private');
    const expected = ['README.md', 'config.json', 'model.safetensors', 'tokenizer.json', 'base/config.json'];
    expect(Object.keys(hub.files('org/mood')).sort()).to.deep.equal([...expected].sort());
    expect([...pushed.files].sort()).to.deep.equal([...expected].sort());
    expect(hub.files('org/mood')['model.safetensors']).to.equal('w'.repeat(300_000));
    expect(shares.at(-1)).to.equal(1);
    // The token is the hub's alone: storage does not get it.
    for (const { method, authorization } of hub.seen) {
      expect(authorization).to.equal(method === 'PUT' ? undefined : `Bearer ${hub.token}`);
    }
  });

  it('goes to a branch, and to a repository that is there, without what is stale', async () => {
    await pushModel(model(), 'org/mood');
    await rm(directory.path('model', 'model.safetensors'));
    await write({ 'adapter_config.json': '{}', 'adapter_model.safetensors': 'a' });
    await rm(directory.path('model', 'config.json'));
    const again = await pushModel(model(), 'org/mood', { revision: 'lora' });
    expect(again.created).to.equal(false);
    expect(Object.keys(hub.files('org/mood', 'lora')).sort()).to.deep.equal(
      ['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'].sort(),
    );
    expect(hub.files('org/mood')).to.have.property('model.safetensors');
    // A branch that is there is gone on with.
    await pushModel(model(), 'org/mood', { revision: 'lora' });
  });

  it('makes nothing public that was not asked for', async () => {
    await pushModel(model(), 'org/open', { public: true });
    expect(hub.repositories.get('org/open')!.visibility).to.equal('public');
    const before = puts();
    await write({ 'model.safetensors': 'secret' });
    await expectRefusal(pushModel(model(), 'org/open'), 'OUTPUT_REFUSED', 'is public', 'public: true');
    expect(puts()).to.equal(before);
    expect(hub.files('org/open')['model.safetensors']).not.to.equal('secret');
    await pushModel(model(), 'org/mood');
    const { notes } = await pushModel(model(), 'org/mood', { public: true });
    expect(notes[0]).to.include('stays private');
    expect(hub.repositories.get('org/mood')!.visibility).to.equal('private');
  });

  it('refuses without a token, and with one that may not write', async () => {
    set({ HF_TOKEN: 'hf_of-somebody-else' });
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_ACCESS', '401', 'HF_TOKEN', 'Invalid username');
    set({ HF_TOKEN: undefined });
    const seen = hub.seen.length;
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_ACCESS', 'HF_TOKEN', 'hf auth login');
    expect(hub.seen.length).to.equal(seen);
    await mkdir(directory.path('home'), { recursive: true });
    await writeFile(directory.path('home', 'token'), `${hub.token}\n`);
    expect((await pushModel(model(), 'org/mood')).created).to.equal(true);
    set({ HF_HUB_OFFLINE: '1' });
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_UNAVAILABLE', 'HF_HUB_OFFLINE');
  });

  it('tries a transfer that breaks in the middle again', async () => {
    let breaks = 2;
    hub.fault = ({ method }, _, incoming) => {
      if (method !== 'PUT' || breaks === 0) return false;
      breaks -= 1;
      incoming.once('data', () => incoming.socket.destroy());
      return true;
    };
    await pushModel(model(), 'org/mood');
    expect(puts()).to.equal(3);
    expect(hub.files('org/mood')['model.safetensors']).to.equal('w'.repeat(300_000));
  });

  it('waits where the hub asks it to, and gives up at last; the next push sends only what has not arrived', async () => {
    await write({ 'base/model.safetensors': 'b'.repeat(1000) });
    const large = 300_000;
    hub.fault = ({ method }, response, incoming) => {
      if (method !== 'PUT' || Number(incoming.headers['content-length']) !== large) return false;
      incoming.resume();
      refuse(response.setHeader('retry-after', '0'), 503, 'busy');
      return true;
    };
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_UNAVAILABLE', 'status 503', 'Push again');
    // Four attempts at the large one, one at the other; nothing is seen of a push that is not whole.
    expect(puts()).to.equal(5);
    expect(hub.files('org/mood')).to.deep.equal({});
    hub.fault = () => false;
    const { created } = await pushModel(model(), 'org/mood');
    expect(created).to.equal(false);
    expect(puts()).to.equal(6);
    expect(hub.files('org/mood')['base/model.safetensors']).to.equal('b'.repeat(1000));
  });

  it('says what the hub refuses', async () => {
    const answer = (ending: RegExp, status: number, words: string) => {
      hub.fault = ({ path, method }, response, incoming) => {
        if (method !== 'POST' || !ending.test(path)) return false;
        incoming.resume();
        refuse(response, status, words);
        return true;
      };
    };
    answer(/commit\/main$/, 409, 'The branch has moved');
    await expectRefusal(pushModel(model(), 'org/mood'), 'OUTPUT_REFUSED', 'changed at the same time', 'has moved');
    answer(/commit\/main$/, 400, 'Invalid metadata in README.md');
    await expectRefusal(pushModel(model(), 'org/mood'), 'OUTPUT_REFUSED', 'Invalid metadata');
    answer(/repos\/create$/, 403, 'You have no rights to the organisation');
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_ACCESS', '403', 'no rights');
    answer(/repos\/create$/, 404, 'Organisation not found');
    await expectRefusal(pushModel(model(), 'org/mood'), 'NOT_FOUND', 'Organisation not found');
    await hub.stop();
    await expectRefusal(pushModel(model(), 'org/mood'), 'HUB_UNAVAILABLE', 'Push again');
  });

  it('refuses what is no model, no name and no branch', async () => {
    await expectRefusal(pushModel(directory.path('none'), 'org/mood'), 'NOT_FOUND', 'none');
    await mkdir(directory.path('empty'));
    await expectRefusal(pushModel(directory.path('empty'), 'org/mood'), 'NOT_FOUND', 'config.json');
    for (const name of ['mood', 'org/mood@main', '../mood', 'a/b/c']) {
      await expectRefusal(pushModel(model(), name), 'INVALID_OPTION', 'org/name');
    }
    await expectRefusal(pushModel(model(), 'org/mood', { revision: 'a b' }), 'INVALID_OPTION', 'revision');
    await expectRefusal(pushModel(model(), 'org/mood', { signal: AbortSignal.abort() }), 'ABORTED');
    expect(hub.seen).to.deep.equal([]);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    hub.fault = ({ method }) => {
      if (method === 'PUT') controller.abort();
      return false;
    };
    await expectRefusal(pushModel(model(), 'org/mood', { signal: controller.signal }), 'ABORTED');
    expect(hub.files('org/mood')).to.deep.equal({});
  });

  it('is a command, and what train does only where it is asked to', async () => {
    const done = await runCli(['push', model(), 'org/mood', '--revision', 'v1']);
    expect(done.status, done.stderr).to.equal(0);
    expect(done.stdout).to.equal(`${hub.endpoint}/org/mood\n`);
    expect(Object.keys(hub.files('org/mood', 'v1'))).to.include('model.safetensors');
    await runCli(['push', model(), 'org/open', '--public']);
    const refused = await runCli(['push', model(), 'org/open']);
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.match(/\[OUTPUT_REFUSED\].*--public/);

    const rows = directory.path('rows.csv');
    await writeFile(rows, `text,label\n${'i love it,joy\nso sad,sadness\n'.repeat(8)}`);
    const train = ['train', '--data', rows, '--max-steps', '1', '--method', 'linear', '--quiet'];
    const seen = hub.seen.length;
    const wrong = await runCli([...train, '--output', directory.path('out'), '--push', 'trained']);
    expect([wrong.status, wrong.stderr]).to.satisfy(
      ([status, words]: [number, string]) => status === 2 && words.includes('--push'),
    );
    set({ HF_TOKEN: '' });
    const access = await runCli([...train, '--output', directory.path('out'), '--push', 'org/trained']);
    set({ HF_TOKEN: hub.token });
    expect(access.stderr).to.include('HUB_ACCESS');
    expect(await readFile(directory.path('out', 'config.json'), 'utf8').catch(() => null)).to.equal(null);
    const plain = await runCli([...train, '--output', directory.path('plain')]);
    expect([plain.status, hub.seen.length], plain.stderr).to.deep.equal([0, seen]);
    const pushed = await runCli([...train, '--output', directory.path('out'), '--push', 'org/trained']);
    expect(pushed.status, pushed.stderr).to.equal(0);
    const files = hub.files('org/trained');
    expect(Object.keys(files)).to.include.members(['README.md', 'config.json', 'model.safetensors']);
    expect(files['README.md']).to.equal((await readFile(directory.path('out', 'README.md'))).toString('latin1'));
    expect(Object.keys(files)).not.to.include('results.json');
  });
});
