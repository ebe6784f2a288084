import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { fullName } from '../../lib/cli/arguments.js';
import { flagsOf } from '../../lib/cli/flags.js';
import { allCommands, createProgram, EXAMPLES } from '../../lib/cli/program.js';
import { BertuneError } from '../../lib/errors.js';
import {
  datasetFromRows,
  full,
  linear,
  loadDataset,
  lora,
  TextClassifier,
  Trainer,
  type TrainerOptions,
} from '../../lib/index.js';
import { nameOptionsByFlags } from '../../lib/options/names.js';
import { inRepository, runCli, withFolder } from './run-cli.js';

const checkpoint = inRepository('test/fixtures/parity/checkpoint');
const adapter = inRepository('test/fixtures/parity/lora-init');
const train = inRepository('test/fixtures/parity/train.csv');

const quiet = () => createProgram((error) => expect.fail(String(error)));
const commands = allCommands(quiet());

/** Names of options that a program writes and a shell does not: those that are no words, and those with a value. */
const apiNames = new Set(
  commands.flatMap((command) => Object.keys(flagsOf(command))).filter((name) => /[A-Z.]/.test(name)),
);
const API_WORDS = new RegExp(
  `(?<![-\\w])(${[...apiNames].join('|').replaceAll('.', '\\.')}|(overwrite|quoting|device|method|resume|projection): )`,
);
/** Of an option; a command to run may be quoted. */
const FLAG = /(?<!bertune build )--[a-z]/;

async function refusal(work: () => unknown): Promise<BertuneError> {
  try {
    await work();
  } catch (error) {
    expect(error).to.be.instanceOf(BertuneError);
    return error as BertuneError;
  }
  return expect.fail('accepted');
}

/** What is wrong in code and on the command line alike, and the words of both. */
interface Mistake {
  what: string;
  code: (folder: string) => unknown;
  says: string;
  /** `train` but for --output, unless they begin with another command. */
  args: (folder: string) => string[];
  shows: string;
}

const trainer = async (options: TrainerOptions) => {
  await using model = await TextClassifier.load(checkpoint, { labels: ['a', 'b'], head: 'new' });
  return new Trainer(model, options);
};
const rows = [
  { text: 'x', label: 'a' },
  { text: 'y', label: 'b' },
];

