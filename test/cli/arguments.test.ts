import { expect } from 'chai';
import { Command } from 'commander';
import { addDataOptions, dataSource, datasetOptions, names, number, positiveInteger } from '../../lib/cli/arguments.js';
import { addRows, rowOption, rowValues } from '../../lib/cli/flags.js';
import { addMethodOptions, type MethodArguments, methodOf } from '../../lib/cli/train-arguments.js';
import { BertuneError } from '../../lib/errors.js';
import { lora } from '../../lib/methods/index.js';
import { resolveTrainerOptions, TRAINER_OPTIONS } from '../../lib/training/options.js';
import { inRepository } from './run-cli.js';

const command = () =>
  new Command()
    .exitOverride()
    .addOption(positiveInteger('--rank <n>', ''))
    .addOption(rowOption('seed', TRAINER_OPTIONS.seed))
    .addOption(number('--learning-rate <x>', '', { min: 0 }))
    .addOption(names('--targets <names>', ''))
    .addOption(rowOption('loggingSteps', TRAINER_OPTIONS.loggingSteps))
    .addOption(rowOption('classWeights', TRAINER_OPTIONS.classWeights));

const parse = (...args: string[]) => command().parse(args, { from: 'user' }).opts();

async function refusal(work: () => unknown): Promise<BertuneError> {
  try {
    await work();
  } catch (error) {
    expect(error).to.be.instanceOf(BertuneError);
    return error as BertuneError;
  }
  return expect.fail('accepted');
}

describe('arguments of the command line', () => {
  it('reads values', () => {
    expect(parse('--rank', '8', '--seed', '0', '--learning-rate', '3e-4', '--targets', 'query, value')).to.deep.equal({
      rank: 8,
      seed: 0,
      learningRate: 3e-4,
      targets: ['query', 'value'],
    });
    expect(parse('--logging-steps', 'epoch', '--class-weights', 'balanced')).to.deep.equal({
      loggingSteps: 'epoch',
      classWeights: 'balanced',
    });
    expect(parse('--logging-steps', '5', '--class-weights', '1,0.5,2')).to.deep.equal({
      loggingSteps: 5,
      classWeights: [1, 0.5, 2],
    });
  });

  for (const [flag, value, words] of [
    ['--rank', '0', 'a positive integer for --rank but received 0'],
    ['--rank', '2.5', 'a positive integer for --rank'],
    ['--rank', 'eight', 'a positive integer for --rank but received "eight"'],
    ['--rank', '', 'a positive integer for --rank'],
    ['--rank', '0x10', 'a positive integer for --rank'],
    ['--rank', '1e999', 'a positive integer for --rank'],
    ['--seed', '-1', 'a non-negative integer for --seed but received -1'],
    ['--learning-rate', '-1', '--learning-rate but received -1'],
    ['--learning-rate', 'NaN', 'a number for --learning-rate'],
    ['--targets', 'query,,value', 'names with commas between them for --targets'],
    ['--logging-steps', 'often', 'epoch or a positive integer for --logging-steps'],
    ['--class-weights', '1,0', '--class-weights but received 0'],
    ['--class-weights', 'even', 'balanced or weights with commas between them for --class-weights'],
  ] as const) {
    it(`refuses ${flag} ${JSON.stringify(value)} by its name`, async () => {
      const error = await refusal(() => parse(flag, value));
      expect(error.code).to.equal('INVALID_OPTION');
      expect(error.message).to.contain(words);
    });
  }

  it('takes a folder or files, not both', async () => {
    expect(dataSource({ data: 'folder' })).to.equal('folder');
    expect(dataSource({ trainFile: 'a.csv', testFile: 'b.csv' })).to.deep.equal({ train: 'a.csv', test: 'b.csv' });
    expect(dataSource({})).to.equal(undefined);
    expect((await refusal(() => dataSource({ data: 'folder', testFile: 'b.csv' }))).code).to.equal('INVALID_OPTION');
    expect(datasetOptions({ delimiter: '\\t', quoting: 'none', textColumn: 'body' })).to.deep.equal({
      delimiter: '\t',
      quoting: 'none',
      textColumn: 'body',
    });
  });

  it('says how files are written', async () => {
    const read = (...args: string[]) => {
      const data = addDataOptions(new Command().exitOverride(), { training: true });
      return datasetOptions(data.parse(args, { from: 'user' }).opts());
    };
    expect(read('--no-holdout')).to.deep.equal({});
    expect(
      read('--encoding', 'latin-1', '--no-header', '--skip-invalid', '--no-holdout', '--text-column', '2'),
    ).to.deep.equal({
      encoding: 'windows-1252',
      header: false,
      skipInvalid: true,
      textColumn: '2',
    });
    const { code, message } = await refusal(() => read('--encoding', 'latin-9x'));
    expect(code).to.equal('INVALID_OPTION');
    expect(message).to.contain('--encoding').and.contain('windows-1252');
  });

  it('hands every option of training to the trainer', () => {
    const parsed = (...given: string[]) => {
      const own = addRows(new Command(), TRAINER_OPTIONS, 'Training');
      return rowValues(TRAINER_OPTIONS, own.parse(given, { from: 'user' }).opts());
    };
    const args = [
      ...['--learning-rate', '1e-3', '--max-steps', '7', '--batch-size', '2', '--gradient-accumulation', '3'],
      ...['--schedule', 'cosine', '--warmup-ratio', '0.1', '--weight-decay', '0.2', '--max-grad-norm', '0'],
      ...['--adam-beta1', '0.8', '--adam-beta2', '0.9', '--adam-eps', '1e-6', '--label-smoothing', '0.05'],
      ...[
        '--class-weights',
        'bad=2,good=1',
        '--max-length',
        '64',
        '--seed',
        '7',
        '--logging-steps',
        '1',
        '--eval',
        'epoch',
      ],
      ...['--load-best', '--metric-for-best', 'loss', '--early-stopping', '2'],
    ];
    const options = parsed(...args);
    expect(resolveTrainerOptions(options, { labels: ['good', 'bad'], hiddenSize: 256 })).to.include({
      learningRate: 1e-3,
      maxSteps: 7,
      batchSize: 2,
      gradientAccumulation: 3,
      schedule: 'cosine',
      warmupRatio: 0.1,
      weightDecay: 0.2,
      maxGradNorm: 0,
      adamBeta1: 0.8,
      adamBeta2: 0.9,
      adamEps: 1e-6,
      labelSmoothing: 0.05,
      maxLength: 64,
      seed: 7,
      loggingSteps: 1,
      evaluationStrategy: 'epoch',
      loadBestModel: true,
      metricForBest: 'loss',
      earlyStoppingPatience: 2,
    });
    expect(options.classWeights).to.deep.equal({ bad: 2, good: 1 });
    expect(parsed()).to.deep.equal({});
  });
});

