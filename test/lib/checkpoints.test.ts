import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { withDirectoryLock } from '../../lib/files/lock.js';
import { expectWhole, writeManifest } from '../../lib/files/manifest.js';
import { bitfit, full, linear, lora, type Method, prefix } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { checkpointSteps } from '../../lib/training/checkpoint/directories.js';
import type { Resumption } from '../../lib/training/events.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import type { TrainerState } from '../../lib/training/state.js';
import { devices } from '../devices.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const train = tinySplit('train', 30, 3);
const validation = tinySplit('validation', 20, 4);
/** 3 epochs of 8 steps. */
const OPTIONS = { learningRate: 5e-3, batchSize: 4, loggingSteps: 3, seed: 7 } as const;

interface Where {
  device?: string;
  precision?: string;
  threads?: number;
}

/** What a run leaves behind: everything but times. */
interface Outcome {
  bits: Record<string, string>;
  state: TrainerState;
  resumed: Resumption | null;
}

describe('Checkpoints', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();

  /**
   * Trains a fresh model.
   *
   * @param stop a signal stops it after this step, or a few later; at an epoch's end before the evaluation
   */
  async function run(
    options: TrainerOptions,
    more: { where?: Where; resume?: string; stop?: { step: number } } = {},
  ): Promise<Outcome> {
    const { where = {}, resume, stop } = more;
    const place = { device: 'cpu', threads: 1, ...where } as { device: 'cpu' };
    await using model = await TextClassifier.load(directory.path('base'), place);
    const length = options.maxSteps === undefined ? { epochs: 3 } : {};
    const trainer = new Trainer(model, { ...OPTIONS, ...length, ...options });
    const controller = new AbortController();
    let resumed: Resumption | null = null;
    trainer.on('start', (plan) => {
      resumed = plan.resumed;
    });
    trainer.on('progress', ({ step }) => {
      if (stop && step >= stop.step) controller.abort();
    });
    const working = trainer.train(train, {
      validation,
      signal: controller.signal,
      ...(resume === undefined ? {} : { resume }),
    });
    if (stop) await expectRefusal(working, 'ABORTED', /stopped/);
    else await working;
    const bits: Record<string, string> = {};
    for (const { name } of model.parameters()) {
      const { buffer } = await model.parameter(name);
      bits[name] = createHash('sha256').update(new Uint8Array(buffer)).digest('hex');
    }
    return { bits, state: withoutTimes(trainer.state!), resumed };
  }

  function withoutTimes(state: TrainerState): TrainerState {
    const rows = state.log_history.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([name]) => !/runtime|per_second/.test(name))),
    );
    // Where the checkpoints lie differs from run to run.
    const best = state.best_model_checkpoint?.replace(/.*\//, '') ?? null;
    return { ...state, log_history: rows as never, best_model_checkpoint: best };
  }

  const output = (name: string) => directory.path(name);

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('base'), { dropout: 0.2 });
  });

  describe('an interrupted run that is resumed ends as one that was not', () => {
    const methods: [string, Method][] = [
      ['full', full()],
      ['full, partly frozen', full({ freeze: ['embeddings'] })],
      ['linear', linear()],
      ['prefix with projection', prefix({ virtualTokens: 3 })],
      ['prefix', prefix({ virtualTokens: 3, projection: false })],
      ['lora', lora({ rank: 4 })],
      ['lora with biases', lora({ rank: 2, bias: 'all', rankPattern: { value: 3 } })],
      ['bitfit', bitfit()],
    ];

    for (const [name, method] of methods) {
      it(`${name}, stopped inside an epoch`, async () => {
        const whole = await run({ method });
        await run({ method, outputDirectory: output('run') }, { stop: { step: 5 } });
        const [step] = await checkpointSteps(output('run'));
        const end = await run({ method, outputDirectory: output('run') }, { resume: 'latest' });
        expect(end.resumed?.step).to.equal(step).and.be.within(5, 8);
        expect(end.bits).to.deep.equal(whole.bits);
        expect(end.state).to.deep.equal(whole.state);
      });
    }

    for (const where of [
      { threads: 2 },
      { precision: 'fp64' },
      ...devices()
        .filter(({ device }) => device !== 'cpu')
        .flatMap(({ device }) => ['fp32', 'bf16'].map((precision) => ({ device, precision }))),
    ] as Where[]) {
      it(`on ${Object.values(where).join(' ')}${where.threads ? ' threads' : ''}`, async () => {
        const method = lora({ rank: 2 });
        const short = { method, maxSteps: 10 };
        const whole = await run(short, { where });
        await run({ ...short, outputDirectory: output('run') }, { where, stop: { step: 3 } });
        const end = await run({ ...short, outputDirectory: output('run') }, { where, resume: 'latest' });
        expect(end.resumed).not.to.equal(null);
        expect(end.bits).to.deep.equal(whole.bits);
        expect(end.state).to.deep.equal(whole.state);
      });
    }

    it('from every checkpoint of every strategy, with gradient accumulation and a log an epoch', async () => {
      const options: TrainerOptions = {
        gradientAccumulation: 3,
        loggingSteps: 'epoch',
        schedule: 'cosine',
        warmupSteps: 2,
      };
      const whole = await run(options);
      for (const saving of [{ saveStrategy: 'epoch' }, { saveStrategy: 'steps', saveSteps: 2 }] as const) {
        const at = output(saving.saveStrategy);
        await run({ ...options, ...saving, outputDirectory: at });
        const steps = await checkpointSteps(at);
        expect(steps).to.deep.equal(saving.saveStrategy === 'epoch' ? [9, 6, 3] : [8, 6, 4, 2]);
        for (const step of steps) {
          const again = await run(options, { resume: join(at, `checkpoint-${step}`) });
          expect(again.bits, `from ${step}`).to.deep.equal(whole.bits);
          expect(again.state, `from ${step}`).to.deep.equal(whole.state);
        }
      }
    });

    it('stopped before an evaluation, and again and again', async () => {
      const options: TrainerOptions = {
        method: lora({ rank: 2 }),
        loadBestModel: true,
        metricForBest: 'loss',
        evalBatchTokens: 32,
      };
      const whole = await run(options);
      const resumable = { ...options, outputDirectory: output('run') };
      await run(resumable, { stop: { step: 8 } });
      expect((await checkpointSteps(output('run')))[0]).to.equal(8);
      await run(resumable, { resume: 'latest', stop: { step: 13 } });
      // What is kept in memory is no matter of the run's.
      await run({ ...resumable, gradientCheckpointing: true }, { resume: 'latest', stop: { step: 17 } });
      const end = await run(resumable, { resume: 'latest' });
      expect(end.bits).to.deep.equal(whole.bits);
      expect({ ...end.state, best_model_checkpoint: null }).to.deep.equal(whole.state);
    });

    it('with the best epoch before the stop, and early stopping', async () => {
      // A rate at which the first epoch is the best by far.
      const options: TrainerOptions = {
        method: lora({ rank: 2 }),
        learningRate: 0.1,
        epochs: 8,
        loadBestModel: true,
        metricForBest: 'loss',
        earlyStoppingPatience: 3,
        earlyStoppingThreshold: 10,
      };
      const whole = await run(options);
      const best = whole.state.best_global_step!;
      expect(whole.state.global_step).to.equal(32);
      await run({ ...options, outputDirectory: output('run') }, { stop: { step: 26 } });
      const end = await run({ ...options, outputDirectory: output('run') }, { resume: 'latest' });
      expect(end.resumed?.step).to.be.greaterThan(best);
      expect(end.bits).to.deep.equal(whole.bits);
      expect(end.state).to.deep.equal(whole.state);
    });

    it('once more at its end', async () => {
      const options: TrainerOptions = { method: lora({ rank: 2 }), epochs: 1, saveStrategy: 'epoch' };
      const whole = await run({ ...options, outputDirectory: output('run') });
      const end = await run({ ...options, outputDirectory: output('run') }, { resume: 'latest' });
      expect(end.resumed?.step).to.equal(8);
      expect(end.bits).to.deep.equal(whole.bits);
    });
  });

  it('hold what transformers and PEFT read, and the run', async () => {
    await run({ method: lora({ rank: 2 }), epochs: 1, saveStrategy: 'epoch', outputDirectory: output('run') });
    const checkpoint = join(output('run'), 'checkpoint-8');
    expect((await readdir(checkpoint)).sort()).to.deep.equal([
      'adapter_config.json',
      'adapter_model.safetensors',
      'manifest.json',
      'optimizer.safetensors',
      'rng.json',
      'run.json',
      'scheduler.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'trainer_state.json',
      'vocab.txt',
    ]);
    expect(await readdir(output('run'))).to.deep.equal(['checkpoint-8']);
    await using model = await TextClassifier.load(checkpoint, { device: 'cpu' });
    expect((await model.predict(['a good day']))[0]).to.have.property('label');
  });

  it('go away beyond the limit, but for the best and the latest', async () => {
    const options: TrainerOptions = {
      method: lora({ rank: 2 }),
      learningRate: 0.3,
      epochs: 4,
      saveStrategy: 'epoch',
      saveTotalLimit: 2,
      loadBestModel: true,
      metricForBest: 'loss',
      outputDirectory: output('run'),
    };
    const { state } = await run(options);
    const best = state.best_global_step!;
    expect(await checkpointSteps(output('run'))).to.deep.equal([...new Set([32, 24, best])]);
    expect(state.best_model_checkpoint).to.equal(`checkpoint-${best}`);
  });

  describe('of a run that has ended', () => {
    // With a constant rate the first steps are the same however long the run is.
    const method = lora({ rank: 4 });
    const constant = { method, schedule: 'constant', saveStrategy: 'epoch' } as const;

    for (const [name, short, long] of [
      ['at the end of an epoch', { epochs: 2 }, { epochs: 4 }],
      ['inside an epoch', { maxSteps: 10 }, { maxSteps: 20 }],
      ['inside the epoch that it now ends in', { maxSteps: 10 }, { maxSteps: 13 }],
    ] as const) {
      it(`make it longer: ${name}`, async () => {
        const whole = await run({ ...constant, ...long, outputDirectory: output('whole') });
        await run({ ...constant, ...short, outputDirectory: output('run') });
        const end = await run({ ...constant, ...long, outputDirectory: output('run') }, { resume: 'latest' });
        expect(end.bits).to.deep.equal(whole.bits);
        expect(end.resumed?.notes.join()).to.match(/The run now takes \d+ steps, \d+ before\. From step \d+ on/);
        const { max_steps, num_train_epochs, global_step, epoch } = whole.state;
        expect(end.state).to.deep.include({ max_steps, num_train_epochs, global_step, epoch });
        const logged = ({ state }: Outcome) => state.log_history.filter((row) => 'loss' in row);
        expect(logged(end)).to.deep.equal(logged(whole));
      });
    }

    it('follow the longer schedule from there on', async () => {
      const options = { method, saveStrategy: 'epoch', loggingSteps: 1, outputDirectory: output('run') } as const;
      await run({ ...options, epochs: 2 });
      const { state } = await run({ ...options, epochs: 4 }, { resume: 'latest' });
      const rates = state.log_history.flatMap((row) => ('learning_rate' in row ? [row.learning_rate] : []));
      expect(rates).to.have.length(32);
      expect(rates[15]).to.be.closeTo(OPTIONS.learningRate / 16, 1e-12);
      expect(rates[16]).to.be.closeTo(OPTIONS.learningRate / 2, 1e-12);
    });
  });

  describe('to go on from', () => {
    const options: TrainerOptions = { method: lora({ rank: 2 }), saveStrategy: 'steps', saveSteps: 4, maxSteps: 12 };
    let whole: Outcome;

    beforeEach(async () => {
      whole = await run({ ...options, outputDirectory: output('run') });
    });

    const damages: [string, (checkpoint: string) => Promise<unknown>][] = [
      ['cut', (at) => truncate(join(at, 'optimizer.safetensors'), 1000)],
      ['longer', (at) => appendFile(join(at, 'trainer_state.json'), ' ')],
      ['without a file', (at) => rm(join(at, 'run.json'))],
      ['without its manifest', (at) => rm(join(at, 'manifest.json'))],
      [
        'changed in one bit',
        async (at) => {
          const path = join(at, 'adapter_model.safetensors');
          const bytes = await readFile(path);
          bytes[bytes.length - 1]! ^= 1;
          await writeFile(path, bytes);
        },
      ],
    ];

    for (const [name, damage] of damages) {
      it(`is the newest that is whole: not one that is ${name}`, async () => {
        await damage(join(output('run'), 'checkpoint-12'));
        const end = await run({ ...options, outputDirectory: output('run') }, { resume: 'latest' });
        expect(end.resumed?.step).to.equal(8);
        expect(end.resumed?.notes.join()).to.contain('checkpoint-12');
        expect(end.bits).to.deep.equal(whole.bits);
      });
    }

    /** Makes the last element of a tensor another number, and the checkpoint whole again. */
    async function spoil(checkpoint: string, file: string, tensor: string, value: number): Promise<void> {
      const path = join(checkpoint, file);
      const bytes = await readFile(path);
      const start = 8 + Number(bytes.readBigUInt64LE());
      const header = JSON.parse(bytes.subarray(8, start).toString());
      bytes.writeFloatLE(value, start + header[tensor].data_offsets[1] - 4);
      await writeFile(path, bytes);
      await rm(join(checkpoint, 'manifest.json'));
      await writeManifest(checkpoint);
    }

    for (const [file, tensor, value] of [
      ['optimizer.safetensors', 'exp_avg.classifier.weight', Number.NaN],
      ['optimizer.safetensors', 'exp_avg_sq.classifier.bias', Number.POSITIVE_INFINITY],
      ['adapter_model.safetensors', 'base_model.model.classifier.weight', Number.NaN],
    ] as const) {
      it(`holds nothing but numbers: no ${value} in ${tensor}`, async () => {
        const checkpoint = join(output('run'), 'checkpoint-8');
        await spoil(checkpoint, file, tensor, value);
        await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
        const before = await model.parameter('classifier.weight');
        const trainer = new Trainer(model, { ...OPTIONS, ...options, outputDirectory: output('other') });
        await expectRefusal(
          trainer.train(train, { validation, resume: checkpoint }),
          'CHECKPOINT_INVALID',
          `of ${tensor.replace('base_model.model.', '')} in `,
          'resume from an earlier checkpoint',
        );
        expect(await model.parameter('classifier.weight'), 'untouched').to.deep.equal(before);
      });
    }

    it('is not saved of a run whose last step left no numbers', async () => {
      const diverging = { learningRate: 1e38, schedule: 'constant', maxSteps: 1, method: full() } as const;
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
      const trainer = new Trainer(model, { ...OPTIONS, ...diverging });
      await trainer.train(train);
      const words = ['is NaN: training diverged', 'a lower learningRate'];
      await expectRefusal(model.save(output('saved')), 'NON_FINITE_LOSS', ...words);
      expect(await readdir(output('saved')).catch(() => [])).to.deep.equal([]);
      const saving = { saveStrategy: 'steps', saveSteps: 1, outputDirectory: output('fresh') } as const;
      await using other = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
      const saver = new Trainer(other, { ...OPTIONS, ...diverging, ...saving });
      await expectRefusal(saver.train(train), 'NON_FINITE_LOSS', ...words);
      expect(await checkpointSteps(output('fresh'))).to.deep.equal([]);
    });

    it('has to be there, and whole', async () => {
      for (const step of [4, 8, 12]) await rm(join(output('run'), `checkpoint-${step}/manifest.json`));
      const resume = (from: string) => run({ ...options, outputDirectory: output('run') }, { resume: from });
      await expectRefusal(
        resume('latest'),
        'CHECKPOINT_INVALID',
        /Expected a complete checkpoint in .*checkpoint-12.*checkpoint-4/,
      );
      await expectRefusal(resume(output('nowhere')), 'NOT_FOUND', /Expected a checkpoint of a run at .*nowhere/);
      await mkdir(output('other'));
      await expectRefusal(resume(output('other')), 'NOT_FOUND', /Expected a checkpoint of a run at .*other/);
      await expectRefusal(run(options as TrainerOptions, { resume: 'latest' }), 'INVALID_OPTION', /outputDirectory/);
    });

    it('can be missing where the latest is asked for', async () => {
      const end = await run({ ...options, outputDirectory: output('fresh') }, { resume: 'latest' });
      expect(end.resumed).to.equal(null);
      expect(end.bits).to.deep.equal(whole.bits);
    });

    it('is a directory of checkpoints as well, which may have been moved', async () => {
      await rename(output('run'), output('moved'));
      await rm(join(output('moved'), 'checkpoint-12'), { recursive: true });
      const { saveStrategy: _, saveSteps: _steps, ...unsaved } = options;
      const end = await run(unsaved, { resume: output('moved') });
      expect(end.resumed?.step).to.equal(8);
      expect(end.bits).to.deep.equal(whole.bits);
    });

    const changes: [string, TrainerOptions, RegExp][] = [
      ['learning rate', { learningRate: 1e-3 }, /Expected 0.005 for learningRate, .* but received 0.001/],
      ['method', { method: full() }, /Expected "lora" for method, .* but received "full"/],
      ['rank', { method: lora({ rank: 4 }) }, /Expected 2 for rank, .* but received 4/],
      ['variant', { method: lora({ rank: 2, dora: true }) }, /Expected false for dora, .* but received true/],
      ['number of steps', { maxSteps: 11 }, /Expected at least 12 steps, .* come to 11; .* longer, but not shorter/],
      ['seed', { seed: 8 }, /Expected 7 for seed/],
      ['schedule', { schedule: 'constant' }, /for schedule/],
    ];
    for (const [name, change, message] of changes) {
      it(`is refused for another ${name}`, async () => {
        const other = run({ ...options, outputDirectory: output('run'), ...change }, { resume: 'latest' });
        await expectRefusal(other, 'INVALID_OPTION', message);
      });
    }

    it('is refused for other data, another base, another precision', async () => {
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
      const trainer = new Trainer(model, { ...OPTIONS, ...options, outputDirectory: output('run') });
      const resume = { validation, resume: 'latest' };
      await expectRefusal(trainer.train(tinySplit('train', 30, 5), resume), 'INVALID_DATA', /the same train split/);
      const labels = train.labels.slice();
      labels[0] = (labels[0]! + 1) % 3;
      await expectRefusal(trainer.train({ ...train, labels }, resume), 'INVALID_DATA', /the same train split/);
      await expectRefusal(trainer.train(train, { resume: 'latest' }), 'INVALID_DATA', /the same validation split/);
      const where = { precision: 'fp64' };
      const other = run({ ...options, outputDirectory: output('run') }, { resume: 'latest', where });
      await expectRefusal(other, 'INVALID_OPTION', /Expected "fp32" for precision/);
      const path = join(directory.path('base'), 'model.safetensors');
      const bytes = await readFile(path);
      // The first tensor is of the embeddings, the last of the classifier, which trains.
      bytes[8 + Number(bytes.readBigUInt64LE()) + 2]! ^= 1;
      await writeFile(path, bytes);
      const onOther = run({ ...options, outputDirectory: output('run') }, { resume: 'latest' });
      await expectRefusal(onOther, 'INVALID_OPTION', /the frozen parameters differ/);
    });

    it('may come from other threads, which is said', async () => {
      const where = { threads: 2 };
      const from = join(output('run'), 'checkpoint-4');
      const end = await run({ ...options, outputDirectory: output('run') }, { resume: from, where });
      expect(end.resumed?.notes.join()).to.match(/threads differ: 2, 1 before/);
    });

    it('is not written over by a run that starts at the beginning', async () => {
      const again = run({ ...options, outputDirectory: output('run') });
      await expectRefusal(
        again,
        'OUTPUT_REFUSED',
        /holds checkpoint-12 of another run; continue that run with resume: 'latest'/,
      );
      expect(await checkpointSteps(output('run'))).to.deep.equal([12, 8, 4]);
    });
  });

  it('are written by one run at a time', async () => {
    const options: TrainerOptions = { ...OPTIONS, method: lora({ rank: 2 }), outputDirectory: output('run') };
    await using one = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    await using two = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    const first = new Trainer(one, options).train(train);
    const second = new Trainer(two, options).train(train);
    const outcomes = await Promise.allSettled([first, second]);
    expect(outcomes.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
    const refused = outcomes.find((outcome) => outcome.status === 'rejected') as PromiseRejectedResult;
    expect(refused.reason.message).to.contain('is being written by other work of this process');
    expect(await readdir(output('run'))).to.deep.equal([]);
  });

  it('take turns with saves of the model into their directory, whatever context these come from', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
    await using other = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
    const settings = { method: lora({ rank: 2 }), ...OPTIONS, loggingSteps: 1, epochs: 2, saveSteps: 1 };
    const trainer = new Trainer(model, { ...settings, saveStrategy: 'steps', outputDirectory: output('run') });
    const saves: Promise<void>[] = [];
    let refusal: Promise<unknown> = Promise.resolve();
    const save = () => saves.push(model.save(output('run'), { overwrite: true }));
    trainer.on('log', ({ step }) => {
      save();
      // So that it comes while there is more to train.
      if (step <= 12) setTimeout(save, 3 * step);
    });
    trainer.once('save', () => {
      const saving = other.save(output('run'), { overwrite: true });
      refusal = expectRefusal(saving, 'OUTPUT_REFUSED', 'is being written by other work of this process');
    });
    expect((await trainer.train(train)).stopped).to.equal('done');
    await Promise.all([...saves, refusal]);
    expect(saves).to.have.lengthOf(28);
    for (const step of await checkpointSteps(output('run')))
      await expectWhole(join(output('run'), `checkpoint-${step}`));
    expect(await checkpointSteps(output('run'))).to.have.lengthOf(16);
    expect((await readdir(output('run'))).filter((name) => name.startsWith('.'))).to.deep.equal([]);
    await using saved = await TextClassifier.load(output('run'), { device: 'cpu', threads: 1 });
    expect(saved.method?.kind).to.equal('lora');
  });

  it('leave a listener no right to the directory once they are over', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
    const trainer = new Trainer(model, { ...OPTIONS, maxSteps: 1, outputDirectory: output('run') });
    let goOn = () => {};
    const later = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let saving: Promise<void> = Promise.resolve();
    trainer.once('progress', () => {
      saving = later.then(() => model.save(output('run'), { overwrite: true }));
    });
    await trainer.train(train);
    await withDirectoryLock(output('run'), async () => {
      goOn();
      await expectRefusal(saving, 'OUTPUT_REFUSED', 'is being written by');
    });
  });

  it('leave nothing of a run that was killed', async () => {
    await mkdir(output('run'));
    await mkdir(join(output('run'), '.checkpoint-4.0123456789abcdef.tmp'));
    await writeFile(join(output('run'), '.bertune-0123456789abcdef.tmp'), 'x');
    await writeFile(join(output('run'), '.bertune.lock'), '{"pid":1}');
    await run({ method: lora({ rank: 2 }), epochs: 1, saveStrategy: 'epoch', outputDirectory: output('run') });
    expect(await readdir(output('run'))).to.deep.equal(['checkpoint-8']);
  });
});
