import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { type FoundAddon, findAddon, glibcVersion, type Host, thisHost } from '../../lib/native/addon.js';
import { packageVersion } from '../../lib/native/package.js';

const HOST: Host = { platform: 'linux', arch: 'x64', glibc: '2.36', cpu: new Set(['sse2', 'avx2', 'fma']) };
const NEEDS = { glibc: '2.35', cpu: ['avx2', 'fma'] };

describe('the look-up of the native addon', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'bertune-find-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function put(path: string, content: unknown = ''): Promise<string> {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  }
  const putPackage = (version = packageVersion(), name = 'linux-x64') =>
    put(`node_modules/@bertune/${name}/package.json`, { name: `@bertune/${name}`, version, bertune: NEEDS });

  const find = (host: Partial<Host> = {}, environment: NodeJS.ProcessEnv = {}): FoundAddon =>
    findAddon({ root, environment, host: () => ({ ...HOST, ...host }) });

  function messageOf(host: Partial<Host> = {}, environment: NodeJS.ProcessEnv = {}): string {
    try {
      find(host, environment);
    } catch (error) {
      expect(error).to.be.instanceOf(BertuneError);
      expect((error as BertuneError).code).to.equal('NATIVE_UNAVAILABLE');
      return (error as BertuneError).message;
    }
    throw new Error('Expected an error but an addon was found');
  }

  it('takes what BERTUNE_ADDON names, then what was built here, then the platform package', async () => {
    await putPackage();
    const prebuilt = join(root, 'node_modules/@bertune/linux-x64/bertune.node');
    expect(find()).to.include({ origin: 'package', path: prebuilt });
    const built = await put('build/Release/bertune.node');
    expect(find()).to.include({ origin: 'build', path: built });
    const named = await put('mine.node');
    expect(find({}, { BERTUNE_ADDON: named })).to.include({ origin: 'BERTUNE_ADDON', path: named });
  });

  it('takes the package of the platform', async () => {
    await putPackage(packageVersion(), 'linux-arm64');
    const arm = { arch: 'arm64', cpu: undefined };
    expect(find(arm).path).to.equal(join(root, 'node_modules/@bertune/linux-arm64/bertune.node'));
    expect(messageOf()).to.include('npm install @bertune/linux-x64`');
  });

  it('is an error where BERTUNE_ADDON names nothing, whatever else is there', async () => {
    await putPackage();
    expect(messageOf({}, { BERTUNE_ADDON: join(root, 'none.node') })).to.match(/none\.node, as BERTUNE_ADDON says/);
  });

  it('names every way to an addon where there is none', () => {
    const message = messageOf();
    for (const words of [
      'npm install @bertune/linux-x64`',
      '--omit=optional',
      'package-lock.json',
      'npx bertune build',
    ])
      expect(message).to.include(words);
  });

  it('offers the source alone on a platform without prebuilt binaries', () => {
    const message = messageOf({ platform: 'darwin', arch: 'arm64' });
    expect(message).to.include('darwin-arm64').and.to.include('npx bertune build').and.not.to.include('npm install');
  });

  it('says that it does not run on Windows, and where it does', () => {
    const message = messageOf({ platform: 'win32' });
    expect(message).to.include('WSL 2').and.not.to.include('npx bertune build');
  });

  it('refuses a package of another version', async () => {
    await putPackage('0.0.1');
    expect(messageOf()).to.include(`@bertune/linux-x64 ${packageVersion()} but found 0.0.1`);
  });

  it('refuses a binary that this machine cannot run, before it is opened', async () => {
    await putPackage();
    for (const [host, words] of [
      [{ glibc: undefined }, "another C library, such as Alpine's musl"],
      [{ glibc: '2.31' }, 'the GNU C library 2.35 or later and this system has 2.31'],
      [{ glibc: '2.4' }, 'this system has 2.4'],
      [{ cpu: new Set(['sse2', 'fma']) }, 'a processor with avx2;'],
      [{ cpu: new Set(['sse2']) }, 'a processor with avx2, fma;'],
    ] as const) {
      expect(messageOf(host)).to.include(words).and.to.include('npx bertune build');
    }
  });

  it('takes a machine that is newer, or whose processor says nothing of itself', async () => {
    await putPackage();
    for (const host of [{ glibc: '2.35' }, { glibc: '2.100' }, { glibc: '3.0' }, { cpu: undefined }])
      expect(find(host).origin).to.equal('package');
  });

  it('finds the package of CUDA backends beside any addon, in the same version alone', async function () {
    if (process.platform !== 'linux' || process.arch !== 'x64') this.skip();
    await put('build/Release/bertune.node');
    expect(find()).not.to.have.property('cudaLibrary');
    await putPackage(packageVersion(), 'linux-x64-cuda');
    expect(find().cudaLibrary).to.equal(join(root, 'node_modules/@bertune/linux-x64-cuda/libbertune_cuda.so'));
    await putPackage('0.0.1', 'linux-x64-cuda');
    expect(messageOf()).to.include('@bertune/linux-x64-cuda');
  });

  it('reads this machine', function () {
    if (process.platform !== 'linux') this.skip();
    expect(thisHost()).to.include({ platform: process.platform, arch: process.arch });
    expect(glibcVersion() ?? '2.0').to.match(/^\d+\.\d+/);
  });
});
