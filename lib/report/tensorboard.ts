import os from 'node:os';
import { join } from 'node:path';
import { Trainer } from '../api/trainer.js';
import { BertuneError } from '../errors.js';
import { type OpenFile, open } from '../files/fs.js';
import { makeDirectories, removeDirectories, writeFully } from '../files/output.js';
import { discard } from '../files/places.js';
import { expectPath, invalidOption } from '../options/validation.js';
import { BEST_METRICS, type TaskKind } from '../tasks/index.js';
import type { EvaluateRow, LogRow } from '../training/state.js';
import { record, type Scalar, scalarsEvent, versionEvent } from './tensorboard-events.js';

/** A TensorBoard log being written. */
export interface TensorBoardLog extends AsyncDisposable {
  /** The event file. */
  readonly path: string;
  /**
   * Stops listening, writes what is left and closes the file.
   *
   * @throws BertuneError OUTPUT_REFUSED if a row could not be written
   */
  close(): Promise<void>;
}

/**
 * Writes what a trainer logs to an event file for TensorBoard, row by row: `train/loss`, `train/grad_norm`,
 * `train/learning_rate`, `train/epoch`, and `eval/loss`, `eval/accuracy`, `eval/precision`, `eval/recall`, `eval/f1_macro`,
 * each by step. A row that cannot be written does not end the training; `close` reports it.
 *
 * @param trainer the trainer to listen to, before its `train`
 * @param directory the run's folder, created if needed; point TensorBoard at the folder above it
 * @throws BertuneError INVALID_OPTION, OUTPUT_REFUSED
 */
export async function tensorBoard(trainer: Trainer<TaskKind>, directory: string): Promise<TensorBoardLog> {
  if (!(trainer instanceof Trainer)) throw invalidOption('trainer', 'a Trainer', trainer);
  const writer = await EventWriter.open(expectPath('directory', directory));
  const onLog = ({ step, ...row }: LogRow) => writer.scalars(step, scalars('train/', row));
  const onEvaluate = (row: EvaluateRow) => writer.scalars(row.step, evaluationScalars(row));
  trainer.on('log', onLog).on('evaluate', onEvaluate);
  const close = () => {
    trainer.off('log', onLog).off('evaluate', onEvaluate);
    return writer.close();
  };
  return { path: writer.path, close, [Symbol.asyncDispose]: close };
}

function evaluationScalars(row: EvaluateRow): Scalar[] {
  const values = BEST_METRICS.flatMap((name): [string, number][] => {
    const value = row[`eval_${name}`];
    return value === undefined || value === null ? [] : [[name, value]];
  });
  return scalars('eval/', Object.fromEntries(values));
}

function scalars(prefix: string, values: Readonly<Record<string, number>>): Scalar[] {
  return Object.entries(values).map(([name, value]) => ({ tag: prefix + name, value }));
}

/** Files of one process, told apart. */
let files = 0;

/** Appends scalars to an event file of its own. */
export class EventWriter implements AsyncDisposable {
  readonly path: string;
  readonly #file: OpenFile;
  /** The writes so far, one after the other. */
  #written: Promise<void> = Promise.resolve();
  #closed: Promise<void> | null = null;
  /** Whether there are scalars in it. */
  #used = false;
  /** Directories that were made for it. */
  readonly #made: readonly string[];

  private constructor(path: string, file: OpenFile, made: readonly string[]) {
    this.path = path;
    this.#file = file;
    this.#made = made;
    this.#append(versionEvent(Date.now() / 1000));
  }

  /**
   * Starts a new file in a directory, which is made where needed.
   *
   * @throws BertuneError OUTPUT_REFUSED
   */
  static async open(directory: string): Promise<EventWriter> {
    const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
    const path = join(directory, `events.out.tfevents.${seconds}.${os.hostname()}.${process.pid}.${files++}`);
    try {
      const made: string[] = [];
      await makeDirectories(directory, made);
      return new EventWriter(path, await open(path, 'wx'), made);
    } catch (cause) {
      throw refused(path, cause);
    }
  }

  /** Appends the scalars of a step, once what came before is written. A failure is told by `close`. */
  scalars(step: number, scalars: readonly Scalar[]): void {
    this.#used = true;
    this.#append(scalarsEvent(Date.now() / 1000, step, scalars));
  }

  /**
   * Writes what is left, flushes it to the disk and closes the file; more calls do nothing more. A file without scalars, as
   * of a run that was refused, is removed with the directories that were made for it.
   *
   * @throws BertuneError OUTPUT_REFUSED for the first write that failed
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #append(event: Uint8Array): void {
    if (this.#closed !== null) return;
    this.#written = this.#written.then(() => writeFully(this.#file, record(event)));
    // close() tells of it.
    this.#written.catch(() => {});
  }

  async #close(): Promise<void> {
    try {
      await this.#written;
      await this.#file.sync();
    } catch (cause) {
      throw refused(this.path, cause);
    } finally {
      await this.#file.close();
      if (!this.#used) {
        await discard(this.path);
        await removeDirectories(this.#made);
      }
    }
  }
}

function refused(path: string, cause: unknown): BertuneError {
  return new BertuneError('OUTPUT_REFUSED', `Expected to write to ${path} but ${(cause as Error).message}`, { cause });
}
