/** `it` of a test that measures time or memory: left out under sanitizers, which take more of both. */
export const itMeasured = process.env.BERTUNE_SANITIZER ? it.skip : it;
