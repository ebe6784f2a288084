/** What stands for a value that is not there, as spreadsheets, pandas, SQL and people write it, in small letters. */
const ABSENT = ['', 'nan', 'n/a', '#n/a', '<na>', 'na', 'null', 'none', 'nil', 'undefined'];

const TEXTS = new Set(ABSENT);
const LABELS = new Set([...ABSENT, '-', '--', '?', '.']);
const LONGEST = Math.max(...ABSENT.map(({ length }) => length));

/** Whether a label looks as if there were none. */
export function isMissingLabel(label: string): boolean {
  return LABELS.has(label.trim().toLowerCase());
}

/** Whether a text looks as if there were none. */
export function isMissingText(text: string): boolean {
  if (!/\S/.test(text)) return true;
  const trimmed = text.length > 4 * LONGEST ? text : text.trim();
  return trimmed.length <= LONGEST && TEXTS.has(trimmed.toLowerCase());
}
