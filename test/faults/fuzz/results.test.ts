import { fuzz } from './fuzz.js';

describe('faults: bad files of the format results', () => {
  fuzz('results', 200);
});
