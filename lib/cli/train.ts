import { join } from 'node:path';
import type { Command } from 'commander';
import { findRanks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import { logOf, runProgress } from '../experiments/execute.js';
import { type DataSource, type Experiment, sourceWords } from '../experiments/experiment.js';
import { dataRecord, errorRecord, Run } from '../experiments/run.js';
import { TRAINING_ROWS_FILE, writeTrainingRows } from '../experiments/training-rows.js';
import { withDirectoryLock } from '../files/lock.js';
import { CARD_FILE, MODEL_FILES, OWN_BASE } from '../files/model-files.js';
import { expectFilePlaces, withOutputDirectory, writeJson } from '../files/output.js';
import { embeddedPath } from '../hub/embedded.js';
import { type FindOptions, isRemote, modelDirectory } from '../hub/index.js';
import { expectPushable, expectRepository } from '../hub/push.js';
import { definitionOf } from '../methods/index.js';
import { writeCard } from '../model/card-file.js';
import { saveModel as saveModelTo } from '../model/save.js';
import { option } from '../options/names.js';
import { printableJson } from '../printable.js';
import { environmentRecord } from '../report/environment.js';
import type { DataRecord, RunRecord } from '../report/records.js';
import { REPORT_FILE, writeReport } from '../report/results.js';
import { epochLine, logLine, summaryLines } from '../report/run-lines.js';
import { measuredSections, notMeasured, runSection } from '../report/sections.js';
import { removeCheckpoints } from '../training/checkpoint/directories.js';
import type { TrainResult } from '../training/events.js';
import { TRAINER_OPTIONS, type TrainerOptions } from '../training/options.js';
import { STATE_FILE } from '../training/state.js';
import {
  addDataOptions,
  addDeviceOptions,
  type DataArguments,
  type DeviceArguments,
  dataSource,
  datasetOptions,
  deviceOptions,
  given,
  mistakesOf,
  NO_TEXTS,
  required,
} from './arguments.js';
import { interruptibly } from './exit.js';
import { addRows, rowValues } from './flags.js';
import { downloadProgress, Progress } from './progress.js';
import { pushing } from './push.js';
import { type Saved, savedElsewhere, saveSomewhere } from './rescue.js';
import { sectionsText, writeResult } from './terminal.js';
import {
  addCheckpointOptions,
  addMethodOptions,
  type CheckpointArguments,
  continuesInOutput,
  expectResumable,
  type MethodArguments,
  methodOf,
  resumeOf,
} from './train-arguments.js';
import { settingsLines } from './train-settings.js';

interface TrainArguments extends DataArguments, MethodArguments, CheckpointArguments, DeviceArguments {
  model: string;
  base?: string;
  tensorboard?: string;
  distributed?: TrainerOptions['distributed'];
  push?: string;
  public?: true;
  texts: boolean;
  overwrite?: true;
  quiet?: true;
  json?: true;
}

const RESULTS_FILE = 'results.json';

/** What a run may write or remove in --output ... */
const OUTPUT_FILES = [...MODEL_FILES, STATE_FILE, TRAINING_ROWS_FILE, RESULTS_FILE, REPORT_FILE, CARD_FILE];

/** ... and where an adapter brings the weights under it. */
const OWN_BASE_FILES = MODEL_FILES.map((name) => `${OWN_BASE}/${name}`);

/** Adds `bertune train`. */
export function trainCommand(program: Command): void {
  const command = program
    .command('train')
    .description('train a classifier and save it with its log and results')
    .option(
      '--model <model>',
      'folder or Hugging Face id of a checkpoint, or of an adapter to continue with',
      'bert-mini',
    )
    .option('--base <model>', 'base checkpoint of the adapter, if --model is one');
  addDataOptions(command, { training: true });
  addMethodOptions(command);
  addRows(command, TRAINER_OPTIONS, 'Training');
  addCheckpointOptions(command);
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .addOption(
      required('--output <dir>', 'where the model or adapter, trainer_state.json, results.json and report.html go'),
    )
    .option('--tensorboard <dir>', 'also log for TensorBoard, in a subfolder named after the method')
    .option('--overwrite', 'write to --output even if it is not empty; checkpoints of an earlier run are removed')
    .option('--push <name>', 'push the model to the Hugging Face hub at the end, as org/name; private')
    .option('--public', 'with --push: make the repository public')
    .option('--no-texts', NO_TEXTS)
    .option('--quiet', 'print only errors to stderr')
    .option('--json', 'write results.json to stdout instead of tables')
    .action(train);
}

async function train(options: TrainArguments): Promise<void> {
  const data = trainingSource(options);
  const ranks = options.distributed === 'none' ? null : findRanks();
  if (ranks !== null && ranks.rank > 0) return follow(options, data);
  if (options.public && options.push === undefined) {
    throw new BertuneError('INVALID_OPTION', `${option('public')} is for ${option('push')} alone`);
  }
  // A name or a token that will not do is known before the work.
  if (options.push !== undefined) await expectPushable(expectRepository(options.push, option('push')));
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    const find = { signal, onProgress: downloadProgress(progress) };
    // Before the work, not after it: a refusal must cost neither a transfer nor a trained model.
    const continues = await continuesInOutput(options);
    if (!options.overwrite) await expectResumable(options);
    const overwrite = continues || (options.overwrite ?? false);
    await withOutputDirectory(options.output, { overwrite, files: OUTPUT_FILES }, async () => {
      const experiment = await experimentOf(options, data, find);
      await withDirectoryLock(options.output, async (lock) => {
        await using run = await Run.open(experiment, signal);
        run.model.outputLock = lock;
        if (savesOwnBase(run)) await expectFilePlaces(options.output, OWN_BASE_FILES);
        const summary = await run.summary(signal);
        for (const line of [...summaryLines(summary), ...unmeasured(run.splits, options)]) progress.note(line);
        const dataWords = dataRecord(run.data, sourceWords(data), summary, options.texts);
        // Those of the run before, once this one is about to begin.
        if (options.overwrite && !continues) await removeCheckpoints(options.output);
        const { record, saved } = await carryOut(run, dataWords, options, progress, signal);
        try {
          await writeResult(options.json ? `${printableJson(record, 2)}\n` : resultText(record));
        } finally {
          progress.note(`saved in ${saved.directory}`);
          // Last, where it is seen: it may say that the model is of no use.
          for (const line of record.advice ?? []) progress.note(`advice: ${line}`);
        }
        if (options.push !== undefined) await pushTrained(saved, options.push, options, progress, signal);
        if (saved.refusal !== null) throw saved.refusal;
      });
    });
  });
}