const MISTAKES: readonly Mistake[] = [
  {
    what: 'the best epoch without a validation split',
    code: async () => {
      await using model = await TextClassifier.load(checkpoint, { labels: ['a', 'b'], head: 'new' });
      await new Trainer(model, { loadBestModel: true }).train(datasetFromRows({ train: rows }).train!);
    },
    says: 'loadBestModel needs a validation split to evaluate on; add validation, or hold one out of the training rows with split.validation: 0.1',
    args: () => ['--train-file', train, '--load-best', '--no-holdout'],
    shows:
      '--load-best needs a validation split to evaluate on; add --validation-file, or hold one out of the training rows with --validation-fraction 0.1',
  },
  {
    what: 'the best epoch without evaluations',
    code: () => trainer({ loadBestModel: true, evaluationStrategy: 'no' }),
    says: "loadBestModel needs evaluations; leave out evaluationStrategy: 'no'",
    args: () => ['--train-file', train, '--load-best', '--eval', 'no'],
    shows: '--load-best needs evaluations; leave out --eval no',
  },
  {
    what: 'early stopping without evaluations',
    code: () => trainer({ earlyStoppingPatience: 2, evaluationStrategy: 'no' }),
    says: "earlyStoppingPatience needs evaluations; leave out evaluationStrategy: 'no'",
    args: () => ['--train-file', train, '--early-stopping', '2', '--eval', 'no'],
    shows: '--early-stopping needs evaluations; leave out --eval no',
  },
  {
    what: 'an output directory that is not empty',
    code: async (folder) => {
      await using model = await TextClassifier.load(checkpoint);
      await model.save(folder);
    },
    says: 'is not empty; choose another, or add overwrite: true to write there anyway',
    args: (folder) => ['--train-file', train, '--output', folder],
    shows: 'is not empty; choose another, or add --overwrite to write there anyway',
  },
  {
    what: 'a column that is not there',
    code: (folder) => loadDataset(join(folder, 'columns.csv')),
    says: 'textColumn and labelColumn',
    args: (folder) => ['--train-file', join(folder, 'columns.csv')],
    shows: '--text-column and --label-column',
  },
  {
    what: 'an open quote',
    code: (folder) => loadDataset(join(folder, 'quote.csv')),
    says: "read it with quoting: 'none'",
    args: (folder) => ['--train-file', join(folder, 'quote.csv')],
    shows: 'read it with --quoting none',
  },
  {
    what: 'a configuration of a file',
    code: () => loadDataset(train, { config: 'small' }),
    says: 'config chooses a configuration of a folder or of a data set on the hub; leave it out for files',
    args: () => ['--data', train, '--config', 'small'],
    shows: '--config chooses a configuration of a folder or of a data set on the hub; leave it out for files',
  },
  {
    what: 'a split that is there already',
    code: () => loadDataset({ train, test: train }, { split: { test: 0.5 } }),
    says: 'The data have a test split already; leave out split.test',
    args: () => ['--train-file', train, '--test-file', train, '--test-fraction', '0.5'],
    shows: 'The data have a test split already; leave out --test-fraction',
  },
  {
    what: 'a base under what is no adapter',
    code: () => TextClassifier.load(checkpoint, { base: checkpoint }),
    says: 'base names the checkpoint under an adapter, but',
    args: () => ['--train-file', train, '--base', checkpoint],
    shows: '--base names the checkpoint under an adapter, but',
  },
  {
    what: 'an adapter on an adapter',
    code: () => TextClassifier.load(adapter, { adapter }),
    says: 'is an adapter itself; leave out adapter,',
    args: () => ['--train-file', train, '--model', adapter, '--adapter', adapter],
    shows: 'is an adapter itself; leave out --adapter,',
  },
  {
    what: 'nothing left to train',
    code: () => trainer({ method: full({ freeze: ['embeddings', 'encoder', 'pooler', 'classifier'] }) }),
    says: 'freeze matches every parameter; nothing is left to train',
    args: () => ['--train-file', train, '--freeze', 'embeddings,encoder,pooler,classifier'],
    shows: '--freeze matches every parameter; nothing is left to train',
  },
  {
    what: 'parameters that are not there',
    code: () => trainer({ method: full({ freeze: ['embedings'] }) }),
    says: 'freeze names "embedings", which matches no parameter',
    args: () => ['--train-file', train, '--freeze', 'embedings'],
    shows: '--freeze names "embedings", which matches no parameter',
  },
  {
    what: 'modules that are not there',
    code: () => trainer({ method: lora({ targets: ['qury'] }) }),
    says: 'layers for targets but received "qury"',
    args: () => ['--train-file', train, '--method', 'lora', '--targets', 'qury'],
    shows: 'layers for --targets but received "qury"',
  },
  {
    what: 'a length that the model does not take',
    code: () => trainer({ maxLength: 100_000 }),
    says: 'which is what the model takes, for maxLength but received 100000',
    args: () => ['--train-file', train, '--max-length', '100000'],
    shows: 'which is what the model takes, for --max-length but received 100000',
  },
  {
    what: 'weights of labels that are not there',
    code: () => trainer({ classWeights: { good: 2 } }),
    says: "classWeights names good, but the model's classes are a, b",
    args: () => ['--train-file', train, '--class-weights', 'good=2'],
    shows: "--class-weights names good, but the model's classes are",
  },
  {
    what: 'a GPU that is not there',
    code: () => TextClassifier.load(checkpoint, { device: 'cuda' }),
    says: "use device: 'cpu' or device: 'auto'",
    args: () => ['--train-file', train, '--device', 'cuda'],
    shows: 'use --device cpu or --device auto',
  },
];

