// Lets every n-th allocation of the addon fail during one call of the library, and prints what came of it as JSON.
// LD_PRELOAD=faults.node node --expose-gc --import tsx allocation-program.ts '{"faults": path, "folder": path, "call": "load", ...}'
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { BertuneError } from '../../lib/errors.js';
import { loadNative } from '../../lib/native/index.js';
import { type Call, makeCall } from './allocation-calls.js';
import { settleMemory } from './settle-memory.js';

/** native/faults.cpp */
interface Faults {
  watch(): number;
  arm(n: number, onwards?: number): void;
  disarm(): number;
  heldBlocks(): number;
  heldBytes(): number;
}

export interface AllocationInput {
  faults: string;
  folder: string;
  call: string;
  device: string;
  precision: string;
  /** Every n from `first` on in steps of `stride`. */
  first: number;
  stride: number;
  /** Whether all allocations after the n-th fail as well. */
  onwards: boolean;
}

export interface AllocationReport {
  /** Allocations of an undisturbed call. */
  allocations: number;
  /** How many n were tried, and how many of those calls did not fail. */
  tried: number;
  survived: number[];
  /** What was not as it should be. */
  wrong: string[];
  /** Blocks and bytes that the addon held in the end beyond those before. */
  leakedBlocks: number;
  leakedBytes: number;
}

const input = JSON.parse(process.argv[2]!) as AllocationInput;
const faults = createRequire(import.meta.url)(input.faults) as Faults;
const report: AllocationReport = { allocations: 0, tried: 0, survived: [], wrong: [], leakedBlocks: 0, leakedBytes: 0 };
const wrong = (n: number, what: string) => report.wrong.push(`n = ${n}: ${what}`);

process.on('unhandledRejection', (reason) => wrong(-1, `an unhandled rejection: ${reason}`));

/** What the last n was, for the one who finds the process ended by a signal. */
const say = (text: string) => writeSync(2, `${text}\n`);

const describe = (error: unknown) =>
  error instanceof BertuneError ? error.code : `not a BertuneError: ${error instanceof Error ? error.stack : error}`;

async function outcomeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'none';
  } catch (error) {
    return describe(error);
  }
}

/** One n. False once the call makes fewer allocations. */
async function tryOne(call: Call, n: number): Promise<boolean> {
  say(`n = ${n}`);
  await call.prepare();
  faults.arm(n, input.onwards ? 1 : 0);
  const outcome = await outcomeOf(call.run);
  const count = faults.disarm();
  if (outcome === 'none' && count < n) {
    await call.finish();
    return false;
  }
  report.tried += 1;
  if (outcome === 'none') report.survived.push(n);
  else if (outcome !== 'OUT_OF_MEMORY') wrong(n, outcome);
  try {
    for (const fault of await call.check()) wrong(n, fault);
  } catch (error) {
    wrong(n, `afterwards: ${error instanceof Error ? error.stack : error}`);
  }
  await call.finish();
  return true;
}

faults.arm(0);
loadNative();
faults.watch();
const call = await makeCall(input);
for (let round = 0; round < 3; round++) {
  await call.prepare();
  faults.arm(0);
  await call.run();
  report.allocations = faults.disarm();
  await call.finish();
}
await settleMemory();
const before = { blocks: faults.heldBlocks(), bytes: faults.heldBytes() };
for (let n = input.first; await tryOne(call, n); n += input.stride) {
  if (report.wrong.length > 20) break;
  if (report.tried % 100 === 0) await settleMemory();
}
await settleMemory();
report.leakedBlocks = faults.heldBlocks() - before.blocks;
report.leakedBytes = faults.heldBytes() - before.bytes;
await call.end();
console.log(JSON.stringify(report));
