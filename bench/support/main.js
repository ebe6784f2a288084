/** Runs a program. What it throws on purpose becomes a line on standard error, anything else shows its stack. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    const isPlain = error.constructor === Error || error.code !== undefined;
    process.stderr.write(`error${error.code ? ` [${error.code}]` : ''}: ${isPlain ? error.message : error.stack}\n`);
    process.exitCode = 1;
  }
}
