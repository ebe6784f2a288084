import { fuzz } from './fuzz.js';

describe('faults: bad files of the format json-array', () => {
  fuzz('json-array', 200);
});
