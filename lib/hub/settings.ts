import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { readFile } from '../files/fs.js';
import { invalidOption } from '../options/validation.js';

/** How the hub is reached and where its files are kept, as the environment says. */
export interface HubSettings {
  /** Folder of the cache, shared with Python. */
  readonly cache: string;
  /** Address of the hub, without a slash at the end. */
  readonly endpoint: string;
  /** Sent to the hub's own host alone; null for none. */
  readonly token: string | null;
  /** Whether nothing may be asked of the network. */
  readonly offline: boolean;
  /** Milliseconds for questions about a repository. */
  readonly metadataTimeout: number;
  /** Milliseconds without a byte after which a transfer counts as broken. */
  readonly stallTimeout: number;
  /** Whether snapshots may be links into blobs. */
  readonly symlinks: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_ENDPOINT = 'https://huggingface.co';
const DEFAULT_TIMEOUT_SECONDS = 10;

/**
 * Reads the variables that Python's huggingface_hub reads, with the same meaning: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE,
 * HF_HOME, XDG_CACHE_HOME, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_ENDPOINT,
 * HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT, and
 * HF_HUB_DISABLE_SYMLINKS.
 *
 * @throws BertuneError INVALID_OPTION for an HF_ENDPOINT that is no address, or a time-out that is no number of seconds
 */
export async function hubSettings(environment: Environment = process.env): Promise<HubSettings> {
  const variable = (name: string) => environment[name] || undefined;
  const folder = (path: string) => resolve(expand(path, environment));
  const home = folder(
    variable('HF_HOME') ?? join(variable('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'),
  );
  return {
    cache: folder(variable('HF_HUB_CACHE') ?? variable('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub')),
    endpoint: endpointOf(variable('HF_ENDPOINT') ?? DEFAULT_ENDPOINT),
    token: isTrue(variable('HF_HUB_DISABLE_IMPLICIT_TOKEN'))
      ? null
      : (cleanToken(variable('HF_TOKEN') ?? variable('HUGGING_FACE_HUB_TOKEN')) ??
        cleanToken(await readFile(folder(variable('HF_TOKEN_PATH') ?? join(home, 'token')), 'utf8').catch(() => ''))),
    // A set HF_HUB_OFFLINE decides, whatever the other says.
    offline: isTrue(variable('HF_HUB_OFFLINE') ?? variable('TRANSFORMERS_OFFLINE')),
    metadataTimeout: milliseconds('HF_HUB_ETAG_TIMEOUT', variable('HF_HUB_ETAG_TIMEOUT')),
    stallTimeout: milliseconds('HF_HUB_DOWNLOAD_TIMEOUT', variable('HF_HUB_DOWNLOAD_TIMEOUT')),
    symlinks: !isTrue(variable('HF_HUB_DISABLE_SYMLINKS')),
  };
}

/** Whether a variable says yes, in Python's words. */
export function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes(value?.toUpperCase() ?? '');
}

function endpointOf(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    throw invalidOption('HF_ENDPOINT', 'an http address', value);
  return value.replace(/\/+$/, '');
}

function cleanToken(value: string | undefined): string | null {
  return value?.replace(/[\r\n]/g, '').trim() || null;
}

/** 0 means the default, as in Python. */
function milliseconds(name: string, value: string | undefined): number {
  if (value !== undefined && !/^\s*\d{1,6}\s*$/.test(value))
    throw invalidOption(name, 'a whole number of seconds', value);
  return (Number(value ?? 0) || DEFAULT_TIMEOUT_SECONDS) * 1000;
}

/** `~` and `$NAME` or `${NAME}` as a shell has them; an unknown name stays as it is. */
function expand(path: string, environment: Environment): string {
  return path
    .replace(/^~(?=$|[/\\])/, () => homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, bare) => environment[braced ?? bare] ?? whole);
}
