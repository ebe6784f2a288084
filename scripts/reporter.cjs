// Mocha's spec reporter with the titles of failures and a closing line, each alone on its line: "failed: addon loads",
// "12 passed, 1 failed, 1 skipped". Where BERTUNE_TALLY names a file, the counts are added to it as well, for the sum over several
// runs.
const { appendFileSync } = require('node:fs');
const { Spec } = require('mocha').reporters;

/** The closing line of a run. */
class ClosingLine extends Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    for (const test of this.failures) console.log(`failed: ${test.fullTitle()}`);
    console.log(`${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`);
    const tally = process.env.BERTUNE_TALLY;
    if (tally) appendFileSync(tally, `${JSON.stringify({ passes, failures, pending })}\n`);
  }
}

module.exports = ClosingLine;