/** Trains along with the process that leads, which says and writes everything. */
async function follow(options: TrainArguments, data: DataSource): Promise<void> {
  await interruptibly(new Progress({ quiet: true }), async (signal) => {
    await using run = await Run.open(await experimentOf(options, data, { signal }), signal);
    // As the leader does, so that all come to train at about the same time.
    await run.summary(signal);
    await run.train({ signal, resume: resumeOf(options) });
  });
}

/** Whether the weights under the adapter that is trained are not those of a base elsewhere. */
function savesOwnBase({ experiment, model }: Run): boolean {
  const { method } = experiment;
  return method !== null && definitionOf(method.kind).adapter !== null && !model.base.intact;
}

async function experimentOf(options: TrainArguments, data: DataSource, find: FindOptions): Promise<Experiment> {
  const model = embeddedPath('model', options.model);
  const method = await methodOf(
    options,
    (await isRemote('model', model)) ? await modelDirectory(model, find) : model,
    find,
  );
  const definition = definitionOf(method.kind);
  return {
    name: definition.name(method),
    title: definition.title(method),
    model: options.model,
    ...given({ adapter: options.adapter, base: options.base, tensorboard: options.tensorboard }),
    data,
    dataset: datasetOptions(options),
    method,
    // A run that is stopped leaves a checkpoint, whatever the options about saving say.
    options: { ...rowValues(TRAINER_OPTIONS, options), outputDirectory: options.output },
    where: deviceOptions(options),
    ...mistakesOf(options),
  };
}

