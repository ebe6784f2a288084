// Starts processes with the variables that torchrun sets, on a free port of this machine, and ends the rest soon after one has failed.
//
//   node test/distributed/torchrun.mjs N PROGRAM [ARGUMENT...]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** In which the others may say what they have found. */
const GRACE_MILLISECONDS = 3000;

const [, , count, program, ...args] = process.argv;

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
await new Promise((resolve) => server.close(resolve));

const children = Array.from({ length: Number(count) }, (_, rank) => {
  const place = { RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: count, LOCAL_WORLD_SIZE: count };
  const env = { ...process.env, ...place, MASTER_ADDR: '127.0.0.1', MASTER_PORT: port };
  return spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
});
const ends = children.map(async (child) => {
  const [code] = await once(child, 'exit');
  if (code === 0) return;
  process.exitCode = 1;
  setTimeout(() => {
    for (const other of children) other.kill('SIGKILL');
  }, GRACE_MILLISECONDS).unref();
});
const alive = setInterval(() => {}, 1000);
await Promise.all(ends);
clearInterval(alive);
