import { Trainer } from '../../api/trainer.js';
import { expectPath, invalidOption } from '../../options/validation.js';
import { BEST_METRICS, type TaskKind } from '../../tasks/index.js';
import type { EvaluateRow, LogRow } from '../../training/state.js';
import type { Scalar } from './event.js';
import { EventWriter } from './writer.js';

/** A log for TensorBoard that is being written. */
export interface TensorBoardLog extends AsyncDisposable {
  /** The event file. */
  readonly path: string;
  /**
   * Stops listening, writes what is left and closes the file.
   *
   * @throws BertuneError OUTPUT_REFUSED where a row could not be written
   */
  close(): Promise<void>;
}

/**
 * Writes what a trainer logs to an event file for TensorBoard, row by row as it comes: `train/loss`, `train/grad_norm`,
 * `train/learning_rate`, `train/epoch`, and `eval/loss`, `eval/accuracy`, `eval/precision`, `eval/recall`, `eval/f1_macro`,
 * each by step. A row that cannot be written does not end the training; `close` tells of it.
 *
 * @param trainer the trainer to listen to, before its `train`
 * @param directory the run's folder, made where needed; TensorBoard is shown the folder above it
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
