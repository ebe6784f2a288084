import { join } from 'node:path';
import { JOURNAL_FILE, readJournal } from '../files/journal.js';
import { type FindOptions, type Found, findModel } from '../hub/index.js';

/** A model, as findModel finds it, with a note where its directory may hold what readers cannot know to belong together. */
export async function findSettled(source: string, options: FindOptions = {}): Promise<Found> {
  const found = await findModel(source, options);
  const { directory, notes } = found;
  if ((await readJournal(directory)) !== 'foreign') return found;
  const note =
    `Ignored ${join(directory, JOURNAL_FILE)}, which was not written here. If ${directory} is a copy of a directory in ` +
    'which a save was interrupted, its files may come from two models: copy it again. Otherwise delete that file.';
  return { ...found, notes: [...notes, note] };
}
