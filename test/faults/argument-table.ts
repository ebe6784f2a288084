import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as bertune from '../../lib/index.js';
import { LABELS } from '../lib/tiny-model.js';

/** What calls are made on. */
export interface Subjects {
  /** Of a checkpoint. */
  checkpoint: string;
  /** Of an adapter on it. */
  adapter: string;
  /** An empty one, for outputs. */
  directory: string;
  model: bertune.TextClassifier;
  service: bertune.PredictionService;
  tokenizer: bertune.Tokenizer;
  split: bertune.Split;
  /** A file of rows. */
  file: string;
}

/** One argument or option of one function, and a call with everything else in order. */
export interface Argument {
  /** The export, and what of it. */
  path: string;
  /** What the message of a refusal names. */
  named: RegExp;
  call: (value: never) => unknown;
  /** Names of the hostile values that are sensible here. Every other one is refused. */
  accepts: readonly string[];
}

/** Values that stand for an option that is not there. */
const NONE = ['undefined'];
/** Objects without options. */
const EMPTY_OPTIONS = [
  ...NONE,
  'an empty object',
  'a frozen object',
  'an object without a prototype',
  "another realm's object",
  'a forged AbortSignal',
  'a throwing toStringTag',
];
const NAMES = ['an array with properties'];
const TEXTS = ["''", 'a NUL', 'a lone surrogate', "'__proto__'", "'constructor'", 'a million characters'];
const NAME = TEXTS.filter((text) => text !== "''");
const LISTS_OF_TEXTS = [...NAMES, 'an empty array'];
const POSITIVE = [...NONE, '2^31'];
async function drain(predictions: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of predictions);
}

/** Strings that a folder of the working directory may be called. */
const PLACES: Record<string, string> = {
  'a lone surrogate': '\ud800',
  "'__proto__'": '__proto__',
  "'constructor'": 'constructor',
};
const PATHS = Object.keys(PLACES);
const FUNCTIONS = [
  ...NONE,
  'a function',
  'a function whose name is a symbol',
  'a class',
  'a throwing proxy of a function',
];

