import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { ROOT, UserProject } from '../docs/project.js';
import { LABELS, writeTinyCheckpoint } from '../lib/tiny-model.js';

/** The programs as a user has them: in a folder of their own, with `bertune` and what they need in node_modules. */
describe('examples/programs', function () {
  this.timeout(60_000);
  let project: UserProject;
  const place = (name: string) => join(project.folder, name);
  const asked = '{"text": "a good day"}';

  before(async () => {
    project = await UserProject.create({ MODEL: 'model' });
    await cp(join(ROOT, 'examples/programs'), project.folder, { recursive: true });
    await writeTinyCheckpoint(place('model'));
    const rows = Array.from({ length: 60 }, (_, i) => `the ${i} day was ${LABELS[i % 3]},${LABELS[i % 3]}`);
    await writeFile(place('rows.csv'), `text,label\n${rows.join('\n')}\n`);
  });
  after(() => project.remove());

  /** Asks a handler of web requests, in a process of its own. */
  async function ask(file: string, program: string): Promise<unknown> {
    const code = `const handlers = await import(${JSON.stringify(pathToFileURL(place(file)).href)});\n${program}\nprocess.exit();`;
    await project.write('ask.mjs', code);
    return JSON.parse((await project.shell('node --import tsx ask.mjs')).stdout);
  }

  it('train.js trains, measures and saves', async () => {
    const { stdout } = await project.shell('node train.js rows.csv trained model');
    expect(stdout)
      .to.match(/epoch 2\.00 .*loss/)
      .and.to.match(/accuracy [\d.]+ on 6 held-out texts/);
    await project.shell('npx bertune inspect trained');
  });

  it('predict.ts classifies a line of standard input at a time', async () => {
    const { stdout } = await project.shell("printf 'a good day\\na bad day\\n' | node --import tsx predict.ts model");
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ label }) => LABELS.includes(label))).to.deep.equal([true, true]);
  });

  it('worker.js answers from its thread, and ends', async () => {
    const { stdout } = await project.shell('node worker.js model "a good day"');
    expect(stdout).to.match(/^1 \[\{"label":"/);
  });

  it('express.js serves, refuses what is no text, and stops', async () => {
    const server = spawn(process.execPath, ['express.js', 'model', '0'], { cwd: project.folder });
    try {
      const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
      const address = `http://localhost:${/\d+/.exec(line)![0]}/predict`;
      const post = (body: string) =>
        fetch(address, { method: 'POST', headers: { 'content-type': 'application/json', connection: 'close' }, body });
      expect(await (await post(asked)).json()).to.have.nested.property('[0].label');
      expect((await post('{}')).status).to.equal(400);
      server.kill('SIGTERM');
      expect(await once(server, 'exit')).to.deep.equal([0, null]);
    } finally {
      server.kill('SIGKILL');
    }
  });

  it('next/route.ts answers a request', async () => {
    const program = `const request = (body) => new Request('http://localhost/predict', { method: 'POST', body });
      const answers = [await handlers.POST(request('${asked}')), await handlers.POST(request('{}'))];
      console.log(JSON.stringify([await answers[0].json(), answers[1].status, handlers.runtime]));`;
    const [predictions, refused, runtime] = (await ask('next/route.ts', program)) as [object[], number, string];
    expect(predictions[0]).to.have.property('label');
    expect([refused, runtime]).to.deep.equal([400, 'nodejs']);
  });

  it('lambda.js answers an event', async () => {
    const program = `const events = ['{"texts": ["a", "b"]}', 'no JSON', '{"texts": 3}'];
      console.log(JSON.stringify(await Promise.all(events.map((body) => handlers.handler({ body })))));`;
    const answers = (await ask('lambda.js', program)) as { statusCode: number; body: string }[];
    expect(answers.map(({ statusCode }) => statusCode)).to.deep.equal([200, 400, 400]);
    expect(JSON.parse(answers[0]!.body)).to.have.length(2);
  });

  it('in TypeScript hold under strict', async () => {
    const options = '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --lib es2023,esnext.disposable,dom';
    await project.shell(`npx tsc ${options} --module nodenext --types node predict.ts next/route.ts`);
  });
});
