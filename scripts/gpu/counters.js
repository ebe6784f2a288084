// Summarizes what Nsight Compute counted (--csv --page raw): one line per kernel, the slowest first.
//   node scripts/gpu/counters.js FILE
import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { digits } from '../../bench/support/print.js';
import { sum } from '../../bench/support/statistics.js';

const METRICS = {
  time: 'gpu__time_duration.sum',
  bytes: 'dram__bytes.sum',
  warps: 'sm__warps_active.avg.pct_of_peak_sustained_active',
};
/** To nanoseconds and bytes. */
const UNITS = {
  nsecond: 1,
  ns: 1,
  usecond: 1e3,
  us: 1e3,
  msecond: 1e6,
  ms: 1e6,
  byte: 1,
  Kbyte: 1e3,
  Mbyte: 1e6,
  Gbyte: 1e9,
  '%': 1,
};

/** A kernel's name without namespaces, arguments and template arguments. */
function plainName(name) {
  const named = name.replace(/(\(anonymous namespace\)|<unnamed>)::/g, '');
  return named.replace(/[<(].*$/s, '').replace(/^.*(::| )/, '');
}

/** The kernels: name, time in ns, bytes, percentage of warps that are active. */
function readKernels(file) {
  const text = readFileSync(file, 'utf8');
  const table = text.slice(Math.max(0, text.search(/^"ID",/m)));
  const [units, ...rows] = parse(table, { columns: true, relax_column_count: true });
  const scale = (name) => {
    const unit = UNITS[units[name]];
    if (unit === undefined) throw new Error(`Expected ${name} in a known unit but found ${units[name]}`);
    return unit;
  };
  const scales = Object.fromEntries(Object.entries(METRICS).map(([key, name]) => [key, scale(name)]));
  return rows.map((row) => ({
    name: plainName(row['Kernel Name']),
    ...Object.fromEntries(
      Object.entries(METRICS).map(([key, name]) => [key, Number(row[name].replaceAll(',', '')) * scales[key]]),
    ),
  }));
}

const kernels = readKernels(process.argv[2]);
const names = [...new Set(kernels.map(({ name }) => name))];
const groups = names.map((name) => {
  const own = kernels.filter((kernel) => kernel.name === name);
  const total = (key) => sum(own.map((kernel) => kernel[key]));
  return { name, count: own.length, time: total('time'), bytes: total('bytes'), warps: total('warps') / own.length };
});
const say = ({ name, count, time, bytes, warps }) =>
  `${name} ${count}×: ${digits(time / 1e3)} µs, ${digits(bytes / 1e6)} MB, warps ${digits(warps)} %`;
const total = (key) => sum(kernels.map((kernel) => kernel[key]));
const all = { time: total('time'), bytes: total('bytes'), warps: total('warps') / kernels.length };
console.log(say({ name: 'all', count: kernels.length, ...all }));
for (const group of groups.sort((a, b) => b.time - a.time)) console.log(say(group));
