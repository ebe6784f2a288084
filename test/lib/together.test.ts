import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { type TrainTogetherOptions, trainTogether } from '../../lib/api/together.js';
import { Trainer } from '../../lib/api/trainer.js';
import { BertuneError } from '../../lib/errors.js';
import type { Experiment } from '../../lib/experiments/experiment.js';
import { executeTogether, togetherGroups } from '../../lib/experiments/together.js';
import { full, type LoraOptions, logreg, lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { loadNative } from '../../lib/native/index.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { devices } from '../devices.js';
import { relativeError } from '../model/support.js';
import { useTemporaryDirectory } from './files.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

type Numbers = Map<string, ArrayLike<number>>;

const FAST = { learningRate: 3e-3, batchSize: 4, epochs: 2, loggingSteps: 1, seed: 7 } as const;
const CONFIGURATIONS: readonly [LoraOptions, TrainerOptions][] = [
  [{ rank: 2 }, {}],
  [
    { rank: 8, dropout: 0.3, targets: ['all-linear'] },
    { learningRate: 1e-3, schedule: 'cosine' },
  ],
  [{ rank: 4, dropout: 0, alpha: 8, trainHead: false }, { learningRate: 1e-2 }],
];

describe('trainTogether', function () {
  this.timeout(60_000);
  const directory = useTemporaryDirectory();
  const train = tinySplit('train', 22, 3);
  const validation = tinySplit('validation', 9, 4);
  const options: TrainTogetherOptions = { validation };
  beforeEach(() => writeTinyCheckpoint(directory.path('base'), { dropout: 0.1 }));

  const CPU = { device: 'cpu', threads: 2, precision: 'fp64' } as const;
  const load = (where: object = CPU, path = 'base') => TextClassifier.load(directory.path(path), where);

  /** What a trained model is: its log, its trained parameters, what it predicts. */
  async function outcomeOf(model: TextClassifier, trainer: Trainer): Promise<Numbers> {
    const outcome: Numbers = new Map();
    for (const key of ['loss', 'grad_norm', 'learning_rate', 'eval_loss', 'eval_accuracy']) {
      const rows = trainer.state!.log_history as unknown as Record<string, number>[];
      outcome.set(
        key,
        rows.flatMap((row) => (key in row ? [row[key]!] : [])),
      );
    }
    for (const { name, trainable } of model.parameters()) {
      if (trainable) outcome.set(name, await model.parameter(name));
    }
    outcome.set('logits', (await model.logits(validation.texts)).logits);
    const { loss, accuracy } = await trainer.evaluate(validation);
    outcome.set('evaluation', [loss, accuracy]);
    return outcome;
  }

  const trainerOf = (model: TextClassifier, [method, own]: readonly [LoraOptions, TrainerOptions]) =>
    new Trainer(model, { ...FAST, method: lora(method), ...own });

  async function alone(configuration: readonly [LoraOptions, TrainerOptions], where: object = CPU): Promise<Numbers> {
    await using model = await load(where);
    const trainer = trainerOf(model, configuration);
    await trainer.train(train, options);
    return await outcomeOf(model, trainer);
  }

  /** Trains all together and hands models and outcomes over. */
  async function together<T>(
    configurations: readonly (readonly [LoraOptions, TrainerOptions])[],
    use: (models: TextClassifier[], trainers: Trainer[], ends: PromiseSettledResult<unknown>[]) => Promise<T>,
    where: object = CPU,
  ): Promise<T> {
    const models = await Promise.all(configurations.map(() => load(where)));
    try {
      const trainers = models.map((model, i) => trainerOf(model, configurations[i]!));
      return await use(models, trainers, await trainTogether(trainers, train, options));
    } finally {
      await Promise.all(models.map((model) => model.dispose()));
    }
  }

  function expectSame(found: Numbers, expected: Numbers, tolerance: number, what: string): void {
    expect([...found.keys()]).to.deep.equal([...expected.keys()]);
    for (const [name, values] of expected) {
      expect(values.length, name).to.be.greaterThan(0);
      expect(found.get(name), name).to.have.lengthOf(values.length);
      const error = relativeError(Array.from(found.get(name)!), Array.from(values));
      expect(error, `${what}: ${name}`).to.be.at.most(tolerance);
    }
  }

  for (const { device, precisions } of devices()) {
    const precision = precisions.includes('fp64') ? 'fp64' : 'fp32';
    it(`comes to what each configuration does alone, on ${device} in ${precision}`, async () => {
      const where = { device: device as 'cpu', precision, ...(device === 'cpu' && { threads: 2 }) };
      const tolerance = precision === 'fp64' ? 1e-10 : 2e-3;
      const some = device === 'cpu' ? CONFIGURATIONS : CONFIGURATIONS.slice(1);
      await together(
        some,
        async (models, trainers, ends) => {
          expect(ends.map(({ status }) => status)).to.deep.equal(some.map(() => 'fulfilled'));
          for (const [i, model] of models.entries()) {
            const found = await outcomeOf(model, trainers[i]!);
            expectSame(found, await alone(some[i]!, where), tolerance, `configuration ${i}`);
          }
        },
        where,
      );
    });
  }

  it('lets a configuration that stops early drop out, and goes on with the others', async () => {
    // The best epoch is never beaten by so much, so it waits for one epoch and stops after the second.
    const stops: TrainerOptions = { epochs: 4, earlyStoppingPatience: 1, earlyStoppingThreshold: 10 };
    const mixed = [[{ rank: 2 }, stops] as const, [{ rank: 4 }, { epochs: 4 }] as const];
    await together(mixed, async (models, trainers, ends) => {
      const results = ends.map((end) => (end as PromiseFulfilledResult<{ stopped: string; epochs: number }>).value);
      expect(results.map(({ stopped, epochs }) => [stopped, epochs])).to.deep.equal([
        ['early', 2],
        ['done', 4],
      ]);
      for (const [i, model] of models.entries()) {
        expectSame(await outcomeOf(model, trainers[i]!), await alone(mixed[i]!), 1e-10, `configuration ${i}`);
      }
    });
  });

  it('goes on where the loss of one is not finite', async () => {
    const mixed = [CONFIGURATIONS[0]!, [{ rank: 4 }, { learningRate: 1e300, maxGradNorm: 1 }] as const];
    await together(mixed, async (models, trainers, [first, second]) => {
      expect(second).to.have.property('status', 'rejected');
      expect((second as PromiseRejectedResult).reason).to.have.property('code', 'NON_FINITE_LOSS');
      expect(first).to.have.property('status', 'fulfilled');
      expectSame(await outcomeOf(models[0]!, trainers[0]!), await alone(mixed[0]!), 1e-10, 'the other');
    });
  });

  it('leaves models that save, train on and outlive one another', async () => {
    await together(CONFIGURATIONS.slice(0, 2), async ([first, second]) => {
      await second!.save(directory.path('saved'));
      const expected = await second!.logits(validation.texts);
      await first!.dispose();
      expect(await second!.logits(validation.texts)).to.deep.equal(expected);
      await using loaded = await TextClassifier.load(directory.path('saved'), {
        ...CPU,
        base: directory.path('base'),
      });
      expect(relativeError([...(await loaded.logits(validation.texts)).logits], [...expected.logits])).to.be.below(
        1e-6,
      );
      const refused = await second!.loadAdapter('other', directory.path('saved')).catch((cause) => cause);
      expect(refused).to.include({ code: 'INVALID_OPTION' });
      const { steps } = await trainerOf(second!, [CONFIGURATIONS[1]![0], { epochs: 1 }]).train(train);
      expect(steps).to.equal(6);
    });
  });

  it('saves checkpoints that a trainer resumes alone', async () => {
    const saving: TrainerOptions = { outputDirectory: directory.path('run'), saveStrategy: 'epoch' };
    await together([[{ rank: 2 }, saving] as const, CONFIGURATIONS[1]!], async ([model], [trainer]) => {
      await using resumed = await load();
      const alone = trainerOf(resumed, CONFIGURATIONS[0]!);
      await alone.train(train, { ...options, resume: directory.path('run/checkpoint-6') });
      expectSame(await outcomeOf(resumed, alone), await outcomeOf(model!, trainer!), 1e-10, 'resumed');
    });
  });

  it('plans memory for all of them, over one base', async () => {
    const sizeOf = (model: TextClassifier) => model.memory();
    const own = await together(CONFIGURATIONS.slice(0, 2), async ([model]) => sizeOf(model!));
    await using model = await load();
    await trainerOf(model, CONFIGURATIONS[0]!).train(train, options);
    const one = sizeOf(model);
    expect(own.parameters).to.be.below(1.2 * one.parameters);
    expect(own.activations).to.be.within(1.6 * one.activations, 3 * one.activations);
  });

  it('refuses what cannot train together', async () => {
    const refusalOf = async (second: TrainerOptions, path = 'base') => {
      await using a = await load();
      await using b = await load(CPU, path);
      const trainers = [
        trainerOf(a, [{ rank: 2 }, {}]),
        new Trainer(b, { ...FAST, method: lora({ rank: 4 }), ...second }),
      ];
      const [, end] = await trainTogether(trainers, train);
      const { reason } = end as PromiseRejectedResult;
      expect(reason).to.have.property('code', 'INVALID_OPTION');
      return (reason as Error).message;
    };
    await writeTinyCheckpoint(directory.path('deep'), { dropout: 0 });
    expect(await refusalOf({ method: full() })).to.match(/Only LoRA without dora trains together.*by itself/);
    expect(await refusalOf({ method: lora({ dora: true }) })).to.contain('without dora');
    expect(await refusalOf({ method: lora({ bias: 'all' }) })).to.contain('share all but their updates and heads');
    expect(await refusalOf({ seed: 8 })).to.contain('the same seed');
    expect(await refusalOf({ batchSize: 8 })).to.contain('the same batchSize');
    expect(await refusalOf({ epochs: 3 })).to.contain('the same number of steps');
    expect(await refusalOf({ maxLength: 6 })).to.contain('the same texts');
    expect(await refusalOf({}, 'deep')).to.contain('one model, device and precision');
    await using model = await load();
    await using fitted = await load();
    const fits = new Trainer(fitted, { method: logreg() });
    for (const end of await trainTogether([trainerOf(model, [{}, {}]), fits], train)) {
      expect((end as PromiseRejectedResult).reason.message).to.contain('Only LoRA without dora');
    }
    const single = await trainTogether([trainerOf(model, [{}, {}])], train).catch((cause) => cause);
    expect(single).to.have.property('code', 'INVALID_OPTION');
  });

  describe('of experiments', () => {
    const experimentOf = (rank: number, method: Experiment['method'] = lora({ rank })): Experiment => ({
      ...{
        name: `lora${rank}`,
        title: `LoRA r=${rank}`,
        model: directory.path('base'),
        data: { train: directory.path('data.csv') },
        dataset: {},
      },
      ...{ method, options: { maxSteps: 1, batchSize: 2 }, where: { device: 'cpu', threads: 2 } },
    });

    it('are all LoRA methods, at most eight at a time', () => {
      const many = [
        experimentOf(1, null),
        experimentOf(1, full()),
        ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((r) => experimentOf(r)),
      ];
      expect(togetherGroups(many).map((group) => group.length)).to.deep.equal([1, 1, 5, 4]);
      expect(togetherGroups(many).flat()).to.deep.equal(many);
      expect(() => togetherGroups(many.slice(0, 3))).to.throw(BertuneError, /two LoRA methods or more/);
    });

    it('are trained fewer at a time where memory does not suffice', async () => {
      const native = loadNative();
      const { createSession } = native;
      const asked: number[] = [];
      native.createSession = (config) => {
        const variants = Array.isArray(config.lora) ? config.lora.length : 0;
        if (variants > 0) asked.push(variants);
        if (variants > 2) return Promise.reject(new BertuneError('OUT_OF_MEMORY', 'no memory'));
        return createSession.call(native, config);
      };
      try {
        const rows = train.texts.map((text, i) => `${text},${LABELS[train.labels[i]!]}`);
        await writeFile(directory.path('data.csv'), ['text,label', ...rows, ''].join('\n'));
        const [notes, lines]: [string[], string[]] = [[], []];
        const experiments = [1, 2, 3].map((rank) => experimentOf(rank));
        const records = await executeTogether(experiments, {
          onNote: (note) => notes.push(note),
          onEpoch: (line) => lines.push(line),
        });
        expect(asked).to.deep.equal([3, 2]);
        expect(records.map(({ name, status, together }) => [name, status, together])).to.deep.equal([
          ['lora1', 'done', 2],
          ['lora2', 'done', 2],
          ['lora3', 'done', undefined],
        ]);
        expect(notes.join('\n')).to.contain(
          'memory does not suffice for 3 configurations together; training 2 at a time',
        );
        expect(lines.map((line) => line.slice(0, 16))).to.deep.equal([1, 2, 3].map((rank) => `LoRA r=${rank}: epoch `));
      } finally {
        native.createSession = createSession;
      }
    });
  });
});
