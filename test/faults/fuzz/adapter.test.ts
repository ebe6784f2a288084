import { fuzz } from './fuzz.js';

describe('faults: bad files of the format adapter', () => {
  fuzz('adapter', 200);
});
