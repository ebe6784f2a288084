import { writeFileAtomic } from '../files/output.js';

/** The report's name in an output directory. */
export const REPORT_FILE = 'report.html';

/**
 * Draws the report of what results.json holds and writes it. The libraries that draw are loaded here, not before.
 *
 * @param path the file
 * @param results what results.json holds
 * @throws BertuneError INVALID_DATA, OUTPUT_REFUSED
 */
export async function writeReport(path: string, results: unknown): Promise<void> {
  const { renderReport } = await import('./html/page.js');
  await writeFileAtomic(path, renderReport(results));
}
