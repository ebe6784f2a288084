import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { open } from '../../lib/files/fs.js';
import { useTemporaryDirectory } from './files.js';

const LIBRARY = fileURLToPath(new URL('../../lib', import.meta.url));

describe('calls of the file system', () => {
  const directory = useTemporaryDirectory();
  const bytes = Buffer.alloc(1 << 20, 'bertune');
  const written = async () => {
    await writeFile(directory.path('file'), bytes);
    return open(directory.path('file'), 'r');
  };
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'none',
      (cause: NodeJS.ErrnoException) => cause.code,
    );

  it('read and write where they are told to', async () => {
    const file = await open(directory.path('new'), 'wx+', 0o600);
    await file.writeFile('0123456789');
    expect((await file.write(Buffer.from('abcdef'), 1, 3)).bytesWritten).to.equal(3);
    await file.sync();
    await file.truncate(12);
    const { size, mode } = await file.stat();
    expect([size, mode & 0o777]).to.deep.equal([12, 0o600]);
    const into = Buffer.alloc(8, '.');
    expect((await file.read(into, 2, 6, 8)).bytesRead).to.equal(4);
    expect(into.toString()).to.equal('..89bc..');
    await file.close();
    expect(await readFile(directory.path('new'), 'utf8')).to.equal('0123456789bc');
  });

  it('reject with what the system says', async () => {
    const found = await Promise.all([
      codeOf(open(directory.path('none'), 'r')),
      codeOf(open(directory.path(), 'w')),
      open(directory.path(), 'r').then(async (file) => {
        const code = await codeOf(file.read(Buffer.alloc(4), 0, 4, 0));
        await file.close();
        return code;
      }),
    ]);
    expect(found).to.deep.equal(['ENOENT', 'EISDIR', 'EISDIR']);
  });

  it('close a file after what is under way, once', async () => {
    const file = await written();
    const into = Buffer.alloc(bytes.length);
    const reading = Promise.all(Array.from({ length: 16 }, (_, i) => file.read(into, i << 16, 1 << 16, i << 16)));
    const closing = file.close();
    expect(await codeOf(file.stat())).to.equal('EBADF');
    await Promise.all([reading, closing, file.close()]);
    expect(into.equals(bytes)).to.equal(true);
    expect(await codeOf(file.read(into, 0, 1, 0))).to.equal('EBADF');
  });

  it('stream a file, which is closed with the stream', async () => {
    const file = await written();
    const chunks: Buffer[] = [];
    for await (const chunk of file.createReadStream({ highWaterMark: 1000 })) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(bytes)).to.equal(true);
    expect(Math.max(...chunks.map(({ length }) => length))).to.equal(1000);
    expect(await codeOf(file.stat())).to.equal('EBADF');
    await file.close();
  });

  it('are those of files/fs.ts everywhere in the library', async () => {
    const names = (await readdir(LIBRARY, { recursive: true })).filter((name) => name.endsWith('.ts'));
    expect(names).to.include(join('files', 'fs.ts'));
    const found = [];
    for (const name of names) {
      if (/(from|import\()\s*'(node:)?fs\/promises'/.test(await readFile(join(LIBRARY, name), 'utf8')))
        found.push(name);
    }
    expect(found).to.deep.equal([]);
  });
});
