import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import {
  dataFile,
  formatJson,
  prepareOutputDirectory,
  writeFileAtomic,
  writeFilesAtomic,
  writeJson,
} from '../../lib/files/output.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';

describe('output', () => {
  const directory = useTemporaryDirectory();

  describe('prepareOutputDirectory', () => {
    it('creates what is missing and leaves it empty', async () => {
      await prepareOutputDirectory(directory.path('a', 'b', 'c'));
      expect(await readdir(directory.path('a', 'b', 'c'))).to.deep.equal([]);
    });

    it('takes an empty directory', async () => {
      await prepareOutputDirectory(directory.path());
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('refuses a directory that is not empty unless told to overwrite, and removes nothing', async () => {
      await writeFile(directory.path('.hidden'), 'kept');
      await expectRefusal(prepareOutputDirectory(directory.path()), 'OUTPUT_REFUSED', 'is not empty', 'overwrite');
      await expectRefusal(prepareOutputDirectory(directory.path(), { overwrite: false }), 'OUTPUT_REFUSED');
      await prepareOutputDirectory(directory.path(), { overwrite: true });
      expect(await readdir(directory.path())).to.deep.equal(['.hidden']);
    });

    it('refuses a file in the way, whether at the end or half-way', async () => {
      await writeFile(directory.path('file'), 'kept');
      for (const overwrite of [false, true]) {
        await expectRefusal(prepareOutputDirectory(directory.path('file'), { overwrite }), 'OUTPUT_REFUSED', 'a file');
        await expectRefusal(prepareOutputDirectory(directory.path('file', 'a', 'b'), { overwrite }), 'OUTPUT_REFUSED');
      }
      expect(await readFile(directory.path('file'), 'utf8')).to.equal('kept');
    });

    it('refuses a link to nowhere', async () => {
      await symlink(directory.path('nowhere'), directory.path('link'));
      await expectRefusal(prepareOutputDirectory(directory.path('link')), 'OUTPUT_REFUSED');
    });

    it('removes what it made when the directory cannot be made in full', async () => {
      await expectRefusal(prepareOutputDirectory(directory.path('made', 'x'.repeat(300))), 'OUTPUT_REFUSED');
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('refuses a place that cannot be written, even for the superuser', async function () {
      if (process.platform !== 'linux') this.skip();
      await expectRefusal(prepareOutputDirectory('/proc/bertune'), 'OUTPUT_REFUSED', '/proc/bertune');
      await expectRefusal(prepareOutputDirectory('/proc', { overwrite: true }), 'OUTPUT_REFUSED', '/proc');
    });

    it('refuses a directory in the place of a file, and takes links and files there', async () => {
      await mkdir(directory.path('inside'));
      await symlink(directory.path('nowhere'), directory.path('link'));
      await writeFile(directory.path('file'), 'kept');
      const files = ['new', 'link', 'file', 'base/new'];
      await prepareOutputDirectory(directory.path(), { overwrite: true, files });
      const refused = prepareOutputDirectory(directory.path(), { overwrite: true, files: [...files, 'inside'] });
      await expectRefusal(refused, 'OUTPUT_REFUSED', directory.path('inside'), 'a directory');
      expect(await readdir(directory.path())).to.have.members(['inside', 'link', 'file']);
    });

    it('refuses what is no path', async () => {
      await expectRefusal(prepareOutputDirectory(''), 'INVALID_OPTION', 'output');
      await expectRefusal(prepareOutputDirectory(directory.path('a\0b')), 'OUTPUT_REFUSED');
    });
  });

  describe('writeFileAtomic', () => {
    it('writes text and bytes, replaces, and leaves no other file', async () => {
      await writeFileAtomic(directory.path('deep', 'file'), 'grüße');
      expect(await readFile(directory.path('deep', 'file'), 'utf8')).to.equal('grüße');
      await writeFileAtomic(directory.path('deep', 'file'), Uint8Array.of(1, 2, 3));
      expect([...(await readFile(directory.path('deep', 'file')))]).to.deep.equal([1, 2, 3]);
      expect(await readdir(directory.path('deep'))).to.deep.equal(['file']);
    });

    it('replaces a link and not what it points to', async () => {
      await writeFile(directory.path('original'), 'kept');
      await symlink(directory.path('original'), directory.path('link'));
      await writeFileAtomic(directory.path('link'), 'new');
      expect(await readFile(directory.path('original'), 'utf8')).to.equal('kept');
      expect(await readFile(directory.path('link'), 'utf8')).to.equal('new');
    });

    it('refuses a directory in the way and a place that cannot be written', async () => {
      await mkdir(directory.path('taken'));
      await expectRefusal(writeFileAtomic(directory.path('taken'), 'x'), 'OUTPUT_REFUSED', 'taken', 'a directory');
      expect(await readdir(directory.path())).to.deep.equal(['taken']);
      await writeFile(directory.path('file'), '');
      await expectRefusal(writeFileAtomic(directory.path('file', 'x'), 'x'), 'OUTPUT_REFUSED');
    });
  });

  describe('writeFilesAtomic', () => {
    const failing = {
      name: 'second',
      write: async () => {
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      },
    };

    it('leaves nothing behind when one file fails, not even the directory', async () => {
      const files = [dataFile('first', 'new'), failing];
      const error = await expectRefusal(
        writeFilesAtomic(directory.path('a', 'b'), files),
        'OUTPUT_REFUSED',
        'no space left on device',
      );
      expect(error.cause).to.have.property('code', 'ENOSPC');
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('leaves the old files as they were when one file fails', async () => {
      await writeFile(directory.path('first'), 'old');
      await expectRefusal(writeFilesAtomic(directory.path(), [dataFile('first', 'new'), failing]), 'OUTPUT_REFUSED');
      expect(await readdir(directory.path())).to.deep.equal(['first']);
      expect(await readFile(directory.path('first'), 'utf8')).to.equal('old');
    });

    it('writes nothing when a directory is where the last file is to be', async () => {
      await mkdir(directory.path('second'));
      const files = [dataFile('first', 'new'), dataFile('second', 'new')];
      await expectRefusal(writeFilesAtomic(directory.path(), files), 'OUTPUT_REFUSED', 'second');
      expect(await readdir(directory.path())).to.deep.equal(['second']);
    });

    it('takes back new files when a later one cannot get its name', async () => {
      await writeFile(directory.path('old'), 'old');
      const files = [dataFile('first', 'new'), dataFile('x'.repeat(300), 'new')];
      await expectRefusal(writeFilesAtomic(directory.path(), files), 'OUTPUT_REFUSED');
      expect(await readdir(directory.path())).to.deep.equal(['old']);
    });

    it('passes on errors that are not of the file system', async () => {
      const files = [{ name: 'x', write: () => Promise.reject(new TypeError('a bug')) }];
      const error = await writeFilesAtomic(directory.path('a'), files).then(undefined, (caught: unknown) => caught);
      expect(error).to.be.instanceOf(TypeError);
      expect(await readdir(directory.path())).to.deep.equal([]);
    });

    it('writes more than one chunk', async () => {
      const bytes = new Uint8Array(40 * 2 ** 20).fill(7);
      bytes[bytes.length - 1] = 8;
      await writeFilesAtomic(directory.path(), [dataFile('large', bytes)]);
      expect((await stat(directory.path('large'))).size).to.equal(bytes.length);
      expect((await readFile(directory.path('large'))).equals(bytes)).to.equal(true);
    });
  });

  describe('JSON', () => {
    it('is indented by two and ends with a newline', async () => {
      await writeJson(directory.path('file.json'), { b: [1], a: { d: null, c: 'ü' } });
      const text = '{\n  "b": [\n    1\n  ],\n  "a": {\n    "d": null,\n    "c": "ü"\n  }\n}\n';
      expect(await readFile(directory.path('file.json'), 'utf8')).to.equal(text);
    });

    it('has its keys sorted where asked for, names like __proto__ included', async () => {
      const value = JSON.parse('{"b": 1, "__proto__": {"d": 1, "c": [{"f": 1, "e": 2}]}, "B": 2}') as unknown;
      await writeJson(directory.path('file.json'), value, { sortKeys: true });
      const text = await readFile(directory.path('file.json'), 'utf8');
      expect(text.match(/"\w+"/g)).to.deep.equal(['"B"', '"__proto__"', '"c"', '"e"', '"f"', '"d"', '"b"']);
    });

    it('keeps whole numbers floats where a reader in Python tells them apart', () => {
      const value = { p: 0, q: 1, r: 0.5, s: 1e-12, t: -3, inner: { p: 0 }, u: 'p: 0' };
      const text = formatJson(value, { floats: ['p', 'r', 's', 't'] });
      expect(text).to.equal(
        '{\n  "p": 0.0,\n  "q": 1,\n  "r": 0.5,\n  "s": 1e-12,\n  "t": -3.0,\n  "inner": {\n    "p": 0\n  },\n  "u": "p: 0"\n}\n',
      );
    });
  });
});
