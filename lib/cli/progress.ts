import { formatClock, formatFixed, formatMebibytes } from '../format.js';
import type { HubProgress } from '../hub/index.js';
import { isTrue } from '../hub/settings.js';
import { printable } from '../printable.js';
import { colorsFor, isInteractive, type OutputStream } from './terminal.js';

/** Where a run stands. */
interface ProgressState {
  /** Steps (or texts) done. */
  readonly done: number;
  readonly total: number;
  /** What is shown in place of done and total, e.g. `512 rows`. */
  readonly count?: string;
  /** Epochs done, with fraction. */
  readonly epoch?: number;
  readonly epochs?: number;
  /** Mean loss and share of right predictions over the last steps. */
  readonly loss?: number;
  readonly accuracy?: number;
  /** Estimated seconds until the end. */
  readonly secondsLeft?: number;
}

const BAR_WIDTH = 24;
const REDRAW_MILLISECONDS = 100;
const CLEAR_LINE = '\r\x1b[K';

/** A bar of `width` characters in eighths: `████▌     `. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const full = '█'.repeat(Math.floor(eighths / 8));
  const part = eighths % 8 === 0 ? '' : String.fromCharCode(0x2590 - (eighths % 8));
  return (full + part).padEnd(width);
}

/**
 * The line that shows where a run stands. Parts that do not fit are left out, the least needed first.
 *
 * @param title what runs
 * @param width columns of the terminal
 * @param accent colors the bar
 */
export function progressLine(
  title: string,
  state: ProgressState,
  width: number,
  accent: (text: string) => string = (text) => text,
): string {
  const { done, total, count, epoch, epochs, loss, accuracy, secondsLeft } = state;
  const share = total > 0 ? done / total : 0;
  const of = epochs === undefined ? '' : `/${formatFixed(epochs, Number.isInteger(epochs) ? 0 : 1)}`;
  const name = printable(title);
  const parts: { text: string; need: number; shown?: string }[] = [
    { text: name, need: 4 },
    { text: bar(share, BAR_WIDTH), need: 3, shown: accent(bar(share, BAR_WIDTH)) },
    { text: `${String(Math.floor(share * 100)).padStart(3)} %`, need: 9 },
    { text: count ?? `${done}/${total}`, need: 6 },
    ...(epoch === undefined ? [] : [{ text: `epoch ${formatFixed(epoch, 1)}${of}`, need: 2 }]),
    ...(loss === undefined ? [] : [{ text: `loss ${formatFixed(loss, 4)}`, need: 7 }]),
    ...(accuracy === undefined ? [] : [{ text: `accuracy ${formatFixed(accuracy, 3)}`, need: 5 }]),
    ...(secondsLeft === undefined ? [] : [{ text: `${formatClock(secondsLeft)} left`, need: 8 }]),
  ];
  const length = (shown: typeof parts) => shown.reduce((sum, { text }) => sum + text.length + 1, -1);
  let shown = parts;
  // The last column stays free: some terminals wrap when it is written.
  while (shown.length > 1 && length(shown) >= width) {
    const least = Math.min(...shown.map(({ need }) => need));
    shown = shown.filter(({ need }) => need !== least);
  }
  return shown.map((part) => part.shown ?? part.text).join(' ');
}

/**
 * Shows what happens on stderr: on a terminal one line that is rewritten, elsewhere nothing but the lines given to
 * `note`. Quiet: nothing at all.
 */
export class Progress {
  readonly #stream: OutputStream;
  readonly #interactive: boolean;
  readonly #quiet: boolean;
  readonly #accent: (text: string) => string;
  #line = '';
  #drawn = Number.NEGATIVE_INFINITY;

  /**
   * @param options.stream where to. Defaults to stderr.
   * @param options.quiet whether to be silent. Defaults to false.
   */
  constructor(options: { stream?: OutputStream; quiet?: boolean } = {}) {
    this.#stream = options.stream ?? process.stderr;
    this.#quiet = options.quiet ?? false;
    this.#interactive = !this.#quiet && isInteractive(this.#stream);
    this.#accent = colorsFor(this.#stream).cyan;
  }

  /** Whether a rewritten line is shown, so that plain lines about the same would be too much. */
  get interactive(): boolean {
    return this.#interactive;
  }

  /** Redraws the line, at most ten times a second. */
  update(title: string, state: ProgressState): void {
    const now = performance.now();
    if (!this.#interactive || (now - this.#drawn < REDRAW_MILLISECONDS && state.done < state.total)) return;
    this.#drawn = now;
    this.#line = progressLine(title, state, this.#stream.columns ?? 80, this.#accent);
    this.#stream.write(CLEAR_LINE + this.#line);
  }

  /** Writes a line that stays, made printable; the rewritten one goes on below it. */
  note(text: string): void {
    if (this.#quiet) return;
    const line = printable(text);
    this.#stream.write(this.#line === '' ? `${line}\n` : `${CLEAR_LINE}${line}\n${this.#line}`);
  }

  /** Takes the rewritten line away. */
  clear(): void {
    if (this.#line !== '') this.#stream.write(CLEAR_LINE);
    this.#line = '';
    this.#drawn = Number.NEGATIVE_INFINITY;
  }
}

/**
 * Shows what comes from the hub: a line when it starts, and on a terminal how far it is, unless
 * HF_HUB_DISABLE_PROGRESS_BARS says no.
 *
 * @returns a function to pass as `onProgress`
 */
export function downloadProgress(progress: Progress): (state: HubProgress) => void {
  const bars = !isTrue(process.env.HF_HUB_DISABLE_PROGRESS_BARS);
  const announced = new Set<string>();
  return ({ source, file, receivedBytes, totalBytes }) => {
    if (!announced.has(source)) {
      announced.add(source);
      progress.note(`fetching ${source} from the Hugging Face hub`);
    }
    const mebibytes = (bytes: number) => Math.floor(bytes / 2 ** 20);
    if (bars && receivedBytes < totalBytes) {
      const state = { done: mebibytes(receivedBytes), total: Math.ceil(totalBytes / 2 ** 20) };
      progress.update(`${source} ${file} (MiB)`, state);
      return;
    }
    progress.clear();
    if (receivedBytes === totalBytes) progress.note(`fetched ${file}: ${formatMebibytes(totalBytes)} MiB`);
  };
}
