// Runs cells from the queue until SIGTERM: node worker.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { UnrecoverableError, Worker } from 'bullmq';
import { connect, NAME } from './queue.js';

/** The processes that are under way. */
const children = new Set();

/** Runs a cell in a process of its own. What was interrupted goes on from its checkpoint. */
async function run({ data: { folder, cell } }) {
  const child = spawn('npx', ['bertune', 'sweep', 'run', folder, '--cell', String(cell)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    // A group of its own: Ctrl-C is ours to pass on.
    detached: true,
  });
  children.add(child);
  const [status, signal] = await once(child, 'close').finally(() => children.delete(child));
  if (status === 0) return;
  // Its error is in the folder: another try would come to the same.
  if (status === 1 || status === 2) throw new UnrecoverableError(`cell ${cell} has failed: bertune sweep status`);
  throw new Error(`cell ${cell} was ended ${signal ? `by ${signal}` : `with status ${status}`}`);
}

const connection = connect();
const worker = new Worker(NAME, run, { connection, concurrency: Number(process.env.CONCURRENCY ?? 1) });
worker.on('completed', ({ name }) => console.log(`done: ${name}`));
worker.on('failed', (job, error) => console.log(`failed: ${job?.name}: ${error.message}`));
worker.on('error', (error) => console.error(error.message));

for (const name of ['SIGINT', 'SIGTERM']) {
  process.once(name, async () => {
    // No more jobs; those under way leave a checkpoint and go back to the queue.
    const closed = worker.close();
    for (const { pid } of children) process.kill(-pid, 'SIGTERM');
    await closed;
    await connection.quit();
  });
}
