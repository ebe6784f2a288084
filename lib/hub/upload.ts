import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { throwIfAborted } from '../time-slice.js';
import { ATTEMPTS } from './client.js';
import { TRANSIENT, waitOf } from './failure.js';
import type { HubSettings } from './settings.js';

/*
 * How files go to the hub: every request tried again where that may help, the token given to the hub's own host alone, and every refusal
 * an error of ours.
 */

const FIRST_WAIT_MILLISECONDS = 400;
const LONGEST_WAIT_MILLISECONDS = 60_000;

/** The hub's library wants a token, which the `fetch` that it is given replaces. */
export const TOKEN_OF_FETCH = 'hf_given-by-fetch';

/**
 * A `fetch` for the hub's library.
 *
 * @throws BertuneError HUB_UNAVAILABLE after four attempts; ABORTED
 */
export function uploadFetch(settings: HubSettings, what: string, signal: AbortSignal | undefined): typeof fetch {
  const { origin } = new URL(settings.endpoint);
  return async (input, init = {}) => {
    const target = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init.headers);
    headers.delete('authorization');
    if (target.origin === origin) headers.set('authorization', `Bearer ${settings.token}`);
    headers.set('user-agent', 'bertune');
    const signals = [signal, init.signal].filter((each) => each != null);
    for (let attempt = 1; ; attempt += 1) {
      const failure = await tryFetch(target, { ...init, headers, signal: AbortSignal.any(signals) });
      if (failure instanceof Response) return failure;
      throwIfAborted(signal);
      const wait = failure.wait ?? FIRST_WAIT_MILLISECONDS * 2 ** (attempt - 1) * (1 + Math.random() / 4);
      if (attempt >= ATTEMPTS || wait > LONGEST_WAIT_MILLISECONDS)
        throw unavailable(settings, what, failure.words, failure.cause);
      await sleep(wait, undefined, signal ? { signal } : {}).catch(() => undefined);
      throwIfAborted(signal);
    }
  };
}

/** An answer, or what was wrong with the attempt where another may do better. */
async function tryFetch(
  target: URL,
  init: RequestInit,
): Promise<Response | { words: string; wait: number | null; cause?: unknown }> {
  try {
    const response = await fetch(target, init);
    if (!TRANSIENT.includes(response.status)) return response;
    await response.body?.cancel();
    return { words: `status ${response.status}`, wait: waitOf(response.headers.get('retry-after') ?? undefined) };
  } catch (cause) {
    const { cause: inner, message } = cause as Error;
    return { words: inner instanceof Error && inner.message !== '' ? inner.message : message, wait: null, cause };
  }
}

function unavailable({ endpoint }: HubSettings, what: string, words: string, cause?: unknown): BertuneError {
  return new BertuneError(
    'HUB_UNAVAILABLE',
    `Expected to push ${what} but ${endpoint} gave no usable answer: ${words}. Push again when it can be reached: files ` +
      'that have arrived are not sent twice',
    { cause },
  );
}

/** What the hub's library throws for an answer that is no success. */
interface Refusal extends Error {
  statusCode: number;
}

/** The status of an answer that was refused; undefined of any other error. */
export function statusOf(cause: unknown): number | undefined {
  return cause instanceof Error && 'statusCode' in cause ? (cause as Refusal).statusCode : undefined;
}

/** What a failure to push means. */
export function pushFailure(cause: unknown, settings: HubSettings, what: string): BertuneError {
  if (cause instanceof BertuneError) return cause;
  const status = statusOf(cause);
  const said = cause instanceof Error ? cause.message.replace(/\. URL: .*$/s, '').slice(0, 300) : String(cause);
  if (status === 401 || status === 403) {
    return new BertuneError(
      'HUB_ACCESS',
      `Expected permission to push ${what} but ${settings.endpoint} answered ${status} (${said}): check that the token in HF_TOKEN, or of ` +
        'hf auth login, is valid, may write, and belongs to the account or organization',
      { cause },
    );
  }
  if (status === 404) {
    return new BertuneError(
      'NOT_FOUND',
      `Expected to push ${what} but ${settings.endpoint} knows no such place (${said})`,
      { cause },
    );
  }
  if (status === 409 || status === 412) {
    return new BertuneError(
      'OUTPUT_REFUSED',
      `Expected to push ${what} but it was changed at the same time (${said}); look at what is there, then push again`,
      { cause },
    );
  }
  if (status !== undefined && status < 500) {
    return new BertuneError('OUTPUT_REFUSED', `Expected to push ${what} but ${settings.endpoint} refused it: ${said}`, {
      cause,
    });
  }
  return unavailable(settings, what, said, cause);
}
