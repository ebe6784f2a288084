import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGzip } from 'node:zlib';
import { fileWriter, parquetWrite } from 'hyparquet-writer';
import { loadDataset } from '../../lib/data/dataset.js';

/*
 * Writes many rows to a file, or reads them and says what that took:
 *
 *     node --import tsx test/lib/dataset-memory.ts write FILE ROWS
 *     node --import tsx test/lib/dataset-memory.ts read FILE
 *
 * Reading prints JSON: rows, seconds, bytes of all texts, and by how many bytes the process's highest resident memory
 * grew.
 */

const ROWS_A_GROUP = 20_000;
const LABELS = ['anger', 'fear', 'joy', 'love'];

export const textOf = (row: number) =>
  `row ${row} feels ${row * 7919} ways about it, and goes on about that for as long as texts of this kind usually do`;
const labelOf = (row: number) => LABELS[row % LABELS.length]!;

async function writeRows(path: string, rows: number): Promise<void> {
  if (path.endsWith('.parquet')) {
    const indices = Array.from({ length: rows }, (_, row) => row);
    parquetWrite({
      writer: fileWriter(path),
      columnData: [
        { name: 'text', data: indices.map(textOf), type: 'STRING' },
        { name: 'label', data: indices.map((row) => BigInt(row % LABELS.length)), type: 'INT64' },
      ],
      rowGroupSize: ROWS_A_GROUP,
    });
    return;
  }
  const file = createWriteStream(path);
  const sink = path.endsWith('.gz') ? createGzip({ level: 1 }) : file;
  if (sink !== file) sink.pipe(file);
  const isCsv = path.includes('.csv');
  if (isCsv) sink.write('text,label\n');
  for (let row = 0; row < rows; row++) {
    const line = isCsv
      ? `"${textOf(row)}",${labelOf(row)}\n`
      : `${JSON.stringify({ text: textOf(row), label: labelOf(row) })}\n`;
    if (!sink.write(line)) await once(sink, 'drain');
  }
  sink.end();
  await once(file, 'finish');
}

async function readRows(path: string): Promise<void> {
  // The code itself, warmed up on the package's own data, is not what is measured.
  await loadDataset(fileURLToPath(new URL('../../assets/data/goemotions6', import.meta.url)));
  const before = process.resourceUsage().maxRSS * 1024;
  const began = performance.now();
  const { train } = await loadDataset(path);
  const seconds = (performance.now() - began) / 1000;
  const grown = process.resourceUsage().maxRSS * 1024 - before;
  const bytes = train!.texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  console.log(
    JSON.stringify({ file: path.slice(dirname(path).length + 1), rows: train!.texts.length, seconds, bytes, grown }),
  );
}

const [mode, path, rows] = process.argv.slice(2);
if (mode === 'write') await writeRows(path!, Number(rows));
else if (mode === 'read') await readRows(path!);
