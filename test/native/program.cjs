// What workers and child processes of the lifetime tests do: plain JavaScript, so that they start fast.
// Argument (workerData, or JSON): { addon, config, dataset, plan, task, ... }, arrays as plain numbers.
const { setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, workerData } = require('node:worker_threads');

const input = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const addon = require(input.addon);
addon.setErrorFactory((code, message) => Object.assign(new Error(message), { code }));

const say = (message) => (parentPort ? parentPort.postMessage(message) : process.stdout.write(`${message}\n`));
const data = () => ({
  ids: Int32Array.from(input.dataset.ids),
  offsets: Int32Array.from(input.dataset.offsets),
  labels: Int32Array.from(input.dataset.labels),
});

async function open() {
  const session = await addon.createSession(input.config);
  for (const { name } of session.parameters())
    await session.initialize(name, { distribution: 'normal', scale: 0.2, seed: 1 });
  return { session, handle: await session.addDataset(data()) };
}

function plan(handle, steps) {
  const order = Int32Array.from(
    { length: input.plan.order.length * steps },
    (_, i) => input.plan.order[i % input.plan.order.length],
  );
  return {
    ...input.plan,
    dataset: handle,
    order,
    learningRates: new Float64Array(steps).fill(1e-3),
    classWeights: undefined,
  };
}

const tasks = {
  // Keeps jobs of every kind under way.
  async work() {
    const { session, handle } = await open();
    say('begun');
    for (;;) {
      const other = addon.createSession(input.config);
      await Promise.all([
        session.train(plan(handle, 40)),
        session.forward(handle, Int32Array.from(input.plan.order), Int32Array.of(0, input.plan.order.length)),
        session.read('bert.embeddings.word_embeddings.weight', 'value'),
        session.addDataset(data()).then((added) => session.removeDataset(added)),
        other.then((found) => found.dispose()),
      ]);
    }
  },
  // Leaves in the middle of a long training run.
  async exit() {
    const { session, handle } = await open();
    session.train(plan(handle, 200000));
    await sleep(30);
    process.exit(input.code);
  },
  // Drops sessions, some of them with work under way, and lets the collector have them.
  async drop() {
    const collected = new Set();
    const registry = new FinalizationRegistry((index) => collected.add(index));
    const make = async (index) => {
      const { session, handle } = await open();
      registry.register(session, index);
      if (index % 2) session.train(plan(handle, 5));
    };
    for (let index = 0; index < input.count; index++) await make(index);
    for (let round = 0; round < 100 && collected.size < input.count; round++) {
      globalThis.gc();
      await sleep(10);
    }
    say(JSON.stringify({ collected: collected.size, external: process.memoryUsage().external }));
  },
  // Creates, trains and disposes, over and over.
  async cycle() {
    const round = async () => {
      const { session, handle } = await open();
      await session.train(plan(handle, 2));
      await session.dispose();
    };
    const resident = async () => {
      globalThis.gc();
      await sleep(20);
      return process.memoryUsage().rss;
    };
    const threads = () => require('node:fs').readdirSync('/proc/self/task').length;
    for (let index = 0; index < 10; index++) await round();
    const before = { resident: await resident(), threads: threads() };
    for (let index = 0; index < input.count; index++) await round();
    say(JSON.stringify({ grown: (await resident()) - before.resident, threads: threads() - before.threads }));
  },
  // Trains and says the losses and a parameter, to the bit.
  async train() {
    const { session, handle } = await open();
    const { losses } = await session.train(plan(handle, 5));
    const values = await session.read('classifier.weight', 'value');
    await session.dispose();
    say(JSON.stringify([...losses, ...values]));
  },
};

tasks[input.task]().catch((error) => {
  say(`failed: ${error.stack}`);
  process.exitCode = 70;
});
