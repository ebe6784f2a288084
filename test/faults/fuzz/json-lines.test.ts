import { fuzz } from './fuzz.js';

describe('faults: bad files of the format json-lines', () => {
  fuzz('json-lines', 200);
});
