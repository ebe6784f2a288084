/** How the files end that can be read; those of text may be compressed by gzip besides (.gz). */
export const TEXT_EXTENSIONS = ['.csv', '.tsv', '.txt', '.jsonl', '.ndjson', '.json'] as const;

/** The endings of all files that can be read. */
export const DATA_EXTENSIONS = [...TEXT_EXTENSIONS, '.parquet', ...TEXT_EXTENSIONS.map((ending) => `${ending}.gz`)];

/** The ending of a data file's name, in small letters, e.g. `.csv` or `.csv.gz`; of another file, what follows its last dot. */
export function extensionOf(path: string): string {
  return /(\.[^./\\]*(?:\.gz)?)$/i.exec(path)?.[1]?.toLowerCase() ?? '';
}

/** Whether a file can be read, by its name. */
export function isDataFile(path: string): boolean {
  return DATA_EXTENSIONS.includes(extensionOf(path));
}
