import { Leases } from '../../lib/files/lease.js';

/*
 * A worker that takes every lease of a list that it can, and says which; then holds the last until it is killed, where it is
 * told to.
 */
const [directory, names, end] = process.argv.slice(2) as [string, string, string];
const leases = new Leases(directory, 60);
const taken: string[] = [];
for (const name of names.split(',')) {
  const lease = await leases.take(name, (await leases.list()).get(name) ?? 0);
  if (lease !== null) taken.push(name);
}
process.stdout.write(`${JSON.stringify(taken)}\n`);
if (end === 'hold') setInterval(() => {}, 1000);
else process.exit();
