// For mocha --require: its --timeout holds for every test, whatever the suite says, because sanitizers and qemu are slow.
exports.mochaHooks = {
  beforeEach() {
    this.currentTest.timeout(this.test.parent.timeout());
  },
};
