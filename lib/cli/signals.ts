import { BertuneError } from '../errors.js';

/** Exit statuses that a shell gives to a process ended by these signals: 128 + the signal's number. */
const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/** A way to stop work at the user's wish. */
export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
  /** The exit status of the signal that came; undefined where none has. */
  readonly status: number | undefined;
}

/**
 * Turns Ctrl-C (SIGINT) and SIGTERM into an AbortSignal. A second one ends the process at once.
 *
 * @param announce called with the line to show when the first comes
 * @param beforeQuit called before the second ends the process
 */
export function interruptible(announce: (line: string) => void, beforeQuit: () => void = () => {}): Interruption {
  const controller = new AbortController();
  let status: number | undefined;
  const listener = (name: NodeJS.Signals) => {
    const code = STATUS[name as keyof typeof STATUS];
    if (status !== undefined) {
      beforeQuit();
      process.exit(code);
    }
    status = code;
    announce('stopping after the current step; press Ctrl-C again to quit at once');
    controller.abort(new BertuneError('ABORTED', `Stopped by ${name}`));
  };
  for (const name of Object.keys(STATUS)) process.on(name, listener);
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    [Symbol.dispose]() {
      for (const name of Object.keys(STATUS)) process.off(name, listener);
    },
  };
}
