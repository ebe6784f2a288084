// A job for each cell of a sweep: node enqueue.js FOLDER
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Queue } from 'bullmq';
import { connect, NAME } from './queue.js';

const folder = resolve(process.argv[2] ?? '.');
const { cells } = JSON.parse(await readFile(join(folder, 'sweep.json'), 'utf8'));

const connection = connect();
const queue = new Queue(NAME, { connection });
await queue.addBulk(
  cells.map(({ id, title }, index) => ({
    name: title,
    data: { folder, cell: index + 1 },
    // The name of a cell is that of its job: adding it twice adds it once.
    opts: { jobId: `cell-${id}`, attempts: 10, backoff: { type: 'exponential', delay: 1000 } },
  })),
);
console.log(`${cells.length} cells of ${folder} are in the queue`);
await queue.close();
await connection.quit();
