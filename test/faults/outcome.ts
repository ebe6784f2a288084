import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError, type ErrorCode } from '../../lib/errors.js';
import { OwnError } from './hostile-values.js';

/** What a call came to: accepted, an error of the caller's own, a refusal, or something that must not be. */
export type Outcome =
  | { kind: 'accepted' }
  | { kind: 'own' }
  | { kind: 'refused'; code: ErrorCode; message: string }
  | { kind: 'fault'; what: string };

/** Longer than any call of these tests takes, several times so under a sanitizer; it is a hang then. */
const HANG_MILLISECONDS = process.env.BERTUNE_SANITIZER ? 200_000 : 20_000;

/** Makes a call with a value and says what it came to. */
export async function outcomeOf(call: () => unknown): Promise<Outcome> {
  const ending = new AbortController();
  const hang = sleep(HANG_MILLISECONDS, undefined, { signal: ending.signal }).then(
    (): Outcome => ({ kind: 'fault', what: 'it does not end' }),
    (): Outcome => ({ kind: 'accepted' }),
  );
  try {
    return await Promise.race([settle(call), hang]);
  } finally {
    ending.abort();
  }
}

async function settle(call: () => unknown): Promise<Outcome> {
  try {
    await call();
    return { kind: 'accepted' };
  } catch (error) {
    if (error instanceof OwnError) return { kind: 'own' };
    if (error instanceof BertuneError) return { kind: 'refused', code: error.code, message: error.message };
    const { name, message } = Object(error) as Error;
    // The language's own word on what the caller passed.
    if (
      name === 'TypeError' &&
      /on a proxy that has been revoked|must be of type AbortSignal|^Class constructor /.test(message)
    )
      return { kind: 'own' };
    return { kind: 'fault', what: `${(Object(error) as Error).stack}` };
  }
}
