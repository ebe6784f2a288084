// Uses an emulated GPU whose memory BERTUNE_EMULATED_MEMORY limits, and prints what happened as JSON.
// node memory-program.cjs '{"addon": path, "emulator": path, "small": config, "large": config, "dataset": ..., "tokens": n}'
const { addon: path, emulator, small, large, dataset, tokens } = JSON.parse(process.argv[2]);
const addon = require(path);
addon.addDevice(small.device, emulator);

const outcome = (promise) =>
  promise.then(
    () => ({ code: 'none' }),
    ({ code, message }) => ({ code, message }),
  );

async function main() {
  addon.setErrorFactory((code, message) => Object.assign(new Error(message), { code }));
  const session = await addon.createSession(small);
  const examples = Object.fromEntries(Object.entries(dataset).map(([name, values]) => [name, Int32Array.from(values)]));
  const handle = await session.addDataset(examples);
  const order = Int32Array.of(0, 1);
  const logits = async () => Array.from(await session.forward(handle, order, Int32Array.of(0, 2)));
  const before = await logits();
  const report = {
    session: await outcome(addon.createSession(large)),
    activations: await outcome(session.reserve({ tokens, sequences: 64, training: true })),
  };
  report.same = JSON.stringify(await logits()) === JSON.stringify(before);
  report.again = await outcome(addon.createSession(small).then((other) => other.dispose()));
  report.memory = session.memory();
  await session.dispose();
  console.log(JSON.stringify(report));
}

main();
