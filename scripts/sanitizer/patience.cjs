// For mocha --require: gives every test ten minutes, whatever its suite says, because sanitizers are slow.
const MILLISECONDS = 600_000;

exports.mochaHooks = {
  beforeEach() {
    this.currentTest.timeout(MILLISECONDS);
  },
};
