import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import { LONG } from '../faults/scale.js';

/*
 * The script of the first run on a GPU, where there is none: in a copy of the tree as it arrives there, with the emulated device
 * in a package as --pack writes it.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SCRIPT = 'scripts/first-light.sh';
const SHELL_FILES = [SCRIPT, 'scripts/gpu/stages.sh'];
const LINES_A_STAGE = 3;

const shell = (text: string) => execFileSync('bash', ['-c', text], { cwd: ROOT, encoding: 'utf8' });

describe('scripts/first-light.sh', function () {
  this.timeout(120_000);

  it('is sound shell', () => {
    for (const file of SHELL_FILES) shell(`bash -n ${file}`);
  });

  it('has a function and seconds for every stage, within the nine minutes and what setting up takes', () => {
    const names = shell(`${SCRIPT} --list`).trim().split('\n');
    const functions = shell('. scripts/gpu/stages.sh; compgen -A function stage_').trim().split('\n');
    expect(functions).to.have.members(names.map((name) => `stage_${name}`));
    const seconds = shell(`. scripts/gpu/stages.sh; printf '%s\\n' "\${stages[@]}"`).match(/\d+$/gm)!.map(Number);
    expect(seconds).to.have.lengthOf(names.length);
    expect(seconds.reduce((all, each) => all + each)).to.be.at.most(560);
  });

  it('says what is wrong with its options', () => {
    const run = () => execFileSync(SCRIPT, ['--fast'], { cwd: ROOT, stdio: 'pipe' });
    expect(run).to.throw('Expected --pack, --list, --device, --only or --seconds but received --fast');
  });

  (existsSync(EMULATOR_LIBRARY) ? describe : describe.skip)('on the emulated device', () => {
    let tree: string;
    beforeEach(() => {
      tree = mkdtempSync(join(tmpdir(), 'bertune-first-light-'));
      for (const name of ['bench', 'dist', 'lib', 'package.json', 'scripts']) {
        if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(tree, name), { recursive: true });
      }
      mkdirSync(join(tree, 'dist'), { recursive: true });
      // The seconds are a GPU's; this machine may be busy.
      const stages = join(tree, 'scripts/gpu/stages.sh');
      writeFileSync(stages, readFileSync(stages, 'utf8').replace(/^( {2}[a-z]+):\d+ /gm, '$1:300 '));
      symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
      mkdirSync(join(tree, 'build/first-light'), { recursive: true });
      const addon = ['bertune.node', 'bertune_operations.node', 'libbertune_cuda_emulated.so'];
      const files = addon.map((name) => `build/Release/${name}`);
      const packed = join(tree, 'build/first-light/addon.tar.xz');
      execFileSync('tar', ['-c', '-f', packed, '--use-compress-program=xz -0', ...files], { cwd: ROOT });
    });
    afterEach(() => rmSync(tree, { recursive: true, force: true }));

    /** @returns what was printed of each stage, by its title (of one that ran twice: the second time), and the log */
    async function run(only: string, env: NodeJS.ProcessEnv = {}) {
      const args = [SCRIPT, '--device', 'cuda-emulated', '--only', only];
      const { stdout } = await promisify(execFile)('bash', args, {
        cwd: tree,
        env: { ...process.env, OUT: join(tree, 'out'), ...env },
      });
      const stages = new Map<string, string[]>();
      for (const line of stdout.trimEnd().split('\n')) {
        const title = /^ *\d+ s {2}([^:;]+)[:;]/.exec(line)?.[1];
        if (title) stages.set(title, [line]);
        else [...stages.values()].at(-1)!.push(line);
      }
      return { stages, stdout, log: readFileSync(join(tree, 'out/first-light.log'), 'utf8') };
    }

    it('unpacks, multiplies, trains, and leaves out what takes CUDA', async () => {
      const { stages, stdout, log } = await run('hello,step,sanitizer,counters');
      for (const name of ['unpack', 'hello', 'step']) expect(stages.get(name)?.[0], stdout).to.include(': ok ');
      for (const name of ['sanitizer', 'counters']) expect(stages.get(name)?.[0]).to.include('skipped');
      for (const lines of stages.values()) expect(lines.length).to.be.at.most(LINES_A_STAGE);
      expect(stages.get('hello')!.join())
        .to.include('SIMT emulator')
        .and.match(/bf16, replayed: \d\.\de-3/);
      expect(stages.get('step')!.join()).to.match(/full [\d.]+ steps\/s, [\d.]+ nodes, loss 1\.\d+→1\.\d+, [\d.]+ MiB/);
      expect(stages.get('step')!.at(-1)).to.match(/one stream: full [\d.]+ steps\/s, [\d.]+ nodes/);
      expect(log).to.include('==== hello: status 0');
      expect(readFileSync(join(tree, 'out/step.json'), 'utf8')).to.include('loss_digest');
    });

    if (!LONG) return;
    it('repeats the losses, and measures the kernels', async () => {
      const { stages, stdout, log } = await run('repeat,kernels');
      for (const name of ['repeat', 'kernels']) expect(stages.get(name)?.[0], stdout).to.include(': ok ');
      const repeated = stages.get('repeat')!.slice(1);
      expect(repeated.map((line) => line.trim())).to.deep.equal([
        'again, without graphs, without overlap, on one stream: the same',
      ]);
      expect(log).to.include('residual norm');
    });

    it('goes on when a stage hangs or the addon is broken', async () => {
      const stagesFile = join(tree, 'scripts/gpu/stages.sh');
      const slow = readFileSync(stagesFile, 'utf8').replace('kernels:300 ', 'kernels:1 ');
      writeFileSync(stagesFile, slow.replace('stage_kernels() {', '$& echo begun; sleep 600;'));
      mkdirSync(join(tree, 'build/Release'), { recursive: true });
      writeFileSync(join(tree, 'build/Release/bertune_operations.node'), 'not an addon');
      const { stages } = await run('hello,kernels,counters');
      expect(stages.get('hello')![0]).to.include('FAILED');
      expect(stages.get('hello with CUDA_LAUNCH_BLOCKING=1')![0]).to.include('FAILED');
      expect(stages.get('kernels')![0]).to.include('STOPPED, its time was over').and.include('begun');
      expect(stages.get('counters')![0]).to.include('skipped');
    });

    it('goes on with what first works where steps fail', async () => {
      const bench = join(tree, 'bench/step.js');
      const fault = "if (process.env.BERTUNE_GEMM !== 'own') throw new Error('Expected a product but found none');\n";
      writeFileSync(bench, `${fault}${readFileSync(bench, 'utf8')}`);
      const { stages, stdout } = await run('step,kernels');
      expect([...stages.keys()], stdout).to.deep.equal([
        'unpack',
        'step',
        'step with BERTUNE_CUDA_PDL=off',
        'step with BERTUNE_CUDA_STREAMS=one',
        'step with BERTUNE_CUDA_GRAPHS=off',
        'step with BERTUNE_GEMM_TUNING=off',
        'step with BERTUNE_GEMM=own',
        'kernels',
        'the end',
      ]);
      expect(stages.get('step with BERTUNE_GEMM=own')!.join())
        .to.include('ok')
        .and.include('going on with BERTUNE_GEMM=own');
      expect(stages.get('step')![0], 'in the end').to.include('ok');
    });
  });
});