/** A line on what is not measured, as the caller chose the splits; none where all is. */
function unmeasured({ validation, test }: Record<string, number>, { holdout }: TrainArguments): string[] {
  if (validation !== undefined && test !== undefined) return [];
  if (validation === undefined && test === undefined) {
    if (holdout !== false) return [`note: ${notMeasured()}`];
    return ['note: nothing is measured, as no rows are held out: leave out --no-holdout'];
  }
  return [
    test === undefined
      ? 'note: the result is that of the validation split, as there is no test split: --test-fraction 0.1 holds one out of the training rows'
      : 'note: nothing is measured while it trains, as there is no validation split: --validation-fraction 0.1 holds one out of the training rows',
  ];
}

function trainingSource(options: TrainArguments): DataSource {
  const source = dataSource(options);
  if (source === undefined || (typeof source !== 'string' && source.train === undefined)) {
    throw new BertuneError('INVALID_OPTION', 'Name what to train on with --data or --train-file');
  }
  return source;
}

/** Trains, saves and evaluates on the test split, or the validation split. What was reached is saved too when training stops half-way. */
async function carryOut(
  run: Run,
  data: DataRecord,
  options: TrainArguments,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ record: RunRecord; saved: Saved }> {
  const { output } = options;
  let started = false;
  run.trainer.on('start', (plan) => {
    started = true;
    for (const line of settingsLines(run, plan)) progress.note(line);
    const resume = resumeOf(options);
    if (resume === 'latest' && plan.resumed === null) {
      progress.note(`no checkpoint in ${options.output} yet: the run starts at the beginning`);
    }
  });
  run.trainer.on('progress', (state) => progress.update(run.experiment.title, runProgress(state, run.model.task)));
  run.trainer.on('log', (row) => progress.note(logLine(row)));
  run.trainer.on('epoch', (summary) => progress.note(epochLine(summary)));
  run.trainer.on('save', ({ directory }) => progress.note(`saved ${directory}`));
  let recorded: Promise<void> | undefined;
  if (run.trainer.settings.saveStrategy !== 'no') {
    // A process that is killed leaves its checkpoints.
    run.trainer.once('progress', () => {
      recorded = writeTrainingRows(run.data, output).catch((cause) =>
        progress.note(`note: ${errorRecord(cause).message}`),
      );
    });
  }
  const log = await logOf(run);
  let trained: TrainResult | undefined;
  let saved: Saved | undefined;
  try {
    trained = await run.train({ signal, resume: resumeOf(options) });
    progress.clear();
    saved = await saveModel(run, output, progress);
    const measured = await run.measure(signal);
    await writeCardOf(run, saved.directory, measured, progress);
    const status = trained.stopped === 'early' ? 'stopped' : 'done';
    const record = run.record({ status, trained, ...measured });
    await writeResults(run, data, record, saved.directory);
    return { record, saved };
  } catch (cause) {
    progress.clear();
    throw await keepState(run, data, cause, { started, trained, saved }, options, progress);
  } finally {
    await recorded;
    await log?.close().catch((cause) => progress.note(`note: ${errorRecord(cause).message}`));
  }
}

/** The model or adapter and its training state; where the directory cannot be written, elsewhere. */
async function saveModel(run: Run, output: string, progress: Progress): Promise<Saved> {
  const saved = await saveSomewhere(output, async (directory) => {
    await saveModelTo(run.model, directory, { overwrite: directory === output, card: false });
    await writeJson(join(directory, STATE_FILE), run.trainer.state);
    await writeTrainingRows(run.data, directory);
  });
  if (saved.refusal !== null) progress.note(`note: ${output} cannot be written: the model goes to ${saved.directory}`);
  return saved;
}