describe('how messages name options', () => {
  afterEach(() => nameOptionsByFlags({}));

  it('takes the flags of every command from its options', () => {
    for (const command of commands) {
      const flags = new Set(command.options.map(({ long }) => long));
      for (const flag of Object.values(flagsOf(command))) expect(flags, fullName(command)).to.include(flag);
    }
    const own = flagsOf(commands.find((command) => command.name() === 'train')!);
    expect(own).to.include({
      loadBestModel: '--load-best',
      evaluationStrategy: '--eval',
      earlyStoppingPatience: '--early-stopping',
      validation: '--validation-file',
      'split.test': '--test-fraction',
      projection: '--no-projection',
    });
  });

  for (const command of commands) {
    const options = command.options.filter(({ required, optional }) => required || optional);
    if (options.length === 0) continue;
    it(`refuses bad values of ${fullName(command)} by their flags`, async () => {
      const needed = command.registeredArguments.filter(({ required }) => required).map(() => 'x');
      for (const { long } of options) {
        const program = quiet().configureOutput({ writeErr: () => {} });
        allCommands(program).forEach((each) => {
          each.configureOutput({ writeErr: () => {}, outputError: () => {} });
        });
        const args = [...fullName(command).split(' '), ...needed, `${long}=`];
        const error = await program.parseAsync(args, { from: 'user' }).then(
          () => expect.fail(`${long} accepts nothing`),
          (cause: Error) => cause,
        );
        expect(error.message, long!).to.contain(long!);
        expect(error.message).not.to.match(API_WORDS);
      }
    });
  }

  for (const { what, code, says, args, shows } of MISTAKES) {
    it(`knows the caller: ${what}`, async function () {
      if (what.startsWith('a GPU') && process.env.BERTUNE_GPU) this.skip();
      await withFolder(async (folder) => {
        await writeFile(join(folder, 'columns.csv'), 'a,b\n1,2\n');
        await writeFile(join(folder, 'quote.csv'), 'text,label\n"open,a\n');
        const { message } = await refusal(() => code(folder));
        expect(message).to.contain(says);
        expect(message).not.to.match(FLAG);

        const given = args(folder);
        const output = given.includes('--output') ? [] : ['--output', join(folder, 'out')];
        const model = given.includes('--model') ? [] : ['--model', checkpoint];
        const result = await runCli(['train', ...model, ...given, ...output, '--quiet']);
        expect(result.status, result.stderr).to.be.oneOf([1, 2]);
        expect(result.stderr).to.contain(shows);
        expect(result.stderr).not.to.match(API_WORDS);
      });
    });
  }

  it('says which of two options to leave out', async () => {
    const { message } = await refusal(() => trainer({ epochs: 1, maxSteps: 3 }));
    expect(message).to.equal('Set either epochs or maxSteps, not both (maxSteps is 3)');
    const warmup = await refusal(() => trainer({ warmupSteps: 1, warmupRatio: 0.1, method: linear() }));
    expect(warmup.message).to.equal('Set either warmupSteps or warmupRatio, not both (warmupRatio is 0.1)');
    const result = await runCli(['train', '--output', 'x', '--data', 'y', '--epochs', '1', '--max-steps', '3']);
    expect(result.status).to.equal(2);
    expect(result.stderr).to.match(/--max-steps <n>' cannot be used with option '--epochs <x>/);
  });

  it('does so in the notes of a run, and in the processes of a comparison', async () => {
    await withFolder(async (folder) => {
      const data = join(folder, 'data');
      await mkdir(data);
      await writeFile(join(data, 'train.csv'), 'text,label\nx,0\ny,1\n'.repeat(20));
      await writeFile(join(data, 'test.csv'), 'text,label\nx,0\n');
      const args = ['compare', '--data', data, '--methods', 'full', '--output', join(folder, 'out')];
      const result = await runCli([...args, '--learning-rate', '1e30', '--model', checkpoint]);
      expect(result.status, result.stderr).to.equal(1);
      expect(result.stdout).to.contain('with a lower --learning-rate');
      expect(result.stderr + result.stdout).not.to.match(API_WORDS);
    });
  });
});

describe('examples in the help', () => {
  for (const command of commands) {
    it(`can be run: ${fullName(command)}`, () => {
      for (const line of EXAMPLES[fullName(command)] ?? []) {
        expect(line.startsWith(`bertune ${fullName(command)} `) || line === `bertune ${fullName(command)}`).to.equal(
          true,
        );
        const flags = line.split(' ').filter((word) => word.startsWith('--'));
        expect(command.options.map(({ long }) => long)).to.include.members(flags);
        expect(command.options.some(({ mandatory }) => mandatory)).to.equal(false);
      }
    });
  }
});