describe('scripts/gpu/counters.js', () => {
  it('adds up what Nsight Compute counted, by kernel', () => {
    const names = ['dram__bytes.sum', 'gpu__time_duration.sum', 'sm__warps_active.avg.pct_of_peak_sustained_active'];
    const rows = [
      ['ID', 'Kernel Name', ...names],
      ['', '', 'Mbyte', 'us', '%'],
      ['0', 'void bertune::cuda::(anonymous namespace)::adamw_kernel<float>(int, float *)', '1,200.5', '250.25', '80'],
      ['1', 'void bertune::cuda::<unnamed>::adamw_kernel<float>(int, float *)', '0.5', '10', '40'],
      ['2', 'nvjet_hsh_64x8', '5', '20', '30'],
    ];
    const folder = mkdtempSync(join(tmpdir(), 'bertune-counters-'));
    try {
      const table = rows.map((row) => row.map((cell) => `"${cell}"`).join(',')).join('\n');
      const file = join(folder, 'counters.csv');
      writeFileSync(file, `==PROF== Connected to process 12\n${table}\n`);
      const printed = execFileSync(process.execPath, ['scripts/gpu/counters.js', file], {
        cwd: ROOT,
        encoding: 'utf8',
      });
      expect(printed.trim().split('\n')).to.deep.equal([
        'all 3×: 280 µs, 1206 MB, warps 50.0 %',
        'adamw_kernel 2×: 260 µs, 1201 MB, warps 60.0 %',
        'nvjet_hsh_64x8 1×: 20.0 µs, 5.00 MB, warps 30.0 %',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('scripts/gpu/locales.js', () => {
  it('leaves a Node.js that sorts, folds and formats in English', function () {
    const folder = mkdtempSync(join(tmpdir(), 'bertune-locales-'));
    try {
      const file = join(folder, 'node');
      const zero = `
        import { readFileSync, writeFileSync } from 'node:fs';
        import { zeroLocales } from './scripts/gpu/locales.js';
        const program = readFileSync(process.execPath);
        console.log(zeroLocales(program));
        writeFileSync(process.argv[1], program, { mode: 0o755 });`;
      const args = ['--input-type=module', '-e', zero, file];
      const zeroed = Number(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }));
      if (zeroed === 0) this.skip(); // ICU is the system's
      const text = `['b', 'a10', 'a9'].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })) + (1234.5).toLocaleString() +
        'ﬁ'.normalize('NFKD') + /^\\p{L}$/u.test('é')`;
      const printed = execFileSync(file, ['-p', text], { encoding: 'utf8', env: { LC_ALL: 'C' } });
      expect(printed).to.equal('a9,a10,b1,234.5fitrue\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
