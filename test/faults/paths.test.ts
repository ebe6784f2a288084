import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { loadDataset } from '../../lib/data/dataset.js';
import { readCheckpoint } from '../../lib/formats/checkpoint.js';
import { writeSafetensors } from '../../lib/formats/safetensors.js';
import { isRevision, isSafePath, parseHubId } from '../../lib/hub/id.js';
import { treeFromJson } from '../../lib/hub/tree.js';
import { readAdapter } from '../../lib/methods/adapter/files.js';
import { expectRefusal, fixture, useTemporaryDirectory } from '../lib/files.js';
import { writeTinyAdapter } from '../lib/tiny-adapters.js';
import { LABELS, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { format } from './fuzz/formats/index.js';
import { note } from './scale.js';

/** Names that would lead a reader or a writer somewhere else. */
const ELSEWHERE = [
  '../secret',
  '/etc/secret',
  'a/../../secret',
  '..\\secret',
  'C:\\secret',
  'C:secret',
  '\\\\host\\share\\secret',
  './secret',
  'a/secret',
  'secret\0',
  'file:///secret',
  '%2e%2e/secret',
  '',
];

/*
 * What is trusted with a path, and what is not: an adapter's base_model_name_or_path names another folder, or a model of
 * the hub, by its nature. All else that files say (an index's shards, a card's patterns, a repository's listing) is about
 * the folder they are in. Links of the file system are followed: nothing that is downloaded makes any but the cache's own.
 */
describe('faults: paths in files', () => {
  const directory = useTemporaryDirectory();

  it('lets an index name no shard outside its folder', async () => {
    await mkdir(directory.path('model'));
    await format.prepare?.(directory.path('model'));
    await writeSafetensors(directory.path('secret.safetensors'), new Map());
    for (const name of ELSEWHERE) {
      const shard = name.endsWith('\0') ? 'secret.safetensors\0' : `${name}.safetensors`;
      const index = { weight_map: { 'classifier.weight': shard } };
      await writeFile(directory.path('model', 'model.safetensors.index.json'), JSON.stringify(index));
      const plain = shard === '.safetensors';
      await expectRefusal(
        readCheckpoint(directory.path('model')),
        plain ? 'NOT_FOUND' : 'CHECKPOINT_INVALID',
        ...(plain ? [] : ['Expected the name of a .safetensors file in the directory']),
      );
    }
    note('paths: names of shards that lead out of the folder', ELSEWHERE.length);
  });

  it('lets a card choose no file outside its folder', async () => {
    await mkdir(directory.path('data/inner'), { recursive: true });
    await writeFile(directory.path('secret.csv'), 'text,label\nsecret,a\n');
    await writeFile(directory.path('data/train.csv'), 'text,label\nopen,a\n');
    for (const path of ELSEWHERE.flatMap((name) => [name, `${name}.csv`, `${name}*`])) {
      for (const config of [
        { data_files: [{ split: 'train', path }] },
        { data_dir: path },
        { data_dir: '..', data_files: path },
      ]) {
        await writeFile(directory.path('data/README.md'), `---\n${JSON.stringify({ configs: [config] })}\n---\n`);
        const data = await loadDataset(directory.path('data')).catch((error) => error);
        const texts: string[] = data?.train?.texts ?? [];
        expect(texts, JSON.stringify(config)).to.not.include('secret');
        if (texts.length === 0)
          expect(data, JSON.stringify(config)).to.have.property('code').that.is.oneOf(['NOT_FOUND', 'INVALID_DATA']);
      }
    }
    note('paths: patterns of cards that lead out of the folder', ELSEWHERE.length * 9);
  });

  it('follows a link that a file system has, as the cache of the hub is made of them', async () => {
    await mkdir(directory.path('data'));
    await writeFile(directory.path('blob'), 'text,label\nlinked,a\n');
    await symlink('../blob', directory.path('data/train.csv'));
    expect((await loadDataset(directory.path('data'))).train?.texts).to.deep.equal(['linked']);
  });

  it('takes from an adapter the name of its base and nothing else: no file of the base is looked for in reading it', async () => {
    const config = await writeTinyCheckpoint(directory.path('base'));
    for (const base of ['/nowhere/at/all', '../../..', 'org/name', 'C:\\x', '\u001b[31m']) {
      const adapter = { rank: 2, alpha: 4, targets: ['query'], labels: LABELS, seed: 1 };
      await writeTinyAdapter(directory.path('adapter'), base, config, adapter);
      expect((await readAdapter(directory.path('adapter'))).baseModel).to.equal(base);
    }
  });

  it('writes no file of a repository outside the cache', () => {
    const hash = 'a'.repeat(40);
    for (const path of ELSEWHERE.filter((name) => name !== 'a/secret' && !/^(file|%)/.test(name))) {
      expect(isSafePath(path), JSON.stringify(path)).to.equal(false);
      const files = { [path]: { size: 1, blob_id: hash } };
      expect(treeFromJson({ format_version: 1, files }), JSON.stringify(path)).to.equal(null);
    }
    for (const blob of ['../../x', `${hash}/../x`, `/${hash.slice(1)}`, 'A'.repeat(40)]) {
      const files = { 'config.json': { size: 1, blob_id: blob } };
      expect(treeFromJson({ format_version: 1, files }), blob).to.equal(null);
    }
    for (const revision of ['../x', '/x', 'a/../b', '..', 'a\\b', 'a\0', ''])
      expect(isRevision(revision), revision).to.equal(false);
    for (const id of ['../x', 'a/../b', '/a/b', 'a/b/c', 'a\\b', 'a/..', 'a\0/b'])
      expect(parseHubId(id), id).to.equal(null);
  });

  it('leaves the folders that were read as they were', async () => {
    const model = fixture('checkpoints', 'sharded');
    const before = await readdir(model);
    await readCheckpoint(model);
    expect(await readdir(model)).to.deep.equal(before);
  });
});
