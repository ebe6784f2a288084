// Mocha's spec reporter with the titles of failures and a closing line, each alone on its line: "failed: addon loads",
// "12 passed, 1 failed, 1 skipped". Where BERTUNE_TALLY names a file, counts and failures are added to it as well, to be told
// together after several runs.
const { appendFileSync } = require('node:fs');
const { Spec } = require('mocha').reporters;

/** The closing line of a run. */
class ClosingLine extends Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    const failed = this.failures.map((test) => ({
      title: test.fullTitle(),
      reason: String(test.err?.message).slice(0, 1000),
    }));
    for (const { title } of failed) console.log(`failed: ${title}`);
    console.log(`${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`);
    const tally = process.env.BERTUNE_TALLY;
    if (tally) appendFileSync(tally, `${JSON.stringify({ passes, failures, pending, failed })}\n`);
  }
}

module.exports = ClosingLine;
