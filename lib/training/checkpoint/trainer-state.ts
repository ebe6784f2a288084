import { readJsonObject } from '../../files/input.js';
import { JsonFields } from '../../files/json.js';
import type { LogHistoryRow } from '../log-rows.js';
import type { TrainerState } from '../state.js';

export const STATE_FILE = 'trainer_state.json';

/** What a resumed run takes over from trainer_state.json; the rest follows from settings and position. */
export type SavedState = Pick<
  TrainerState,
  'best_global_step' | 'best_metric' | 'best_model_checkpoint' | 'epoch' | 'global_step' | 'log_history'
>;

/** @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID */
export async function readTrainerState(path: string): Promise<SavedState> {
  const fields = new JsonFields(await readJsonObject(path), path);
  const known = <T>(name: string, read: (name: string) => T) => (fields.json[name] === null ? null : read(name));
  return {
    best_global_step: known('best_global_step', (name) => fields.count(name)),
    best_metric: known('best_metric', (name) => fields.number(name)),
    best_model_checkpoint: known('best_model_checkpoint', (name) => fields.text(name)),
    epoch: fields.number('epoch'),
    global_step: fields.count('global_step'),
    log_history: fields.objects('log_history').map(rowOf),
  };
}

/** A row of numbers; null stands for a number that JSON has no word for. */
function rowOf(fields: JsonFields): LogHistoryRow {
  for (const [name, value] of Object.entries(fields.json)) {
    if (value === null) fields.json[name] = Number.NaN;
    else fields.number(name);
  }
  return fields.json as unknown as LogHistoryRow;
}
