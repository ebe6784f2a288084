// For mocha --require: every test has ten minutes, whatever its suite says, as sanitizers make all slow.
const MILLISECONDS = 600_000;

exports.mochaHooks = {
  beforeEach() {
    this.currentTest.timeout(MILLISECONDS);
  },
};
