import os from 'node:os';
import type { Command } from 'commander';
import { readSettled } from '../files/journal.js';
import { formatCount, formatMebibytes, formatSetting, NO_VALUE } from '../format.js';
import { readCheckpoint } from '../formats/checkpoint.js';
import type { Tensor } from '../formats/tensor.js';
import { modelDirectory } from '../hub/index.js';
import { type Adapter, formatOf, isAdapter, readAdapter } from '../methods/adapter/files.js';
import { localBase } from '../model/base.js';
import { type FoundAddon, glibcVersion } from '../native/addon.js';
import { loadNative, nativeOrigin } from '../native/index.js';
import { packageVersion } from '../native/package.js';
import { printable, printableJson } from '../printable.js';
import { blasName, processorName } from '../report/environment.js';
import { type Table, textTable, wrap } from '../report/table.js';
import { resultWidth, writeResult } from './terminal.js';

interface InspectArguments {
  tensors?: true;
  json?: true;
}

/** What is shown: facts by name, as JSON has them, and tables under them. */
interface Inspection {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly lines: readonly (readonly [string, string])[];
  readonly tables: readonly Table[];
}

/** Adds `bertune inspect`. */
export function inspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('show devices, libraries and versions, or what a checkpoint or adapter holds')
    .argument('[model]', 'folder or Hugging Face id of a checkpoint or an adapter')
    .option('--tensors', 'list every tensor')
    .option('--json', 'write JSON')
    .action(async (directory: string | undefined, options: InspectArguments) => {
      const inspection = directory === undefined ? inspectMachine() : await inspectModel(directory, options);
      await writeResult(options.json ? `${printableJson(inspection.facts, 2)}\n` : text(inspection));
    });
}

function text({ lines, tables }: Inspection): string {
  const width = Math.max(...lines.map(([name]) => name.length));
  const room = resultWidth() - width - 2;
  const facts = lines.flatMap(([name, value]) =>
    wrap(printable(value), room).map((line, i) => `${(i === 0 ? name : '').padEnd(width)}  ${line}\n`),
  );
  return [...facts, ...tables.map((table) => `\n${textTable(table, resultWidth())}`)].join('');
}

function inspectMachine(): Inspection {
  const origin = nativeOrigin();
  const devices = loadNative().devices();
  const facts = {
    bertune: packageVersion(),
    addon: loadNative().version,
    addon_path: origin.path,
    addon_origin: origin.origin,
    node: process.versions.node,
    v8: process.versions.v8,
    napi: process.versions.napi,
    platform: `${process.platform} ${process.arch}`,
    glibc: glibcVersion() ?? null,
    processor: processorName(),
    threads: os.availableParallelism(),
    memory: os.totalmem(),
    blas: loadNative().blas(),
    openblas_coretype: process.env.OPENBLAS_CORETYPE ?? null,
    devices,
  };
  const forced = process.env.OPENBLAS_CORETYPE;
  return {
    facts,
    lines: [
      ['bertune', facts.bertune],
      ['addon', `${facts.addon}, ${originWords(origin)}: ${origin.path}`],
      ['Node.js', `${facts.node} (V8 ${facts.v8}, Node-API ${facts.napi})`],
      ['platform', `${facts.platform}${facts.glibc === null ? '' : `, glibc ${facts.glibc}`}`],
      ['processor', facts.processor],
      ['memory', `${formatMebibytes(facts.memory)} MiB`],
      ['BLAS', blasName()],
      ...(forced === undefined
        ? []
        : ([
            ['note', `OPENBLAS_CORETYPE=${forced} is set: an older kernel than the processor's own is slow`],
          ] as const)),
    ],
    tables: [
      {
        columns: [
          { title: 'device' },
          { title: 'name' },
          { title: 'memory MiB', align: 'right' },
          { title: 'precisions' },
          { title: 'libraries' },
          { title: 'available' },
        ],
        rows: devices.map(({ device, name, totalMemory, precisions, libraries, available, reason }) => [
          device,
          name || NO_VALUE,
          totalMemory > 0 ? formatMebibytes(totalMemory) : NO_VALUE,
          precisions.join(', ') || NO_VALUE,
          libraries || NO_VALUE,
          available ? 'yes' : `no${reason ? `: ${reason}` : ''}`,
        ]),
      },
    ],
  };
}

function originWords({ origin }: FoundAddon): string {
  return {
    BERTUNE_ADDON: 'named by BERTUNE_ADDON',
    build: 'built from source',
    package: 'prebuilt',
  }[origin];
}

async function inspectModel(source: string, options: InspectArguments): Promise<Inspection> {
  const directory = await modelDirectory(source);
  return readSettled(directory, () => inspectDirectory(directory, options));
}

async function inspectDirectory(directory: string, options: InspectArguments): Promise<Inspection> {
  if (await isAdapter(directory)) return await inspectAdapter(directory, await readAdapter(directory), options);
  return inspectCheckpoint(directory, options);
}

