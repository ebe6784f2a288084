import { join } from 'node:path';
import type { Command } from 'commander';
import { modelOf } from '../classifier.js';
import { methodName, methodTitle } from '../compare/methods.js';
import type { DatasetSummary } from '../data/summary.js';
import { embeddedPath } from '../embedded.js';
import { BertuneError } from '../errors.js';
import { withDirectoryLock } from '../files/lock.js';
import { MODEL_FILES, OWN_BASE } from '../files/model-files.js';
import { expectFilePlaces, prepareOutputDirectory, writeJson } from '../files/output.js';
import { type FindOptions, isRemote, modelDirectory } from '../hub.js';
import { summaryLines } from '../report/data-summary.js';
import { environmentRecord } from '../report/environment.js';
import { epochLine, logLine } from '../report/log-line.js';
import { printableJson } from '../report/printable.js';
import type { RunRecord } from '../report/records.js';
import { runSection, sectionText, testSections } from '../report/sections.js';
import { REPORT_FILE, writeReport } from '../report/write-report.js';
import { logOf } from '../run/execute.js';
import { type DataSource, type Experiment, sourceWords } from '../run/experiment.js';
import { runProgress } from '../run/progress.js';
import { errorRecord, Run } from '../run/run.js';
import { removeCheckpoints } from '../training/checkpoint/directories.js';
import type { TrainResult } from '../training/events.js';
import {
  addDataOptions,
  addDeviceOptions,
  type DataArguments,
  type DeviceArguments,
  dataSource,
  datasetOptions,
  deviceOptions,
  given,
} from './arguments.js';
import {
  addCheckpointOptions,
  type CheckpointArguments,
  continuesInOutput,
  resumeOf,
  savingOptions,
} from './checkpoint-arguments.js';
import { downloadProgress } from './downloads.js';
import { addMethodOptions, type MethodArguments, methodOf } from './method-arguments.js';
import { Progress } from './progress.js';
import { required } from './required.js';
import { settingsLines } from './settings.js';
import { interruptibly } from './signals.js';
import { colorsFor, resultWidth, writeResult } from './terminal.js';
import { addTrainingOptions, type TrainingArguments, trainerOptions } from './training-arguments.js';

interface TrainArguments
  extends DataArguments,
    MethodArguments,
    TrainingArguments,
    CheckpointArguments,
    DeviceArguments {
  model: string;
  base?: string;
  tensorboard?: string;
  overwrite?: true;
  quiet?: true;
  json?: true;
}

const STATE_FILE = 'trainer_state.json';
const RESULTS_FILE = 'results.json';

/** What a run may write or remove in --output ... */
const OUTPUT_FILES = [...MODEL_FILES, STATE_FILE, RESULTS_FILE, REPORT_FILE];

/** ... and where an adapter brings the weights under it. */
const OWN_BASE_FILES = MODEL_FILES.map((name) => `${OWN_BASE}/${name}`);

/** Adds `bertune train`. */
export function trainCommand(program: Command): void {
  const command = program
    .command('train')
    .description('train a classifier and save it with its log and results')
    .option(
      '--model <model>',
      'folder or Hugging Face id of a checkpoint, or of an adapter to go on with; the default is built in',
      'bert-mini',
    )
    .option('--base <model>', 'checkpoint under the adapter, where --model is one');
  addDataOptions(command, { training: true });
  addMethodOptions(command);
  addTrainingOptions(command);
  addCheckpointOptions(command);
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .addOption(
      required('--output <dir>', 'where the model or adapter, trainer_state.json, results.json and report.html go'),
    )
    .option('--tensorboard <dir>', "also log for TensorBoard, in a sub-folder of the method's name")
    .option(
      '--overwrite',
      'write to --output although it is not empty; checkpoints of an earlier run there are removed',
    )
    .option('--quiet', 'nothing on stderr but errors')
    .option('--json', 'write results.json to stdout instead of tables')
    .action(train);
}

async function train(options: TrainArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  const data = trainingSource(options);
  await interruptibly(progress, async (signal) => {
    const find = { signal, onProgress: downloadProgress(progress) };
    // Before the work, not after it: a refusal must cost neither a transfer nor a trained model.
    const continues = await continuesInOutput(options);
    const overwrite = continues || (options.overwrite ?? false);
    const prepare = () => prepareOutputDirectory(options.output, { overwrite, files: OUTPUT_FILES });
    if (await isRemote('model', options.model)) await prepare();
    const experiment = await experimentOf(options, data, find);
    await prepare();
    await withDirectoryLock(options.output, async (lock) => {
      if (options.overwrite && !continues) await removeCheckpoints(options.output);
      await using run = await Run.open(experiment, signal);
      modelOf(run.model).outputLock = lock;
      if (savesOwnBase(run)) await expectFilePlaces(options.output, OWN_BASE_FILES);
      const summary = await run.summary(signal);
      for (const line of summaryLines(summary)) progress.note(line);
      const record = await carryOut(run, summary, options, progress, signal);
      try {
        await writeResult(options.json ? `${printableJson(record, 2)}\n` : resultText(record));
      } finally {
        progress.note(`saved in ${options.output}`);
      }
    });
  });
}

