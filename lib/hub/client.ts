import type { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { isObject, parseJson } from '../files/json.js';
import { throwIfAborted } from '../time-slice.js';
import { failureOf, hubUnavailable, type Subject, TransientFailure } from './failure.js';
import { expectSafePath, isCommit } from './id.js';
import type { HubSettings } from './settings.js';
import { type TreeEntry, treeEntry } from './tree.js';

/** Attempts at a question, and at a transfer that brings nothing new. */
export const ATTEMPTS = 4;

const FIRST_WAIT_MILLISECONDS = 400;
const LONGEST_WAIT_MILLISECONDS = 60_000;
const MOST_REDIRECTS = 5;

/** Many times a page of a thousand files. */
const MOST_ANSWER_BYTES = 8 * 2 ** 20;
const MOST_PAGES = 300;
const LONGEST_LISTING_MILLISECONDS = 600_000;
/** Some 130,000 files with paths of usual length; the hub advises to stay below 100,000. */
const MOST_LISTED_CHARACTERS = 32 * 2 ** 20;
/** What an entry takes beside its path. */
const ENTRY_CHARACTERS = 200;

/** Asks the hub about one repository. */
export class HubClient {
  constructor(
    readonly settings: HubSettings,
    readonly subject: Subject,
    readonly signal?: AbortSignal,
  ) {}

  /**
   * The commit that the revision means now.
   *
   * @param attempts Defaults to 4.
   * @throws BertuneError NOT_FOUND, HUB_ACCESS, HUB_UNAVAILABLE, ABORTED
   */
  async commit(attempts = ATTEMPTS): Promise<string> {
    const { kind, name, revision } = this.subject;
    const hub = await import('@huggingface/hub');
    const params = { name, revision, hubUrl: this.settings.endpoint, fetch: this.#fetch(expectObject, attempts) };
    const { sha } = await this.#asking(() =>
      kind === 'model'
        ? hub.modelInfo({ ...params, additionalFields: ['sha'] })
        : hub.datasetInfo({ ...params, additionalFields: ['sha'] }),
    );
    if (isCommit(sha)) return sha;
    throw hubUnavailable(this.subject, this.settings, new Error(`no commit id but ${excerpt(sha)}`));
  }

  /**
   * Every file of the repository at a commit.
   *
   * @throws BertuneError as `commit`; CHECKPOINT_INVALID for a path that leaves its folder
   */
  async tree(commit: string): Promise<Map<string, TreeEntry>> {
    const { kind, name } = this.subject;
    const { listFiles } = await import('@huggingface/hub');
    return this.#asking(async () => {
      const entries = new Map<string, TreeEntry>();
      let characters = 0;
      const repo = { type: kind, name };
      const params = { repo, revision: commit, recursive: true, hubUrl: this.settings.endpoint };
      const fetch = this.#fetchPages();
      for await (const { type, path, size, oid, lfs, xetHash } of listFiles({ ...params, fetch })) {
        const kept = type === 'file';
        if (kept && typeof path !== 'string') throw new Error(`a list of files with the path ${excerpt(path)}`);
        characters += ENTRY_CHARACTERS + (kept ? path.length + (xetHash?.length ?? 0) : 0);
        if (characters > MOST_LISTED_CHARACTERS) throw new Error('a listing too long to be one of files');
        if (!kept) continue;
        const entry = treeEntry({
          size: lfs?.size ?? size,
          blobId: oid,
          sha256: lfs?.oid ?? null,
          xetHash: xetHash ?? null,
        });
        if (entry === null) throw new Error(`no size and hash for ${JSON.stringify(path)}`);
        entries.set(expectSafePath(path, name), entry);
      }
      return entries;
    });
  }

  /**
   * Asks for a file, once. Redirects are followed; the token goes to the hub's own host alone.
   *
   * @throws TransientFailure where asking again may help; BertuneError otherwise
   */
  async open(
    commit: string,
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { kind, name } = this.subject;
    const place = `${kind === 'dataset' ? 'datasets/' : ''}${name}/resolve/${commit}`;
    const url = `${this.settings.endpoint}/${place}/${path.split('/').map(encodeURIComponent).join('/')}`;
    const response = await this.#request(url, headers, signal);
    if (isSuccess(response) || response.statusCode === 416) return response;
    response.destroy();
    throw failureOf(response, this.subject, this.settings, path);
  }

  /** Waits before another attempt: as long as the server asks, otherwise longer each time. */
  async pause(attempt: number, failure: TransientFailure): Promise<void> {
    const wait = failure.waitMilliseconds ?? FIRST_WAIT_MILLISECONDS * 2 ** (attempt - 1) * (1 + Math.random() / 4);
    if (wait > LONGEST_WAIT_MILLISECONDS) {
      const seconds = Math.ceil(wait / 1000);
      throw hubUnavailable(this.subject, this.settings, new Error(`${failure.message}: come back in ${seconds} s`));
    }
    await sleep(wait, undefined, this.signal ? { signal: this.signal } : {}).catch(() => undefined);
    throwIfAborted(this.signal);
  }

  /**
   * A `fetch` for the hub's library: with token, time-out, attempts, and errors of ours.
   *
   * @param expectShape looks at the answer before the library does, which takes it on trust
   */
  #fetch(expectShape: (value: unknown) => void, attempts = ATTEMPTS): typeof fetch {
    return async (input) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#ask(String(input), expectShape);
        } catch (failure) {
          if (!(failure instanceof TransientFailure) || attempt >= attempts) throw failure;
          await this.pause(attempt, failure);
        }
      }
    };
  }

  /** A `fetch` for a listing in pages, each of which names the next. */
  #fetchPages(): typeof fetch {
    const fetchPage = this.#fetch(expectEntries);
    const until = performance.now() + LONGEST_LISTING_MILLISECONDS;
    let pages = 0;
    return async (input) => {
      pages += 1;
      if (pages > MOST_PAGES) throw new Error(`more than ${MOST_PAGES} pages of files`);
      if (performance.now() > until)
        throw new Error(`more than ${LONGEST_LISTING_MILLISECONDS / 1000} s for a list of files`);
      return fetchPage(input);
    };
  }

  /** One question with its whole answer in time, so that an answer that stalls half-way is tried again too. */
  async #ask(url: string, expectShape: (value: unknown) => void): Promise<Response> {
    const timeout = AbortSignal.timeout(this.settings.metadataTimeout);
    const response = await this.#request(url, { accept: 'application/json' }, timeout);
    if (!isSuccess(response)) {
      response.destroy();
      throw failureOf(response, this.subject, this.settings);
    }
    let text: string;
    try {
      text = (await this.#bodyOf(response)).toString('utf8');
    } catch (cause) {
      throw cause instanceof BertuneError ? cause : this.#broken(cause);
    }
    const value = parsed(text);
    expectShape(value);
    // As much of a Response as the hub's library reads.
    const { link } = response.headers;
    const headers = new Map(link === undefined ? [] : [['Link', link]]);
    return { ok: true, headers, json: async () => value } as unknown as Response;
  }

  async #bodyOf(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MOST_ANSWER_BYTES) {
        const words = `an answer of more than ${MOST_ANSWER_BYTES} bytes`;
        throw hubUnavailable(this.subject, this.settings, new Error(words));
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  /** @throws TransientFailure; BertuneError HUB_UNAVAILABLE for an answer that is compressed or leads nowhere */
  async #request(url: string, headers: Record<string, string>, limit: AbortSignal): Promise<IncomingMessage> {
    const { endpoint, token } = this.settings;
    const signal = this.signal ? AbortSignal.any([this.signal, limit]) : limit;
    const unusable = (words: string) => hubUnavailable(this.subject, this.settings, new Error(words));
    if (!URL.canParse(url)) throw unusable(`a list of files that goes on at ${excerpt(url)}`);
    let target = new URL(url);
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
      const own = target.origin === new URL(endpoint).origin;
      const authorization = own && token !== null ? { authorization: `Bearer ${token}` } : {};
      let response: IncomingMessage;
      try {
        response = await ask(target, { ...headers, ...authorization, 'user-agent': 'bertune' }, signal);
      } catch (cause) {
        throw cause instanceof CompressedAnswer ? unusable(cause.message) : this.#broken(cause);
      }
      const { location } = response.headers;
      if (response.statusCode! < 300 || response.statusCode! >= 400 || location === undefined) return response;
      response.destroy();
      const next = URL.canParse(location, target.href) ? new URL(location, target.href) : undefined;
      const downgrade = target.protocol === 'https:' && next?.protocol !== 'https:';
      if (next === undefined || !/^https?:$/.test(next.protocol) || downgrade) {
        throw unusable(`a redirect to ${location.slice(0, 200)}`);
      }
      target = next;
    }
    throw unusable(`more than ${MOST_REDIRECTS} redirects`);
  }

  /** A request that came to nothing, as a failure to try again; ABORTED where the caller asked for it. */
  #broken(cause: unknown): TransientFailure {
    throwIfAborted(this.signal);
    // Where a name has several addresses, each has an error of its own.
    const { message, name, errors } = cause as AggregateError;
    const words = name === 'AbortError' ? 'no answer in time' : message || String(errors?.[0]?.message);
    return new TransientFailure(words, null, { cause });
  }

  /** Whatever is not an error of ours yet becomes HUB_UNAVAILABLE. */
  async #asking<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof BertuneError) throw cause;
      throwIfAborted(this.signal);
      throw hubUnavailable(this.subject, this.settings, cause);
    }
  }
}