async function inspectCheckpoint(directory: string, options: InspectArguments): Promise<Inspection> {
  const { config, tensors, missing, ignored, head } = await readCheckpoint(directory);
  const dimensions = {
    layers: config.layers,
    hidden: config.hiddenSize,
    heads: config.heads,
    feed_forward: config.feedForwardSize,
    vocabulary: config.vocabSize,
    positions: config.maxPositions,
  };
  const facts = {
    kind: 'checkpoint',
    directory,
    model_type: config.modelType,
    dimensions,
    labels: config.labels,
    head,
    problem_type: config.problemType,
    ...tensorFacts(tensors),
    missing,
    ignored,
    ...(options.tensors ? { tensors: tensorList(tensors) } : {}),
  };
  return {
    facts,
    lines: [
      ['kind', `checkpoint of a ${config.modelType} model`],
      [
        'dimensions',
        Object.entries(dimensions)
          .map(([name, value]) => `${value} ${name.replace('_', '-')}`)
          .join(', '),
      ],
      ['labels', labelWords(config.labels)],
      ['head', head ?? 'none, to be made new'],
      ...(config.problemType === null ? [] : [['problem type', config.problemType] as const]),
      ...tensorLines(tensors),
      ...config.labelNotes.map((note) => ['note', note] as const),
      ...(missing.length > 0 ? [['missing', missing.join(', ')] as const] : []),
      ...(ignored.length > 0 ? [['ignored', ignored.join(', ')] as const] : []),
    ],
    tables: options.tensors ? [tensorTable(tensors)] : [],
  };
}

async function inspectAdapter(directory: string, adapter: Adapter, options: InspectArguments): Promise<Inspection> {
  const { title, facts: factsOf, tensorOf } = formatOf(adapter);
  const tensors = new Map(adapter.tensors);
  const prompt = tensorOf(adapter, { name: 'prompt_embeddings', role: 'prompt' });
  if (prompt !== undefined) tensors.set('prompt_embeddings', prompt);
  const settings = factsOf(adapter);
  const labels = adapter.labels ?? null;
  const base = await localBase(directory, adapter);
  const facts = {
    kind: adapter.kind,
    directory,
    base_model: adapter.baseModel,
    base_directory: base,
    ...settings,
    labels,
    ...tensorFacts(tensors),
    ...(options.tensors ? { tensors: tensorList(tensors) } : {}),
  };
  return {
    facts,
    lines: [
      ['kind', title],
      ['base model', `${adapter.baseModel ?? 'not named'}${base === null ? ', not in a folder here' : `, in ${base}`}`],
      ...Object.entries(settings).map(([name, value]) => [name.replace('_', ' '), settingWords(value)] as const),
      ['labels', labels === null ? "not named; its rows are called as the base's" : labelWords(labels)],
      ...tensorLines(tensors),
    ],
    tables: options.tensors ? [tensorTable(tensors)] : [],
  };
}

function settingWords(value: number | boolean | string | readonly (string | number)[]): string {
  if (typeof value === 'number') return formatSetting(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' ? value : value.join(', ');
}

function labelWords(labels: readonly string[] | null): string {
  return labels === null ? 'not named' : `${labels.length}, in order: ${labels.join(', ')}`;
}

const elements = ({ shape }: Tensor) => shape.reduce((product, size) => product * size, 1);

function tensorFacts(tensors: ReadonlyMap<string, Tensor>) {
  const dtypes: Record<string, number> = {};
  let parameters = 0;
  let bytes = 0;
  for (const tensor of tensors.values()) {
    dtypes[tensor.dtype] = (dtypes[tensor.dtype] ?? 0) + 1;
    parameters += elements(tensor);
    bytes += tensor.data.byteLength;
  }
  return { parameters, bytes, tensor_count: tensors.size, dtypes };
}

function tensorLines(tensors: ReadonlyMap<string, Tensor>): (readonly [string, string])[] {
  const { parameters, bytes, tensor_count, dtypes } = tensorFacts(tensors);
  const kinds = Object.entries(dtypes).map(([dtype, count]) => `${count} ${dtype}`);
  return [
    ['parameters', `${formatCount(parameters)} (${formatMebibytes(bytes)} MiB)`],
    ['tensors', `${formatCount(tensor_count)} (${kinds.join(', ')})`],
  ];
}

function tensorList(tensors: ReadonlyMap<string, Tensor>) {
  return [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

function tensorTable(tensors: ReadonlyMap<string, Tensor>): Table {
  return {
    columns: [{ title: 'tensor' }, { title: 'dtype' }, { title: 'shape' }, { title: 'elements', align: 'right' }],
    rows: [...tensors].map(([name, tensor]) => [
      name,
      tensor.dtype,
      tensor.shape.join(' × '),
      formatCount(elements(tensor)),
    ]),
  };
}
