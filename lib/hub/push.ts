import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CommitOperation } from '@huggingface/hub';
import { BertuneError } from '../errors.js';
import { isDirectory, isFile } from '../files/input.js';
import { ALL_ONNX_FILES, CARD_FILE, isModelFile, MODEL_FILES, OWN_BASE } from '../files/model-files.js';
import { option } from '../options/names.js';
import {
  expectAbortSignal,
  expectBoolean,
  expectFunction,
  expectObject,
  expectPath,
  expectString,
  invalidOption,
} from '../options/validation.js';
import { throwIfAborted } from '../time-slice.js';
import { isRevision, parseHubId } from './id.js';
import { type HubSettings, hubSettings } from './settings.js';
import { pushFailure, statusOf, TOKEN_OF_FETCH, uploadFetch } from './upload.js';

/** Options of `pushModel`. */
export interface PushOptions {
  /** Whether a new repository is public. Defaults to false. */
  public?: boolean | undefined;
  /** Branch to push to; created if it does not exist. Defaults to 'main'. */
  revision?: string | undefined;
  /** Message of the commit. Defaults to 'Upload model with Bertune'. */
  message?: string | undefined;
  /** Stops transfers; files that have arrived are not sent again. Defaults to none. */
  signal?: AbortSignal | undefined;
  /** Called as large files are sent. Defaults to none. */
  onProgress?: ((progress: PushProgress) => void) | undefined;
}

/** How much of a file has been sent. */
export interface PushProgress {
  file: string;
  /** From 0 to 1. */
  share: number;
}

/** What was pushed. */
export interface Pushed {
  /** Page of the model. */
  url: string;
  /** Id of the commit. */
  commit: string;
  /** Names of the files. */
  files: readonly string[];
  /** Whether the repository is new. */
  created: boolean;
  /** Remarks, e.g. that it stays private. */
  notes: readonly string[];
}

/** A push under way. */
interface Push {
  name: string;
  branch: string;
  settings: HubSettings;
  fetch: typeof fetch;
}

/**
 * Pushes a model's directory, as `save`, `export` and `exportOnnx` write it, to a repository of the Hugging Face hub, in one
 * commit: its card, configuration, tokenizer and weights, and nothing else in the directory, such as checkpoints, logs and
 * results. Files of an earlier model that this one lacks are deleted. The token comes from HF_TOKEN or `hf auth login`.
 *
 * @param directory the model's
 * @param name the repository, `org/name`; created if it does not exist, private by default
 * @throws BertuneError HUB_ACCESS without a token, or with one that may not write; HUB_UNAVAILABLE; OUTPUT_REFUSED if others
 *   push at the same time, or the repository is public and that was not asked for; NOT_FOUND for a directory without a model;
 *   INVALID_OPTION, ABORTED
 */
export async function pushModel(directory: string, name: string, options: PushOptions = {}): Promise<Pushed> {
  expectPath('directory', directory);
  const repository = expectRepository(name);
  const given = expectObject('options', options, ['public', 'revision', 'message', 'signal', 'onProgress']);
  const { revision = 'main', message = 'Upload model with Bertune', signal, onProgress } = given;
  const isPublic = expectBoolean('public', given.public ?? false);
  expectString('message', message);
  if (!isRevision(expectString('revision', revision)))
    throw invalidOption('revision', 'the name of a branch', revision);
  if (signal !== undefined) expectAbortSignal('signal', signal);
  if (onProgress !== undefined) expectFunction('onProgress', onProgress);
  throwIfAborted(signal);
  const files = await filesOf(directory);
  const settings = await expectPushable(repository);
  const what = `${directory} to ${repository}`;
  const push: Push = { name: repository, branch: revision, settings, fetch: uploadFetch(settings, what, signal) };
  try {
    const { created, notes } = await makeRepository(push, isPublic);
    const gone = created ? [] : await staleFiles(push, files);
    const operations: CommitOperation[] = [
      ...files.map((file) => ({
        operation: 'addOrUpdate' as const,
        path: file,
        content: pathToFileURL(join(directory, file)),
      })),
      ...gone.map((path) => ({ operation: 'delete' as const, path })),
    ];
    const commit = await commitFiles(push, operations, message, signal, onProgress);
    return { url: `${settings.endpoint}/${repository}`, commit, files, created, notes };
  } catch (cause) {
    throwIfAborted(signal);
    throw pushFailure(cause, settings, what);
  }
}

