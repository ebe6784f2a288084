// Loaded before the example (node --expose-gc --import): answers each message of its parent with what the process holds once
// its garbage is collected. The example itself has no such door.
process.on('message', () => {
  // The second time for what finalizers of the first let go.
  global.gc();
  setImmediate(() => {
    global.gc();
    process.send(process.memoryUsage());
  });
});
process.channel.unref();
