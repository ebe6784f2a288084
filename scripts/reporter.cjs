// Mocha's spec reporter with a closing line, alone on its line: "12 passed, 0 failed, 1 skipped".
const { Spec } = require('mocha').reporters;

/** The closing line of a run. */
class ClosingLine extends Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    console.log(`${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`);
  }
}

module.exports = ClosingLine;