describe('the method that arguments ask for', () => {
  const model = inRepository('test/fixtures/parity/checkpoint');
  const method = (...args: string[]) =>
    methodOf(addMethodOptions(new Command()).parse(args, { from: 'user' }).opts<MethodArguments>(), model);

  it('is full, or what is named, with its own options', async () => {
    expect(await method()).to.deep.equal({ kind: 'full', freeze: [] });
    expect(await method('--freeze', 'embeddings')).to.deep.equal({ kind: 'full', freeze: ['embeddings'] });
    expect(await method('--method', 'linear', '--probe-dropout', '0.3')).to.deep.equal({
      kind: 'linear',
      dropout: 0.3,
    });
    expect(await method('--method', 'prefix', '--no-projection', '--virtual-tokens', '5')).to.deep.equal({
      kind: 'prefix',
      virtualTokens: 5,
      projection: false,
      trainHead: true,
    });
    expect(
      await method(...['--method', 'lora', '--rank', '4', '--targets', 'query,key', '--no-train-head']),
    ).to.deep.equal(lora({ rank: 4, targets: ['query', 'key'], trainHead: false }));
    const variant = [
      ...['--dora', '--rslora', '--layers', '0,1', '--exclude', 'key', '--bias', 'all', '--alpha-pattern', 'query=3'],
    ];
    expect(await method(...['--method', 'lora', '--rank-pattern', 'value=4,layer.0.*=16'], ...variant)).to.deep.equal(
      lora({
        ...{ dora: true, rslora: true, layers: [0, 1], exclude: ['key'], bias: 'all', alphaPattern: { query: 3 } },
        rankPattern: { value: 4, 'layer.0.*': 16 },
      }),
    );
    expect(await method('--method', 'bitfit')).to.deep.equal({ kind: 'bitfit' });
  });

  it("is the adapter's own, but for what is given", async () => {
    const adapter = inRepository('test/fixtures/parity/lora-init');
    expect(await method('--adapter', adapter)).to.deep.equal(
      lora({ rank: 8, alpha: 32, dropout: 0, targets: ['query', 'value'] }),
    );
    expect(await method('--adapter', adapter, '--method', 'lora', '--lora-dropout', '0.2')).to.include({
      dropout: 0.2,
    });
    expect(await method('--adapter', inRepository('test/fixtures/parity/prefix-init'))).to.deep.equal({
      kind: 'prefix',
      virtualTokens: 6,
      projection: false,
      trainHead: true,
    });
  });

  it('refuses options of another method, and another method than the adapter', async () => {
    for (const args of [
      ['--rank', '4'],
      ['--method', 'prefix', '--alpha', '4'],
      ['--method', 'linear', '--no-train-head'],
      ['--method', 'lora', '--virtual-tokens', '4'],
      ['--method', 'lora', '--no-projection'],
      ['--method', 'lora', '--freeze', 'embeddings'],
      ['--method', 'full', '--adapter', inRepository('test/fixtures/parity/lora-init')],
    ]) {
      const error = await refusal(() => method(...args));
      expect(error.code, args.join(' ')).to.equal('INVALID_OPTION');
      expect(error.message).to.contain('--method');
    }
  });
});
