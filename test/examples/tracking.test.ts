import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { useTemporaryDirectory } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Call {
  method: string;
  path: string;
  authorization: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of several routes
  body: any;
}

/** What an MLflow server answers, by the end of the path; and what it was asked. */
function mlflowServer(answers: Record<string, [status: number, body: unknown]>): { server: Server; calls: Call[] } {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += part;
    const path = request.url!.replace('/api/2.0/mlflow/', '');
    const body = text === '' ? null : JSON.parse(text);
    calls.push({ method: request.method!, path, authorization: request.headers.authorization, body });
    const [status, answer] = answers[path.replace(/\?.*/, '')] ?? [200, {}];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  return { server, calls };
}

/** A module that writes down what the library of Weights & Biases is asked for. */
const WANDB = `import json
class Run:
    def define_metric(self, name, step_metric): note("define", name, step_metric)
    def log(self, values): note("log", values)
    def finish(self, exit_code): note("finish", exit_code)
def note(*call):
    with open("calls.jsonl", "a") as file: file.write(json.dumps(call) + "\\n")
def init(project, name, config):
    note("init", project, name, config)
    return Run()
`;

describe('examples/tracking', function () {
  this.timeout(30_000);
  const directory = useTemporaryDirectory();
  const folder = () => directory.path('tracking');

  beforeEach(async () => {
    await cp(join(ROOT, 'examples/tracking'), folder(), { recursive: true });
    await mkdir(join(folder(), 'node_modules'));
    await symlink(ROOT, join(folder(), 'node_modules/bertune'));
    await writeTinyCheckpoint(join(folder(), 'model'));
    await mkdir(join(folder(), 'data'));
    const rows = 'the day was good,yes\nbad,no\na day,maybe\n'.repeat(8);
    for (const split of ['train', 'validation'])
      await writeFile(join(folder(), 'data', `${split}.csv`), `text,label\n${rows}`);
  });

  /** Runs the example on a tiny model. */
  const run = (args: string[], env: Record<string, string>) =>
    promisify(execFile)(
      process.execPath,
      ['train.js', '--model', './model', '--data', './data', '--steps', '20', ...args],
      { cwd: folder(), env: { ...process.env, ...env } },
    );

  async function withMlflow(
    answers: Parameters<typeof mlflowServer>[0],
    work: (env: Record<string, string>, calls: Call[]) => Promise<void>,
  ): Promise<void> {
    const { server, calls } = mlflowServer(answers);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await work({ MLFLOW_TRACKING_URI: `http://127.0.0.1:${port}/`, MLFLOW_TRACKING_TOKEN: 'secret' }, calls);
    } finally {
      server.close();
    }
  }

  const CREATED = {
    'experiments/get-by-name': [404, { error_code: 'RESOURCE_DOES_NOT_EXIST' }],
    'experiments/create': [200, { experiment_id: '7' }],
    'runs/create': [200, { run: { info: { run_id: 'r1' } } }],
  } as Record<string, [number, unknown]>;

  it('logs settings, rows and evaluations to MLflow, and that the run has ended', async () => {
    await withMlflow(CREATED, async (env, calls) => {
      await run([], env);
      expect(calls.every(({ authorization }) => authorization === 'Bearer secret')).to.equal(true);
      const [found, made, created, params, ...rest] = calls;
      expect(found).to.include({ method: 'GET', path: 'experiments/get-by-name?experiment_name=bertune' });
      expect(made!.body).to.deep.equal({ name: 'bertune' });
      expect(created!.body).to.include({ experiment_id: '7', run_name: 'tracked' });
      expect(params!.body.params).to.deep.include.members([
        { key: 'maxSteps', value: '20' },
        { key: 'method.rank', value: '8' },
      ]);
      const ended = rest.pop()!;
      expect(ended).to.deep.include({ path: 'runs/update' });
      expect(ended.body).to.include({ run_id: 'r1', status: 'FINISHED' });
      const metrics = rest.flatMap(({ path, body }) => (path === 'runs/log-batch' ? body.metrics : []));
      expect(metrics.filter(({ key }) => key === 'loss').map(({ step }) => step)).to.deep.equal([10, 20]);
      for (const { value } of metrics) expect(value).to.be.a('number');
      expect(metrics.some(({ key }) => key === 'eval_f1_macro')).to.equal(true);
    });
  });

  it('trains and saves where MLflow fails on the way, and says so at the end', async () => {
    await withMlflow({ ...CREATED, 'runs/log-batch': [500, { message: 'full' }] }, async (env, calls) => {
      const failure = await run([], env).then(
        () => expect.fail('no failure'),
        (error: { stderr: string }) => error,
      );
      expect(failure.stderr).to.match(/MLflow answered 500 to .*log-batch: .*full/);
      expect(calls.at(-1)!.path).to.equal('runs/update');
      expect(await readFile(join(folder(), 'tracked/adapter_config.json'), 'utf8')).to.contain('LORA');
    });
  });

  it('tells the library of Weights & Biases the same', async () => {
    await writeFile(join(folder(), 'wandb.py'), WANDB);
    await run(['--tracker', 'wandb'], { PYTHONPATH: folder() });
    const lines = (await readFile(join(folder(), 'calls.jsonl'), 'utf8')).trimEnd().split('\n');
    const [[init, project, name, config], defined, ...rest] = lines.map((line) => JSON.parse(line));
    expect([init, project, name]).to.deep.equal(['init', 'bertune', 'tracked']);
    expect(config).to.include({ maxSteps: 20, 'method.kind': 'lora', 'method.rank': 8 });
    expect(defined).to.deep.equal(['define', '*', 'step']);
    expect(rest.pop()).to.deep.equal(['finish', 0]);
    const rows = rest.map(([, row]) => row);
    expect(rows.filter((row) => 'loss' in row).map(({ step }) => step)).to.deep.equal([10, 20]);
    expect(rows.some((row) => 'eval_loss' in row)).to.equal(true);
  });
});