/** Whether the weights under the adapter that is trained are not those of a base elsewhere. */
function savesOwnBase({ experiment, model }: Run): boolean {
  const { kind } = experiment.method ?? {};
  return (kind === 'lora' || kind === 'prefix') && !modelOf(model).base.intact;
}

async function experimentOf(options: TrainArguments, data: DataSource, find: FindOptions): Promise<Experiment> {
  // A path is not looked for yet: the output directory may be refused first.
  const model = embeddedPath('model', options.model);
  const method = await methodOf(
    options,
    (await isRemote('model', model)) ? await modelDirectory(model, find) : model,
    find,
  );
  return {
    name: methodName(method),
    title: methodTitle(method),
    model: options.model,
    ...given({ adapter: options.adapter, base: options.base, tensorboard: options.tensorboard }),
    data,
    dataset: datasetOptions(options),
    method,
    options: { ...trainerOptions(options), ...savingOptions(options) },
    where: deviceOptions(options),
  };
}

function trainingSource(options: TrainArguments): DataSource {
  const source = dataSource(options);
  if (source === undefined || (typeof source !== 'string' && source.train === undefined)) {
    throw new BertuneError('INVALID_OPTION', 'Name what to train on with --data or --train-file');
  }
  return source;
}

/** Trains, saves and evaluates on the test split. What was reached is saved too when training stops half-way. */
async function carryOut(
  run: Run,
  summary: DatasetSummary,
  options: TrainArguments,
  progress: Progress,
  signal: AbortSignal,
): Promise<RunRecord> {
  const { output } = options;
  run.trainer.on('start', (plan) => {
    for (const line of settingsLines(run, plan)) progress.note(line);
    const resume = resumeOf(options);
    if (resume === 'latest' && plan.resumed === null) {
      progress.note(`no checkpoint in ${options.output} yet: the run starts at the beginning`);
    }
  });
  run.trainer.on('progress', (state) => progress.update(run.experiment.title, runProgress(state)));
  run.trainer.on('log', (row) => progress.note(logLine(row)));
  run.trainer.on('epoch', (summary) => progress.note(epochLine(summary)));
  run.trainer.on('save', ({ directory }) => progress.note(`saved ${directory}`));
  const log = await logOf(run);
  let trained: TrainResult | undefined;
  try {
    trained = await run.train(signal, resumeOf(options));
    progress.clear();
    await saveModel(run, output);
    const test = await run.test(signal);
    const record = run.record({ status: trained.stopped === 'early' ? 'stopped' : 'done', trained, test });
    await writeResults(run, summary, record, output);
    return record;
  } catch (cause) {
    progress.clear();
    await keepState(run, summary, cause, trained, options, progress);
    throw cause;
  } finally {
    await log?.close().catch((cause) => progress.note(`note: ${errorRecord(cause).message}`));
  }
}

/** The model or adapter and its training state. */
async function saveModel(run: Run, output: string): Promise<void> {
  await run.model.save(output, { overwrite: true });
  await writeJson(join(output, STATE_FILE), run.trainer.state);
}

/** Saves what a run that was stopped, or whose loss was no number any more, had reached by its last good step. */
async function keepState(
  run: Run,
  summary: DatasetSummary,
  cause: unknown,
  trained: TrainResult | undefined,
  { output }: TrainArguments,
  progress: Progress,
): Promise<void> {
  const error = errorRecord(cause);
  if (error.code !== 'ABORTED' && error.code !== 'NON_FINITE_LOSS') return;
  const steps = run.trainer.state?.global_step ?? 0;
  if (steps === 0) {
    progress.note('no step was finished: nothing is saved');
    return;
  }
  // A model of parameters that are no numbers is not saved.
  const isSaved =
    trained === undefined
      ? await saveModel(run, output).then(
          () => true,
          (refusal) => {
            if (errorRecord(refusal).code !== 'NON_FINITE_LOSS') throw refusal;
            return false;
          },
        )
      : error.code === 'ABORTED';
  const status = error.code === 'ABORTED' ? 'stopped' : 'failed';
  await writeResults(run, summary, run.record({ status, error, ...(trained && { trained }) }), output);
  const goOn = error.code === 'ABORTED' && trained === undefined ? '; the same command with --resume goes on' : '';
  if (isSaved) progress.note(`the model as it was after step ${steps} is saved in ${output}${goOn}`);
}

async function writeResults(run: Run, summary: DatasetSummary, record: RunRecord, output: string): Promise<void> {
  const { model, data, splits, experiment } = run;
  const results = {
    created: new Date().toISOString(),
    model: experiment.model,
    ...given({ adapter: experiment.adapter, base: experiment.base }),
    data: { source: sourceWords(experiment.data), labels: data.labels, splits, summary },
    environment: environmentRecord(model),
    ...record,
  };
  await writeJson(join(output, RESULTS_FILE), results);
  await writeReport(join(output, REPORT_FILE), results);
}

function resultText(record: RunRecord): string {
  const { bold } = colorsFor(process.stdout);
  return [runSection(record), ...testSections(record)]
    .map((section) => sectionText(section, bold, resultWidth()))
    .join('');
}