/** The card of a measured model; if it cannot be written, the model is saved all the same. */
async function writeCardOf(
  { model, experiment: { data } }: Run,
  directory: string,
  { test, validation }: Awaited<ReturnType<Run['measure']>>,
  progress: Progress,
): Promise<void> {
  const evaluation = test ?? validation;
  const dataset = typeof data === 'string' && (await isRemote('dataset', data)) ? data : undefined;
  const measured = evaluation && { evaluation, split: test ? 'test' : 'validation' };
  const { head } = model.session.plan;
  await writeCard(model, directory, { files: 'as trained', head }, { ...given({ dataset }), ...measured }).catch(
    (cause) => progress.note(`note: ${errorRecord(cause).message}`),
  );
}

/** @throws BertuneError as pushModel, with where the model is and how to push it again */
async function pushTrained(
  { directory }: Saved,
  name: string,
  options: TrainArguments,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const settings = { ...given({ public: options.public }), signal };
  await pushing(directory, name, progress, settings).catch((cause: unknown) => {
    if (!(cause instanceof BertuneError)) throw cause;
    const again = `the model is saved in ${directory}; bertune push ${directory} ${name}${options.public ? ' --public' : ''} pushes it`;
    throw new BertuneError(cause.code, `${cause.message}; ${again}`, { cause });
  });
}

/** How far a run had come when it failed. */
interface Reached {
  started: boolean;
  trained: TrainResult | undefined;
  saved: Saved | undefined;
}

/**
 * Saves what a run that was stopped, whose loss was no number any more, or whose checkpoint could not be written had reached
 * by its last good step.
 *
 * @returns what to tell of it all
 */
async function keepState(
  run: Run,
  data: DataRecord,
  cause: unknown,
  { started, trained, saved }: Reached,
  { output }: TrainArguments,
  progress: Progress,
): Promise<unknown> {
  const error = errorRecord(cause);
  const isRefused = error.code === 'OUTPUT_REFUSED';
  if (saved !== undefined && isRefused) return savedElsewhere(cause as BertuneError, saved.directory);
  // Without a start, what the model holds is what it had begun with, or a checkpoint holds it.
  const isKept = error.code === 'ABORTED' || error.code === 'NON_FINITE_LOSS' || (isRefused && started && !trained);
  if (!isKept) return cause;
  const steps = run.trainer.state?.global_step ?? 0;
  if (steps === 0) {
    progress.note('no step was finished: nothing is saved');
    return cause;
  }
  // A model of parameters that are no numbers is not saved.
  const kept =
    trained === undefined
      ? await saveModel(run, output, progress).catch((refusal: unknown) => {
          if (errorRecord(refusal).code !== 'NON_FINITE_LOSS') throw refusal;
          return undefined;
        })
      : saved;
  const status = error.code === 'ABORTED' ? 'stopped' : 'failed';
  const record = run.record({ status, error, ...(trained && { trained }) });
  await writeResults(run, data, record, kept?.directory ?? output);
  if (kept === undefined) return cause;
  // What is solved for at once leaves no checkpoint.
  const isResumable = !definitionOf(run.trainer.settings.method.kind).isFitted && trained === undefined;
  const goOn = error.code === 'ABORTED' && isResumable ? '; the same command with --resume goes on' : '';
  progress.note(`the model as it was after step ${steps} is saved in ${kept.directory}${goOn}`);
  // A Trainer says that the model is in memory, which it is no longer once the command has ended.
  const first =
    isRefused && (cause as BertuneError).cause instanceof BertuneError ? (cause as BertuneError).cause : cause;
  if (isRefused) return savedElsewhere(first as BertuneError, kept.directory);
  return kept.refusal ?? cause;
}

async function writeResults(run: Run, data: DataRecord, record: RunRecord, output: string): Promise<void> {
  const { model, experiment } = run;
  const results = {
    created: new Date().toISOString(),
    model: experiment.model,
    ...given({ adapter: experiment.adapter, base: experiment.base }),
    data,
    environment: environmentRecord(model),
    ...record,
  };
  await writeJson(join(output, RESULTS_FILE), results);
  await writeReport(join(output, REPORT_FILE), results);
}

function resultText(record: RunRecord): string {
  return sectionsText([runSection(record), ...measuredSections(record)]);
}
