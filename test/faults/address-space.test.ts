import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { useTemporaryDirectory } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { LONG, note } from './scale.js';

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL('./address-space-program.mjs', import.meta.url));
const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Longer than any of the runs takes, and shorter than for ever. */
const LIMIT_MILLISECONDS = 60_000;

const isPossible = process.platform === 'linux' && !process.env.BERTUNE_SANITIZER;

/** MiB of address space. Node.js itself takes some 760; with a second thread it may die on its own below 1600. */
function sizes(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}

(isPossible ? describe : describe.skip)('faults: a process with little address space', function () {
  this.timeout(LONG ? 3_600_000 : 300_000);
  const directory = useTemporaryDirectory();
  beforeEach(() => writeTinyCheckpoint(directory.path('model')));

  /** What a program prints, and how it ended where that was not well. */
  async function inSpace(mebibytes: number, args: string[], environment: NodeJS.ProcessEnv = {}): Promise<string> {
    const all = [`--as=${mebibytes * 2 ** 20}`, process.execPath, ...args];
    const options = {
      timeout: LIMIT_MILLISECONDS,
      killSignal: 'SIGKILL',
      env: { ...process.env, ...environment },
    } as const;
    return run('prlimit', all, options).then(
      ({ stdout }) => stdout.trim(),
      ({ signal, code, stderr }) => `${signal ?? `status ${code}`} ${String(stderr).trim()}`,
    );
  }

  for (const [task, where, short] of [
    ['predict', 'main', [...sizes(1024, 2048, 256), 4096, ...sizes(11_700, 12_000, 150)]],
    ['train', 'main', sizes(1024, 3072, 512)],
    ['predict', 'worker', sizes(1792, 3072, 640)],
  ] as const) {
    it(`is told OUT_OF_MEMORY or served: ${task}, in the ${where} thread`, async () => {
      const all = LONG ? sizes(short[0]!, 16_384, 64) : short;
      const outcomes: string[] = [];
      for (const size of all) {
        const outcome = await inSpace(size, [PROGRAM, LIBRARY, directory.path('model'), task, where]);
        expect(outcome, `${size} MiB`).to.be.oneOf(['done', 'OUT_OF_MEMORY']);
        outcomes.push(outcome);
      }
      // What is enough stays enough, and both are seen.
      expect(outcomes[0]).to.equal('OUT_OF_MEMORY');
      expect(outcomes.slice(outcomes.indexOf('done'))).to.not.include('OUT_OF_MEMORY');
      expect(outcomes.at(-1)).to.equal('done');
      note(`address space: sizes tried, ${task} in the ${where} thread`, all.length);
    });
  }

  it('reads Parquet that is not compressed, and is told where it is', async () => {
    const program = directory.path('read.mjs');
    await writeFile(
      program,
      `import { loadDataset } from ${JSON.stringify(LIBRARY)};
      const read = (path) => loadDataset(path).then(({ train }) => train.texts.length, ({ code }) => code);
      console.log(await read(process.argv[2]), await read(process.argv[3]));`,
    );
    const paths = ['UNCOMPRESSED', 'SNAPPY'].map((codec) => directory.path(`${codec}.parquet`));
    for (const codec of ['UNCOMPRESSED', 'SNAPPY'] as const) {
      const columnData = ['text', 'label'].map((name) => ({ name, data: ['good', 'bad'] }));
      await writeFile(directory.path(`${codec}.parquet`), Buffer.from(parquetWriteBuffer({ columnData, codec })));
    }
    expect(await inSpace(4096, [program, ...paths])).to.equal('2 OUT_OF_MEMORY');
    expect(await inSpace(16_384, [program, ...paths])).to.equal('2 2');
  });

  it('asks the hub where there is little', async () => {
    const server = createServer((_, response) => response.writeHead(404).end('{}')).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => server.once('listening', resolve));
      const hub = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const environment = { HF_ENDPOINT: hub, HF_HOME: directory.path('cache') };
      const answer = await inSpace(4096, [CLI, 'predict', '--model', 'a/b', 'good'], environment);
      expect(answer).to.match(/^status 1 error \[NOT_FOUND\]/);
    } finally {
      server.close();
    }
  });
});
