import { fuzz } from './fuzz.js';

describe('faults: bad files of the format delimited', () => {
  fuzz('delimited', 200);
});