function isSuccess({ statusCode }: IncomingMessage): boolean {
  return statusCode! >= 200 && statusCode! < 300;
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new Error(`no JSON but ${excerpt(text)}`, { cause });
  }
}

function expectObject(value: unknown): void {
  if (!isObject(value)) throw new Error(`no JSON object but ${excerpt(value)}`);
}

function expectEntries(value: unknown): void {
  if (!Array.isArray(value)) throw new Error(`no list of files but ${excerpt(value)}`);
  const odd = value.findIndex((entry) => !isObject(entry));
  if (odd >= 0) throw new Error(`a list of files with the entry ${excerpt(value[odd])}`);
}

/** The beginning of what an answer held, for messages. */
function excerpt(value: unknown): string {
  const text = (typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : JSON.stringify(value)) ?? 'nothing';
  return text.length > 90 ? `${text.slice(0, 80)}...` : text;
}

/** Compressed without being asked for. */
const COMPRESSED = /\b(gzip|deflate|compress|br|zstd)\b/i;

/** An answer that would have to be unpacked. */
class CompressedAnswer extends Error {}

/**
 * Asks for what is at an address. Node's fetch is not used: it unpacks answers whether they are wanted packed or not, and
 * an error on the way of its body may reach nobody but the process.
 *
 * @param signal ends the question and the answer
 * @returns the answer as its headers come; its body is read, or destroyed, by the caller
 * @throws CompressedAnswer; what the network says
 */
async function ask(
  target: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  // Loaded by the first question: most processes have none.
  const { request: send } = target.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = send(target, { headers: { ...headers, 'accept-encoding': 'identity' }, signal });
    request.once('response', (response) => {
      // What goes wrong later is told to whoever reads the body.
      response.on('error', () => {});
      resolve(addAbortSignal(signal, response));
    });
    request.on('error', reject);
    // An answer that changes the protocol is neither a response nor an error.
    request.once('close', () => reject(new Error('the connection was closed before an answer came')));
    request.end();
  });
  const encoding = answer.headers['content-encoding'] ?? '';
  if (!COMPRESSED.test(encoding)) return answer;
  answer.destroy();
  throw new CompressedAnswer(`an answer compressed as ${encoding.slice(0, 100)}, which was not requested`);
}
