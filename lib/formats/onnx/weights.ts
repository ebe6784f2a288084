import { TimeSlice } from '../../time-slice.js';

/*
 * Weights (rows, columns) as a graph holds them: transposed for MatMul, or in bytes with a scale per row, which is a word of
 * a table and an output of a Linear.
 */

/** A matrix, row-major. */
export interface Weights {
  values: Float32Array;
  rows: number;
  columns: number;
}

/** In bytes: W ≈ bytes · scale of the row. */
export interface Quantised {
  bytes: Int8Array;
  /** (rows) */
  scales: Float32Array;
}

/** W (rows, columns) as (columns, rows). The event loop runs meanwhile. */
export async function transposed({ values, rows, columns }: Weights): Promise<Float32Array> {
  const out = new Float32Array(values.length);
  await eachRow(rows, (row) => {
    for (let i = 0, from = row * columns; i < columns; i++) out[i * rows + row] = values[from + i]!;
  });
  return out;
}

/**
 * Each row in integers from −`most` to `most`, symmetric about 0 (arXiv:2004.09602, section 3.1.2), rounded to the nearest.
 * The event loop runs meanwhile.
 *
 * @param layout 'rows' as W is; 'columns' transposed
 */
export async function quantised(
  { values, rows, columns }: Weights,
  most: number,
  layout: 'rows' | 'columns',
): Promise<Quantised> {
  const bytes = new Int8Array(values.length);
  const scales = new Float32Array(rows);
  const [rowStride, stride] = layout === 'rows' ? [columns, 1] : [1, rows];
  await eachRow(rows, (row) => {
    const from = row * columns;
    let largest = 0;
    for (let i = 0; i < columns; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    // A row of zeros has any scale.
    const scale = Math.fround(largest / most) || 1;
    scales[row] = scale;
    for (let i = 0; i < columns; i++) bytes[row * rowStride + i * stride] = Math.round(values[from + i]! / scale);
  });
  return { bytes, scales };
}

async function eachRow(rows: number, work: (row: number) => void): Promise<void> {
  const slice = new TimeSlice();
  for (let row = 0; row < rows; row++) {
    work(row);
    if (slice.isOver) await slice.next();
  }
}
