import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { findArchive } from '../../scripts/package/onednn.js';
import { useTemporaryDirectory } from '../lib/files.js';

/*
 * Where the sources of the published addon's oneDNN come from, and what is said where they do not.
 */

describe("the archive of oneDNN's sources", () => {
  const directory = useTemporaryDirectory();
  const original = globalThis.fetch;
  afterEach(() => {
    globalThis.fetch = original;
  });

  const messageOf = (work: Promise<string>) =>
    work.then(
      () => 'no error',
      ({ name, message }: Error) => `${name}: ${message}`,
    );

  it('is a file that is named, and checked', async () => {
    expect(await messageOf(findArchive(directory.path('none.tar.xz')))).to.match(
      /^SetupError: There is no file .*none\.tar\.xz\. Fetch https:.*--onednn-source FILE$/,
    );
    const other = directory.path('other.tar.xz');
    await writeFile(other, 'other');
    expect(await messageOf(findArchive(other))).to.match(
      /^SetupError: Expected .*other\.tar\.xz to have the SHA-256 0cc51ca2\w{56} but found d9298a10\w{56}\. Fetch https:/,
    );
  });

  it('is not taken where the server has another', async () => {
    globalThis.fetch = async () => new Response('a page of a proxy');
    expect(await messageOf(findArchive(undefined, directory.path('')))).to.match(
      /^SetupError: Expected .* to have the SHA-256/,
    );
    expect((await readdir(directory.path(''))).filter((name) => name.endsWith('.tar.xz'))).to.deep.equal([]);
  });

  for (const [title, answer, reason] of [
    [
      'no network',
      () => {
        throw new TypeError('fetch failed', { cause: new Error('getaddrinfo ENOTFOUND deb.debian.org') });
      },
      'getaddrinfo ENOTFOUND deb.debian.org',
    ],
    ['a server that has it no longer', () => new Response('', { status: 404 }), 'the server answered 404'],
  ] as const) {
    it(`says what to do with ${title}`, async () => {
      globalThis.fetch = async () => answer();
      const message = await messageOf(findArchive(undefined, directory.path('')));
      expect(message).to.include(reason).and.to.include('npm run package -- --onednn-source FILE');
      expect(message).to.match(/^SetupError: The sources of oneDNN could not be fetched from https:/);
      expect(existsSync(directory.path('onednn_3.7.2+ds.orig.tar.xz'))).to.equal(false);
    });
  }
});