/** @throws BertuneError INVALID_OPTION unless it is `org/name` */
export function expectRepository(value: unknown, name = 'name'): string {
  const id = typeof value === 'string' ? parseHubId(value) : null;
  if (id === null || id.revision !== null || !id.name.includes('/'))
    throw invalidOption(name, 'a name like org/name', value);
  return id.name;
}

/**
 * Checks that a push has a chance, without asking the hub.
 *
 * @throws BertuneError HUB_ACCESS without a token; HUB_UNAVAILABLE where the network may not be used
 */
export async function expectPushable(repository: string): Promise<HubSettings> {
  const settings = await hubSettings();
  if (settings.offline) {
    throw new BertuneError(
      'HUB_UNAVAILABLE',
      `Expected to push to ${repository} but HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids asking ${settings.endpoint}`,
    );
  }
  if (settings.token !== null) return settings;
  throw new BertuneError(
    'HUB_ACCESS',
    `Expected a token to push to ${repository} with; set HF_TOKEN to one that may write (https://huggingface.co/settings/tokens), ` +
      'or log in with hf auth login',
  );
}

/** The files of a model in a directory. @throws BertuneError NOT_FOUND */
async function filesOf(directory: string): Promise<string[]> {
  if (!(await isDirectory(directory))) {
    throw new BertuneError('NOT_FOUND', `Expected the directory of a model at ${directory} but there is none`);
  }
  const all = [CARD_FILE, ...MODEL_FILES, ...MODEL_FILES.map((name) => `${OWN_BASE}/${name}`), ...ALL_ONNX_FILES];
  const found: string[] = [];
  for (const name of all) if (await isFile(join(directory, name))) found.push(name);
  if (found.includes('config.json') || found.includes('adapter_config.json')) return found;
  throw new BertuneError(
    'NOT_FOUND',
    `Expected a model in ${directory} but found neither config.json nor adapter_config.json; save one there first`,
  );
}

/** Makes the repository and its branch, where they are not there. */
async function makeRepository(
  { name, branch, settings, fetch }: Push,
  isPublic: boolean,
): Promise<{ created: boolean; notes: string[] }> {
  const hub = await import('@huggingface/hub');
  const shared = { hubUrl: settings.endpoint, fetch, accessToken: TOKEN_OF_FETCH } as const;
  const repo = { type: 'model', name } as const;
  const created = await hub.createRepo({ repo, visibility: isPublic ? 'public' : 'private', ...shared }).then(
    () => true,
    (cause) => {
      // There is one already.
      if (statusOf(cause) === 409) return false;
      throw cause;
    },
  );
  const notes: string[] = [];
  if (!created) {
    const info = await hub.modelInfo({ name, ...shared });
    if (!info.private && !isPublic) {
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `${name} is public: everybody could read what is pushed there; add ${option('public', true)} if that is meant`,
      );
    }
    if (info.private && isPublic)
      notes.push(`${name} was there before and stays private; its settings on the hub change that.`);
  }
  if (branch !== 'main') {
    await hub.createBranch({ repo, branch, ...shared }).catch((cause) => {
      if (statusOf(cause) !== 409) throw cause;
    });
  }
  return { created, notes };
}

/** Files of a model in the repository that are not among those that are pushed: they would be read in place of them. */
async function staleFiles({ name, branch, settings, fetch }: Push, files: readonly string[]): Promise<string[]> {
  const { listFiles } = await import('@huggingface/hub');
  const params = { repo: { type: 'model', name } as const, revision: branch, recursive: true };
  const stale: string[] = [];
  for await (const { type, path } of listFiles({ ...params, hubUrl: settings.endpoint, fetch })) {
    if (type === 'file' && isModelFile(path) && !files.includes(path)) stale.push(path);
  }
  return stale;
}

/** @returns the id of the commit */
async function commitFiles(
  { name, branch, settings, fetch }: Push,
  operations: CommitOperation[],
  title: string,
  signal: AbortSignal | undefined,
  onProgress: PushOptions['onProgress'],
): Promise<string> {
  const { commitIter } = await import('@huggingface/hub');
  const events = commitIter({
    ...{ title, operations, branch, repo: { type: 'model', name }, hubUrl: settings.endpoint, fetch },
    // As Git LFS has it: what the hub holds by its hash is not sent again, so that a broken push goes on where it stopped.
    useXet: false,
    ...(signal && { abortSignal: signal }),
  });
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value?.commit.oid ?? '';
    if (value.event === 'fileProgress' && value.state === 'uploading') {
      onProgress?.({ file: value.path, share: value.progress });
    }
  }
}