/** Every argument of every export, by export. */
export function argumentTable(subjects: Subjects): Record<string, Argument[]> {
  const { checkpoint, adapter, directory, model, service, tokenizer, split, file } = subjects;
  const argument = (
    path: string,
    named: string,
    call: Argument['call'],
    accepts: readonly string[] = [],
  ): Argument => ({ path, named: new RegExp(named), call, accepts });
  const rows: readonly bertune.TextRow[] = [
    { text: 'a b', label: 'no' },
    { text: 'b', label: 'yes' },
    { text: 'c', label: 'no' },
    { text: 'd', label: 'yes' },
  ];
  const out = join(directory, 'out');
  const load = async (source: string, options: bertune.LoadOptions) => {
    const loaded = await bertune.TextClassifier.load(source, options);
    await loaded.dispose();
  };
  const cpu = { device: 'cpu', threads: 1 } as const;
  const train = async (options: bertune.TrainerOptions, trained = model) => {
    const trainer = new bertune.Trainer(trained, { epochs: 1, learningRate: 0, ...options });
    // Values that mean to train for ages are sensible, as long as they can be stopped.
    const endless = [options.epochs, options.maxSteps].some((value) => typeof value === 'number' && value > 1);
    await trainer.train(split, endless ? { signal: AbortSignal.timeout(200) } : {}).catch((error) => {
      if ((error as bertune.BertuneError).code !== 'ABORTED') throw error;
    });
  };
  const trainer = new bertune.Trainer(model, { epochs: 1, learningRate: 0 });
  const METHODS = {
    ...{ full: bertune.full, linear: bertune.linear, logreg: bertune.logreg },
    ...{ prefix: bertune.prefix, lora: bertune.lora },
  };
  const method = (kind: keyof typeof METHODS, key: string, accepts: readonly string[]) =>
    argument(`${kind}.${key}`, key, (value) => METHODS[kind]({ [key]: value } as never), accepts);
  const trainerOption = (
    key: keyof bertune.TrainerOptions,
    accepts: readonly string[],
    more: bertune.TrainerOptions = {},
  ) => argument(`Trainer options.${key}`, key, (value) => train({ ...more, [key]: value }), accepts);
  const optionOnly = (key: keyof bertune.TrainerOptions, value: unknown) =>
    new bertune.Trainer(model, { [key]: value } as never);
  const save = async (work: (to: string) => Promise<unknown>, to: unknown) => {
    try {
      await work(to as string);
    } finally {
      for (const made of [out, to]) {
        if (made === out || PATHS.some((path) => to === PLACES[path])) {
          await rm(made as string, { recursive: true, force: true });
        }
      }
    }
  };
  const once = (work: (service: bertune.PredictionService) => unknown) => async () => {
    const own = new bertune.PredictionService(model);
    try {
      await work(own);
    } finally {
      await own.dispose();
    }
  };
  const { config } = model;
  return {
    TextClassifier: [
      argument(
        'load source',
        'source|there is no such file|Expected to fetch|null|Hugging Face',
        (value) => load(value, cpu),
        [],
      ),
      argument('load options', 'options', (value) => load(checkpoint, value), EMPTY_OPTIONS),
      argument('load options.labels', 'labels', (labels) => load(checkpoint, { ...cpu, labels }), [...NONE, ...NAMES]),
      argument('load options.head', 'head', (head) => load(checkpoint, { ...cpu, head }), NONE),
      argument('load options.device', 'device', (device) => load(checkpoint, { ...cpu, device }), NONE),
      argument('load options.precision', 'precision', (precision) => load(checkpoint, { ...cpu, precision }), NONE),
      argument('load options.threads', 'threads', (threads) => load(checkpoint, { ...cpu, threads }), NONE),
      argument('load options.adapter', 'adapter|model', (value) => load(checkpoint, { ...cpu, adapter: value }), NONE),
      argument('load options.base', 'base|model', (base) => load(adapter, { ...cpu, base }), NONE),
      argument('load options.revision', 'revision', (revision) => load(checkpoint, { ...cpu, revision }), NONE),
      argument('load options.signal', 'signal', (signal) => load(checkpoint, { ...cpu, signal }), NONE),
      argument(
        'load options.onProgress',
        'onProgress',
        (onProgress) => load(checkpoint, { ...cpu, onProgress }),
        FUNCTIONS,
      ),
      argument('load options.seed', 'seed', (seed) => load(checkpoint, { ...cpu, seed }), [...POSITIVE, '-0']),
      argument('predict texts', 'texts', (value) => model.predict(value), [...TEXTS, ...LISTS_OF_TEXTS]),
      argument('predict options', 'options', (value) => model.predict('a', value), EMPTY_OPTIONS),
      argument(
        'predict options.batchTokens',
        'batchTokens',
        (batchTokens) => model.predict('a', { batchTokens }),
        POSITIVE,
      ),
      argument('predict options.maxLength', 'maxLength', (maxLength) => model.predict('a', { maxLength }), NONE),
      argument('predict options.truncation', 'truncation', (truncation) => model.predict('a', { truncation }), NONE),
      argument('predict options.stride', 'stride', (stride) => model.predict('a', { stride }), [...NONE, '-0']),
      argument(
        'predict options.windowPooling',
        'windowPooling',
        (windowPooling) => model.predict('a', { windowPooling, stride: 0 }),
        NONE,
      ),
      argument('predict options.signal', 'signal', (signal) => model.predict('a', { signal }), NONE),
      argument('predict options.adapter', 'adapter', (value) => model.predict(['a'], { adapter: value }), [
        ...NONE,
        'null',
      ]),
      argument('logits texts', 'texts', (value) => model.logits(value), [...TEXTS, ...LISTS_OF_TEXTS]),
      argument('logits options', 'options', (value) => model.logits('a', value), EMPTY_OPTIONS),
      argument(
        'loadAdapter name',
        'name|taken',
        async (value) => {
          await model.loadAdapter(value, adapter);
          await model.unloadAdapter(value);
        },
        NAME,
      ),
      argument('loadAdapter directory', 'directory|model|adapter', (value) => model.loadAdapter('a', value), []),
      argument(
        'loadAdapter options',
        'options',
        async (value) => {
          await model.loadAdapter('a', adapter, value);
          await model.unloadAdapter('a');
        },
        EMPTY_OPTIONS,
      ),
      argument(
        'loadAdapter options.labels',
        'labels',
        async (labels) => {
          await model.loadAdapter('a', adapter, { labels });
          await model.unloadAdapter('a');
        },
        NONE,
      ),
      argument(
        'loadAdapter options.signal',
        'signal',
        async (signal) => {
          await model.loadAdapter('a', adapter, { signal });
          await model.unloadAdapter('a');
        },
        NONE,
      ),
      argument('unloadAdapter name', 'name', (value) => model.unloadAdapter(value), []),
      argument('save directory', 'directory|Expected', (value) => save((to) => model.save(to), value), PATHS),
      argument('save options', 'options', (value) => save((to) => model.save(to, value), out), EMPTY_OPTIONS),
      argument('save options.overwrite', 'overwrite', (overwrite) => save((to) => model.save(to, { overwrite }), out), [
        ...NONE,
        'true',
      ]),
      argument('export directory', 'directory|Expected', (value) => save((to) => model.export(to), value), PATHS),
      argument('export options', 'options', (value) => save((to) => model.export(to, value), out), EMPTY_OPTIONS),
      argument(
        'export options.overwrite',
        'overwrite',
        (overwrite) => save((to) => model.export(to, { overwrite }), out),
        [...NONE, 'true'],
      ),
      argument(
        'exportOnnx directory',
        'directory|Expected',
        (value) => save((to) => model.exportOnnx(to), value),
        PATHS,
      ),
      argument(
        'exportOnnx options',
        'options',
        (value) => save((to) => model.exportOnnx(to, value), out),
        EMPTY_OPTIONS,
      ),
      argument(
        'exportOnnx options.overwrite',
        'overwrite',
        (overwrite) => save((to) => model.exportOnnx(to, { overwrite }), out),
        [...NONE, 'true'],
      ),
      argument(
        'exportOnnx options.weights',
        'weights',
        (weights) => save((to) => model.exportOnnx(to, { weights }), out),
        [...NONE, 'int4'],
      ),
      argument('embed texts', 'texts', (value) => model.embed(value), [...TEXTS, ...LISTS_OF_TEXTS]),
      argument('embed options', 'options', (value) => model.embed('a text', value), EMPTY_OPTIONS),
      argument('predictStream texts', 'texts', (value) => drain(model.predictStream(value)), [
        ...LISTS_OF_TEXTS,
        'a Set',
        'a changing array',
      ]),
      argument(
        'predictStream options',
        'options',
        (value) => drain(model.predictStream(['a text'], value)),
        EMPTY_OPTIONS,
      ),
      argument('evaluate split', 'split', (value) => model.evaluate(value), []),
      argument('evaluate options', 'options', (value) => model.evaluate(split, value), EMPTY_OPTIONS),
      argument('evaluate options.adapter', 'adapter', (adapter) => model.evaluate(split, { adapter }), NONE),
      argument('evaluate options.mistakes', 'mistakes', (mistakes) => model.evaluate(split, { mistakes }), POSITIVE),
      argument('parameter name', 'name|parameter', (value) => model.parameter(value), []),
      // They take none: what is passed all the same changes nothing.
      ...(['memory', 'parameters', 'countParameters', 'unmerge'] as const).map((name) =>
        argument(name, '', (value) => (model[name] as (value: unknown) => unknown)(value), ['anything']),
      ),
      argument('merge', 'adapter', (value) => (model.merge as (value: unknown) => unknown)(value), []),
      argument(
        'dispose',
        '',
        async (value) => {
          const own = await bertune.TextClassifier.load(checkpoint, cpu);
          await (own.dispose as (value: unknown) => Promise<void>)(value);
        },
        ['anything'],
      ),
    ],
    Trainer: [
      argument('Trainer model', 'model', (value) => new bertune.Trainer(value), []),
      argument('Trainer options', 'options', (value) => new bertune.Trainer(model, value), EMPTY_OPTIONS),
      trainerOption('method', NONE),
      argument(
        'Trainer options.learningRate',
        'learning ?[rR]ate',
        async (learningRate) => {
          // A rate that takes the parameters out of their range is the caller's wish: on a model of its own.
          await using own = await bertune.TextClassifier.load(checkpoint, cpu);
          await train({ learningRate }, own);
        },
        [...POSITIVE, '-0', '0.5', '2^53', '1e308', '5e-324'],
      ),
      trainerOption('epochs', [...POSITIVE, '0.5', '5e-324']),
      trainerOption('maxSteps', POSITIVE, { epochs: undefined as never }),
      trainerOption('batchSize', NONE),
      trainerOption('gradientAccumulation', NONE),
      trainerOption('evalBatchTokens', POSITIVE),
      trainerOption('weightDecay', [...POSITIVE, '-0', '0.5', '2^53', '1e308', '5e-324']),
      trainerOption('layerwiseDecay', [...NONE, '0.5', '5e-324']),
      trainerOption('maxGradNorm', [...POSITIVE, '-0', '0.5', '2^53', '1e308', '5e-324']),
      trainerOption('adamBeta1', [...NONE, '-0', '0.5', '5e-324']),
      trainerOption('adamBeta2', [...NONE, '-0', '0.5', '5e-324']),
      trainerOption('adamEps', [...POSITIVE, '0.5', '2^53', '1e308']),
      trainerOption('schedule', NONE),
      trainerOption('scheduleCycles', POSITIVE, { schedule: 'cosine_with_restarts' }),
      // Its schedule takes a rate, with which the model would change.
      argument(
        'Trainer options.schedulePower',
        'schedulePower',
        (schedulePower) => new bertune.Trainer(model, { schedule: 'polynomial', schedulePower }),
        [...POSITIVE, '0.5', '2^53', '1e308', '5e-324'],
      ),
      trainerOption('warmupSteps', [...POSITIVE, '-0']),
      trainerOption('warmupRatio', [...NONE, '-0', '0.5', '5e-324']),
      trainerOption('labelSmoothing', [...NONE, '-0', '0.5', '5e-324']),
      trainerOption('focalGamma', [...NONE, '-0', '0.5', '5e-324']),
      trainerOption('classWeights', [...NONE, 'a throwing iterator']),
      trainerOption('positiveWeights', NONE),
      trainerOption('sampling', NONE),
      trainerOption('tuneThresholds', NONE),
      trainerOption('calibrate', NONE),
      trainerOption('seed', [...POSITIVE, '-0']),
      trainerOption('loggingSteps', POSITIVE),
      trainerOption('evaluationStrategy', NONE),
      trainerOption('distributed', NONE),
      trainerOption('collectiveTimeout', [...POSITIVE, '0.5', '5e-324']),
      trainerOption('evalSteps', POSITIVE, { evaluationStrategy: 'steps' }),
      trainerOption('loadBestModel', NONE),
      trainerOption('metricForBest', NONE),
      trainerOption('labelForBest', NONE),
      trainerOption('earlyStoppingPatience', NONE),
      argument(
        'Trainer options.earlyStoppingThreshold',
        'earlyStoppingThreshold',
        (earlyStoppingThreshold) => new bertune.Trainer(model, { earlyStoppingPatience: 1, earlyStoppingThreshold }),
        [...POSITIVE, '-0', '0.5', '2^53', '1e308', '5e-324'],
      ),
      trainerOption('gradientCheckpointing', NONE),
      trainerOption('maxLength', NONE),
      trainerOption('truncation', NONE),
      trainerOption('stride', [...NONE, '-0']),
      trainerOption('windowPooling', NONE),
      // Any name will do, and each would make a directory: the paths are those of `save`.
      argument('Trainer options.outputDirectory', 'outputDirectory', (value) => optionOnly('outputDirectory', value), [
        ...NONE,
        ...PATHS,
        'a huge string',
        'a lone surrogate',
      ]),
      argument('Trainer options.saveStrategy', 'saveStrategy', (value) => optionOnly('saveStrategy', value), NONE),
      argument(
        'Trainer options.saveSteps',
        'saveSteps',
        (saveSteps) => new bertune.Trainer(model, { saveStrategy: 'steps', outputDirectory: directory, saveSteps }),
        POSITIVE,
      ),
      argument(
        'Trainer options.saveTotalLimit',
        'saveTotalLimit',
        (value) => optionOnly('saveTotalLimit', value),
        POSITIVE,
      ),
      argument(
        'train options.resume',
        'resume|Expected a checkpoint',
        (resume) => trainer.train(split, { resume }),
        NONE,
      ),
      argument('train split', 'train', (value) => trainer.train(value), []),
      argument('train options', 'options', (value) => trainer.train(split, value), EMPTY_OPTIONS),
      argument('train options.validation', 'validation', (validation) => trainer.train(split, { validation }), NONE),
      argument('train options.signal', 'signal', (signal) => trainer.train(split, { signal }), NONE),
      argument('evaluate split', 'split', (value) => trainer.evaluate(value), []),
      argument('evaluate options', 'options', (value) => trainer.evaluate(split, value), EMPTY_OPTIONS),
      argument('evaluate options.signal', 'signal', (signal) => trainer.evaluate(split, { signal }), NONE),
      argument('evaluate options.mistakes', 'mistakes', (mistakes) => trainer.evaluate(split, { mistakes }), POSITIVE),
      argument('evaluate split.texts', 'split.texts|split', (texts) => trainer.evaluate({ ...split, texts }), []),
      argument('evaluate split.pairs', 'split.pairs', (pairs) => trainer.evaluate({ ...split, pairs }), NONE),
      argument('evaluate split.labels', 'split', (labels) => trainer.evaluate({ ...split, labels }), []),
      argument(
        'evaluate split.labelNames',
        'split.labelNames|labels of',
        (labelNames) => trainer.evaluate({ ...split, labelNames }),
        NAMES,
      ),
      argument('evaluate split.name', '', (name) => trainer.evaluate({ ...split, name }), ['anything']),
      argument('evaluate split.source', '', (source) => trainer.evaluate({ ...split, source }), ['anything']),
    ],
    PredictionService: [
      argument('PredictionService classifier', 'classifier', (value) => new bertune.PredictionService(value), []),
      argument(
        'PredictionService options',
        'options',
        (value) => new bertune.PredictionService(model, value),
        EMPTY_OPTIONS,
      ),
      ...(['maxBatchTokens', 'maxWait', 'maxQueuedTexts', 'maxQueueTime', 'onBatch'] as const).map((key) =>
        argument(
          `PredictionService options.${key}`,
          key,
          async (value) => {
            await using own = new bertune.PredictionService(model, { [key]: value });
            if (key !== 'maxWait') await own.predict('a');
          },
          key === 'onBatch'
            ? FUNCTIONS
            : key === 'maxWait' || key === 'maxQueueTime'
              ? [...NONE, '-0', '0.5', '5e-324']
              : POSITIVE,
        ),
      ),
      argument('service expectRoom texts', 'texts', (value) => service.expectRoom(value), [...POSITIVE, ...NONE]),
      argument('service predict texts', 'texts', (value) => service.predict(value), [...TEXTS, ...LISTS_OF_TEXTS]),
      argument('service predict options', 'options', (value) => service.predict('a', value), EMPTY_OPTIONS),
      argument(
        'service predict options.maxLength',
        'maxLength',
        (maxLength) => service.predict('a', { maxLength }),
        NONE,
      ),
      argument('service predict options.signal', 'signal', (signal) => service.predict('a', { signal }), NONE),
      argument('service predict options.timeout', 'timeout|within', (timeout) => service.predict('a', { timeout }), [
        ...NONE,
        '-0',
        '0.5',
        '5e-324',
      ]),
      argument('service predict options.adapter', 'adapter', (value) => service.predict(['a'], { adapter: value }), [
        ...NONE,
        'null',
      ]),
      argument('service stats', '', (value) => (service.stats as (value: unknown) => unknown)(value), ['anything']),
      argument('service dispose options', 'options', (value) => once((own) => own.dispose(value))(), EMPTY_OPTIONS),
      argument('service dispose options.queued', 'queued', (queued) => once((own) => own.dispose({ queued }))(), NONE),
    ],
    Tokenizer: [
      argument('Tokenizer.load directory', 'directory|tokenizer', (value) => bertune.Tokenizer.load(value), []),
      argument('encode text', 'text', (value) => tokenizer.encode(value, 8), TEXTS),
      argument('encode maxLength', 'maxLength', (value) => tokenizer.encode('a', value), ['2^31']),
      argument('encodeTexts texts', 'texts', (value) => tokenizer.encodeTexts(value, 8), LISTS_OF_TEXTS),
      argument('encodeTexts maxLength', 'maxLength', (value) => tokenizer.encodeTexts(['a'], value), ['2^31']),
      argument('encodeTexts options', 'options', (value) => tokenizer.encodeTexts(['a'], 8, value), EMPTY_OPTIONS),
      argument('encodeTexts options.pairs', 'pairs', (pairs) => tokenizer.encodeTexts(['a'], 8, { pairs }), [
        ...NONE,
        ...LISTS_OF_TEXTS,
      ]),
      argument('encodeTexts options.signal', 'signal', (signal) => tokenizer.encodeTexts(['a'], 8, { signal }), NONE),
    ],
    loadDataset: [
      argument('loadDataset source', 'source|data set|fetch|Expected', (value) => bertune.loadDataset(value), []),
      argument(
        'loadDataset source.train',
        'source.train|Expected',
        (value) => bertune.loadDataset({ train: value }),
        [],
      ),
      argument('loadDataset options', 'options', (value) => bertune.loadDataset(file, value), EMPTY_OPTIONS),
      ...(
        [
          'textColumn',
          'textPairColumn',
          'labelColumn',
          'config',
          'delimiter',
          'quoting',
          'labels',
          'splits',
          'split',
          'signal',
        ] as const
      ).map((key) =>
        argument(
          `loadDataset options.${key}`,
          key === 'config' ? key : `${key}|column|label`,
          (value) => bertune.loadDataset(file, { [key]: value }),
          NONE,
        ),
      ),
      argument(
        'loadDataset options.onProgress',
        'onProgress',
        (onProgress) => bertune.loadDataset(file, { onProgress }),
        FUNCTIONS,
      ),
    ],
    datasetFromRows: [
      argument('datasetFromRows splits', 'splits', (value) => bertune.datasetFromRows(value), []),
      argument(
        'datasetFromRows splits.train',
        'train',
        (train) => bertune.datasetFromRows({ train, test: rows }),
        NONE,
      ),
      argument('datasetFromRows row', 'train rows', (row) => bertune.datasetFromRows({ train: [row] }), []),
      argument(
        'datasetFromRows text',
        'train rows',
        (text) => bertune.datasetFromRows({ train: [{ text, label: 'a' }] }),
        TEXTS,
      ),
      argument(
        'datasetFromRows pair',
        'train rows',
        (pair) => bertune.datasetFromRows({ train: [{ text: 'a', pair, label: 'a' }] }),
        [...TEXTS, ...NONE],
      ),
      argument(
        'datasetFromRows label',
        'train rows',
        (label) => bertune.datasetFromRows({ train: [{ text: 'a', label }] }),
        // Numbers are classes or values, arrays are lists of labels.
        [...NAME, '-0', '-1', '0.5', '2^31', '2^53', '1e308', '5e-324', "another realm's array", ...LISTS_OF_TEXTS],
      ),
      argument(
        'datasetFromRows options',
        'options',
        (value) => bertune.datasetFromRows({ train: rows }, value),
        EMPTY_OPTIONS,
      ),
      argument(
        'datasetFromRows options.labels',
        'label',
        (labels) => bertune.datasetFromRows({ train: rows }, { labels }),
        NONE,
      ),
      argument(
        'datasetFromRows options.split',
        'split',
        (value) => bertune.datasetFromRows({ train: rows }, { split: value }),
        NONE,
      ),
      argument(
        'datasetFromRows options.holdout',
        'holdout',
        (holdout) => bertune.datasetFromRows({ train: rows }, { holdout }),
        [...EMPTY_OPTIONS, 'true'],
      ),
      argument(
        'datasetFromRows options.holdout.seed',
        'holdout.seed',
        (seed) => bertune.datasetFromRows({ train: rows }, { holdout: { seed } }),
        [...POSITIVE, '-0'],
      ),
      ...(['validation', 'test', 'seed', 'stratify'] as const).map((key) =>
        argument(
          `datasetFromRows options.split.${key}`,
          `${key}|fraction`,
          (value) =>
            bertune.datasetFromRows({ train: rows }, { split: { validation: 0.25, test: 0.25, [key]: value } }),
          key === 'seed' ? [...POSITIVE, '-0'] : key === 'stratify' ? [...NONE, 'true'] : [...NONE, '0.5'],
        ),
      ),
    ],
    // Of a folder that is not there, so that whatever is taken goes nowhere.
    pushModel: [
      argument('pushModel directory', 'directory|Expected', (value) => bertune.pushModel(value, 'org/name'), []),
      argument('pushModel name', 'name', (value) => bertune.pushModel('nowhere', value), []),
      argument('pushModel options', 'options|nowhere', (value) => bertune.pushModel('nowhere', 'org/name', value), []),
      ...(['public', 'revision', 'message', 'signal', 'onProgress'] as const).map((name) =>
        argument(
          `pushModel options.${name}`,
          `${name}|nowhere`,
          (value) => bertune.pushModel('nowhere', 'org/name', { [name]: value }),
          [],
        ),
      ),
    ],
    summarize: [
      argument('summarize data', 'data', (value) => bertune.summarize(value), []),
      argument(
        'summarize data.train',
        'train',
        (value) => bertune.summarize({ task: 'single-label', labels: LABELS, train: value }),
        NONE,
      ),
      argument(
        'summarize data.labels',
        'data.labels|labels',
        (labels) => bertune.summarize({ task: 'single-label', labels, train: split }),
        [],
      ),
      argument(
        'summarize data.notes',
        'notes',
        (notes) => bertune.summarize({ task: 'single-label', labels: LABELS, train: split, notes }),
        [...NONE, ...LISTS_OF_TEXTS, 'an empty array'],
      ),
      argument(
        'summarize options',
        'options',
        (value) => bertune.summarize({ task: 'single-label', labels: LABELS, train: split }, value),
        EMPTY_OPTIONS,
      ),
      argument(
        'summarize options.tokenizer',
        'tokenizer',
        (value) => bertune.summarize({ task: 'single-label', labels: LABELS, train: split }, { tokenizer: value }),
        NONE,
      ),
      argument(
        'summarize options.maxLength',
        'maxLength',
        (maxLength) =>
          bertune.summarize({ task: 'single-label', labels: LABELS, train: split }, { tokenizer, maxLength }),
        POSITIVE,
      ),
      argument(
        'summarize options.signal',
        'signal',
        (signal) => bertune.summarize({ task: 'single-label', labels: LABELS, train: split }, { signal }),
        NONE,
      ),
    ],
    findModel: [
      argument('findModel source', 'source|model', (value) => bertune.findModel(value), []),
      argument('findModel options', 'options', (value) => bertune.findModel(checkpoint, value), EMPTY_OPTIONS),
      argument(
        'findModel options.revision',
        'revision',
        (revision) => bertune.findModel(checkpoint, { revision }),
        NONE,
      ),
      argument('findModel options.signal', 'signal', (signal) => bertune.findModel(checkpoint, { signal }), NONE),
      argument(
        'findModel options.onProgress',
        'onProgress',
        (onProgress) => bertune.findModel(checkpoint, { onProgress }),
        FUNCTIONS,
      ),
    ],
    findDataset: [
      argument(
        'findDataset source',
        'source|data set',
        (value) => bertune.findDataset(value, { select: (paths) => paths }),
        [],
      ),
      argument('findDataset options', 'options|select', (value) => bertune.findDataset(file, value), []),
      argument(
        'findDataset options.select',
        'select',
        (select) => bertune.findDataset(file, { select }),
        FUNCTIONS.filter((name) => name !== 'undefined'),
      ),
    ],
    bitfit: [argument('bitfit options', 'options', (value) => bertune.bitfit(value), EMPTY_OPTIONS)],
    full: [
      argument('full options', 'options', (value) => bertune.full(value), EMPTY_OPTIONS),
      method('full', 'freeze', [...NONE, ...NAMES, 'an empty array']),
    ],
    logreg: [
      argument('logreg options', 'options', (value) => bertune.logreg(value), EMPTY_OPTIONS),
      method('logreg', 'l2', [...POSITIVE, '0.5', '2^53', '1e308', '5e-324']),
    ],
    linear: [
      argument('linear options', 'options', (value) => bertune.linear(value), EMPTY_OPTIONS),
      method('linear', 'dropout', [...NONE, '-0', '0.5', '5e-324']),
    ],
    prefix: [
      argument('prefix options', 'options', (value) => bertune.prefix(value), EMPTY_OPTIONS),
      method('prefix', 'virtualTokens', POSITIVE),
      method('prefix', 'projection', [...NONE, 'true']),
      method('prefix', 'trainHead', [...NONE, 'true']),
    ],
    lora: [
      argument('lora options', 'options', (value) => bertune.lora(value), EMPTY_OPTIONS),
      method('lora', 'rank', POSITIVE),
      method('lora', 'loraPlusRatio', [...POSITIVE, '0.5', '2^53', '1e308', '5e-324']),
      method('lora', 'alpha', [...POSITIVE, '0.5', '2^53', '1e308', '5e-324']),
      method('lora', 'dropout', [...NONE, '-0', '0.5', '5e-324']),
      method('lora', 'targets', [...NONE, ...NAMES]),
      method('lora', 'rslora', [...NONE, 'true']),
      method('lora', 'dora', [...NONE, 'true']),
      method('lora', 'exclude', [...NONE, ...NAMES, 'an empty array']),
      method('lora', 'layers', NONE),
      method('lora', 'rankPattern', [...EMPTY_OPTIONS, 'a key of a million characters']),
      // A module may have the name `length`.
      method('lora', 'alphaPattern', [...EMPTY_OPTIONS, 'a key of a million characters', 'a length of 2^53']),
      method('lora', 'bias', NONE),
      method('lora', 'trainHead', [...NONE, 'true']),
    ],
    countParameters: [
      argument('countParameters method', 'method', (value) => bertune.countParameters(value, config, 3), ['null']),
      argument('countParameters config', 'config', (value) => bertune.countParameters(null, value, 3), []),
      ...(['vocabSize', 'hiddenSize', 'layers', 'feedForwardSize', 'maxPositions', 'typeVocabSize'] as const).map(
        (key) =>
          argument(
            `countParameters config.${key}`,
            key,
            (value) => bertune.countParameters(null, { ...config, [key]: value }, 3),
            [],
          ),
      ),
      argument('countParameters labels', 'labels', (value) => bertune.countParameters(null, config, value), []),
      argument('countParameters head', 'head', (value) => bertune.countParameters(null, config, 3, value), NONE),
    ],
    classificationMetrics: [
      argument(
        'classificationMetrics labels',
        'label|prediction',
        (value) => bertune.classificationMetrics(value, [0], LABELS),
        [],
      ),
      argument(
        'classificationMetrics predictions',
        'prediction',
        (value) => bertune.classificationMetrics([0], value, LABELS),
        [],
      ),
      argument('classificationMetrics labelNames', 'label', (value) => bertune.classificationMetrics([0], [0], value), [
        ...NAMES,
      ]),
    ],
    multiLabelMetrics: [
      argument(
        'multiLabelMetrics targets',
        'targets|predictions',
        (value) => bertune.multiLabelMetrics(value, [0], ['a']),
        [],
      ),
      argument(
        'multiLabelMetrics predictions',
        'predictions',
        (value) => bertune.multiLabelMetrics([0], value, ['a']),
        [],
      ),
      argument('multiLabelMetrics labelNames', 'label|targets', (value) => bertune.multiLabelMetrics([0], [0], value), [
        ...NAMES,
      ]),
    ],
    regressionMetrics: [
      argument(
        'regressionMetrics targets',
        'targets|predictions',
        (value) => bertune.regressionMetrics(value, [0], ['a']),
        [],
      ),
      argument(
        'regressionMetrics predictions',
        'predictions',
        (value) => bertune.regressionMetrics([0], value, ['a']),
        [],
      ),
      argument('regressionMetrics labelNames', 'label|targets', (value) => bertune.regressionMetrics([0], [0], value), [
        ...NAMES,
      ]),
    ],
    defaultLearningRate: [
      argument('defaultLearningRate method', 'method', (value) => bertune.defaultLearningRate(value, 768), []),
      argument(
        'defaultLearningRate hiddenSize',
        'hiddenSize',
        (value) => bertune.defaultLearningRate(bertune.full(), value),
        ['2^31'],
      ),
    ],
    trainTogether: [
      argument('trainTogether trainers', 'trainers', (value) => bertune.trainTogether(value, split), []),
      argument('trainTogether options', 'options|trainers', (value) => bertune.trainTogether([], split, value), []),
    ],
    tensorBoard: [
      argument('tensorBoard trainer', 'trainer', (value) => bertune.tensorBoard(value, out), []),
      argument(
        'tensorBoard directory',
        'directory|Expected',
        (value) => save(async (to) => (await bertune.tensorBoard(trainer, to)).close(), value),
        PATHS,
      ),
    ],
    // A caller that makes one says what it will; as with Error, only what cannot be a message is refused.
    BertuneError: [
      argument('BertuneError code', '', (value) => new bertune.BertuneError(value, 'x'), ['anything']),
      argument('BertuneError options', '', (value) => new bertune.BertuneError('INTERNAL', 'x', value), ['anything']),
    ],
    // No functions: see the test that they are frozen.
    METHOD_KINDS: [],
    TASK_KINDS: [],
    SCHEDULES: [],
    BEST_METRICS: [],
    SAVE_STRATEGIES: [],
  };
}
