import { fuzz } from './fuzz.js';

describe('faults: bad files of the format training', () => {
  fuzz('training', 200);
});
