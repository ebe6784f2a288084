import type { IncomingMessage } from 'node:http';
import { BertuneError } from '../errors.js';
import type { RepositoryKind } from './id.js';
import type { HubSettings } from './settings.js';

/** What is being asked for, for messages. */
export interface Subject {
  readonly kind: RepositoryKind;
  readonly name: string;
  readonly revision: string;
}

/** An answer, or none, that may be better the next time. */
export class TransientFailure extends Error {
  /** @param waitMilliseconds how long the server asks to wait; null where it says nothing */
  constructor(
    message: string,
    readonly waitMilliseconds: number | null,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** A model or data set in words: `the model org/name`. */
export function subjectWords({ kind, name }: Subject): string {
  return `the ${kind === 'model' ? 'model' : 'data set'} ${name}`;
}

/** HUB_UNAVAILABLE, with what can be done about it. */
export function hubUnavailable(subject: Subject, settings: HubSettings, cause: unknown): BertuneError {
  const { name, kind, revision } = subject;
  const fill = `hf download ${name}${kind === 'dataset' ? ' --repo-type dataset' : ''}${revision === 'main' ? '' : ` --revision ${revision}`}`;
  const reason = settings.offline
    ? `HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids asking ${settings.endpoint}, and the cache ${settings.cache} ` +
      `does not hold it${cause instanceof Error ? ` (${cause.message})` : ''}`
    : `${settings.endpoint} gave no usable answer: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new BertuneError(
    'HUB_UNAVAILABLE',
    `Expected to fetch ${subjectWords(subject)} from the Hugging Face hub but ${reason}. There is no folder ${name} ` +
      `here either. Check the network${proxyAdvice()}, set HF_ENDPOINT to a mirror, pass a local folder, or fill the ` +
      `cache where there is a network (${fill}) and set HF_HUB_OFFLINE=1`,
    { cause },
  );
}

/** Node.js passes over HTTPS_PROXY unless it is told to heed it. */
function proxyAdvice(): string {
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  if (!proxy || process.env.NODE_USE_ENV_PROXY === '1') return ' and the proxy';
  return ' (HTTPS_PROXY is set: Node.js 22.21 or 24.5 and later heeds it with NODE_USE_ENV_PROXY=1, earlier ones do not)';
}

/** Statuses of answers that may be others the next time. */
export const TRANSIENT: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/**
 * What an answer that is no success means.
 *
 * @param response its headers say what is missing: X-Error-Code, X-Error-Message, Retry-After
 * @param path the file that was asked for; undefined for the repository itself
 */
export function failureOf(
  response: IncomingMessage,
  subject: Subject,
  settings: HubSettings,
  path?: string,
): BertuneError | TransientFailure {
  const { statusCode: status = 0, headers } = response;
  const [code, said] = ['x-error-code', 'x-error-message'].map((name) => headers[name]?.toString());
  const words = subjectWords(subject);
  const page = `${settings.endpoint}/${subject.kind === 'dataset' ? 'datasets/' : ''}${subject.name}`;
  const saying = said === undefined ? '' : ` (the hub says: ${said.slice(0, 300)})`;

  if (TRANSIENT.includes(status)) {
    return new TransientFailure(
      `status ${status}${said === undefined ? '' : `, ${said.slice(0, 300)}`}`,
      waitOf(headers['retry-after']),
    );
  }
  if (code === 'GatedRepo') {
    return new BertuneError(
      'HUB_ACCESS',
      `Expected access to ${words} but it is gated${saying}. Accept its conditions at ${page}, then set HF_TOKEN to a ` +
        'token of that account (https://huggingface.co/settings/tokens)',
    );
  }
  if (code === 'RevisionNotFound') {
    return new BertuneError(
      'NOT_FOUND',
      `Expected the revision ${subject.revision} of ${words} on ${settings.endpoint} but there is none${saying}`,
    );
  }
  if (code === 'EntryNotFound' || (status === 404 && path !== undefined && code === undefined)) {
    return new BertuneError(
      'NOT_FOUND',
      `Expected ${path ?? 'a file'} in ${words} at ${subject.revision} but the hub has none${saying}`,
    );
  }
  if (status === 404 || code === 'RepoNotFound') {
    return new BertuneError(
      'NOT_FOUND',
      `Expected a local folder ${subject.name}, or ${words} on ${settings.endpoint}, but there is neither${saying}; ` +
        'where it is private, set HF_TOKEN to a token that may read it',
    );
  }
  if (status === 401 || status === 403) {
    const why =
      settings.token === null
        ? 'it is private or does not exist: check the name, and set HF_TOKEN to a token that may read it'
        : 'the token that was sent may not read it: check HF_TOKEN (or the file of hf auth login)';
    return new BertuneError(
      'HUB_ACCESS',
      `Expected access to ${words} on ${settings.endpoint} but received status ${status}${saying}; ${why} ` +
        `(https://huggingface.co/settings/tokens). There is no local folder ${subject.name} either`,
    );
  }
  return hubUnavailable(subject, settings, new Error(`status ${status}${saying}`));
}

/** Retry-After in seconds or as a date, in milliseconds from now. */
export function waitOf(value: string | undefined): number | null {
  if (value === undefined) return null;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}

/** What a failed write to the cache means. */
export function cacheFailure(cache: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException | null)?.code;
  if (cause instanceof BertuneError || typeof code !== 'string' || !code.startsWith('E')) return cause;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new BertuneError(
    'OUTPUT_REFUSED',
    `Expected to write to the cache ${cache} but ${full ? 'the disk is full' : (cause as Error).message}; ` +
      `${full ? 'free some space' : 'make it writable'} or set HF_HUB_CACHE to another folder`,
    { cause },
  );
}
