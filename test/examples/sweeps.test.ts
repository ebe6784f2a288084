import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { load } from 'js-yaml';
import { fullName } from '../../lib/cli/arguments.js';
import { allCommands, createProgram } from '../../lib/cli/program.js';
import { ROOT, UserProject } from '../docs/project.js';
import { SweepFolder } from '../sweep/folder.js';

const EXAMPLES = ['slurm', 'kubernetes', 'skypilot', 'bullmq'];
const read = (path: string) => readFile(join(ROOT, 'examples', path), 'utf8');

/** Commands of `bertune` in a text, with their flags. */
function commandsOf(text: string): { name: string; flags: string[] }[] {
  const lines = text.replaceAll(/\\\n/g, ' ').matchAll(/\bbertune ((?:sweep )?[a-z]+)\b([^`\n]*)/g);
  return [...lines].map(([, name = '', rest = '']) => ({ name, flags: rest.match(/(?<=\s)--[a-z-]+/g) ?? [] }));
}

describe('examples of sweeps', function () {
  this.timeout(240_000);
  let project: UserProject;
  let folder: SweepFolder;

  before(async () => {
    project = await UserProject.create();
    folder = await SweepFolder.create(project.folder);
    await mkdir(join(project.folder, 'results'));
  });
  after(() => project.remove());

  for (const name of EXAMPLES) {
    it(`use commands and flags that there are: ${name}`, async () => {
      const commands = allCommands(createProgram(() => {}));
      const files = (await readdir(join(ROOT, 'examples', name))).filter((file) => file !== 'package.json');
      const texts = await Promise.all(files.map((file) => read(`${name}/${file}`)));
      const used = texts.flatMap(commandsOf).filter(({ name: command }) => command.startsWith('sweep '));
      expect(used.length).to.be.greaterThan(1);
      for (const { name: command, flags } of used) {
        const found = commands.find((each) => fullName(each) === command);
        expect(
          found?.options.map(({ long }) => long),
          command,
        ).to.include.members(flags);
      }
    });
  }

  it('run on Kubernetes: a pod a cell, and one that has failed is not tried again', async () => {
    const [text = ''] = (await read('kubernetes/job.yaml')).split('\n---\n');
    // biome-ignore lint/suspicious/noExplicitAny: the manifest of a Job
    const { spec } = load(text) as any;
    expect(spec).to.include({ completionMode: 'Indexed', completions: 24 });
    const [{ args, volumeMounts }] = spec.template.spec.containers;
    expect(volumeMounts[0].mountPath).to.equal('/sweep');
    await folder.plan('my-sweep', ['--max-steps', '2', '--method', 'linear', '--learning-rate', '1e-3,1e30']);
    const pod = (index: number) =>
      project
        .shell(`JOB_COMPLETION_INDEX=${index} npx bertune ${args.join(' ').replace('/sweep/', '')}`)
        .then(({ stdout }) => ({ status: 0, stdout }))
        .catch(({ code, stdout }) => ({ status: code as number, stdout }));
    expect(await pod(0)).to.deep.equal({ status: 0, stdout: '1 cell: 1 done\n' });
    const failed = await pod(1);
    expect(failed.stdout).to.equal('1 cell: 1 failed\n');
    const [{ action, onExitCodes }] = spec.podFailurePolicy.rules;
    expect(action).to.equal('FailIndex');
    expect(onExitCodes.values).to.include(failed.status).and.not.include(143);
    // An index that there is no cell for.
    expect((await pod(2)).stdout).to.equal('0 cells: none\n');
  });

  it('run with SkyPilot: by rank, in folders of their own, with results in a bucket', async () => {
    const { run } = load(await read('skypilot/sweep.yaml')) as { run: string };
    const results = join(project.folder, 'results');
    const settings = /sweep plan my-sweep --overwrite (.*)/.exec(run)?.[1] ?? '';
    const script = run
      .replaceAll('/results', results)
      .replaceAll(`my-sweep${results}`, 'my-sweep/results')
      .replace('sleep 20', 'sleep 1')
      .replace(settings, '--data ../data.csv --model ../model --device cpu --max-steps 2 --method linear --seed 1,2,3');
    for (const rank of [0, 1]) {
      await mkdir(join(project.folder, `node${rank}`));
      await project.write(`node${rank}/run.sh`, script);
      await project.shell(`cd node${rank} && SKYPILOT_NODE_RANK=${rank} SKYPILOT_NUM_NODES=2 bash run.sh`);
      expect(await readdir(results)).to.have.lengthOf(rank === 0 ? 2 : 3);
    }
    const { stdout } = await project.shell('npx bertune sweep merge node1/my-sweep');
    expect(stdout).to.match(/^Sweep\n3 cells: 3 done\n/);
  });
});
