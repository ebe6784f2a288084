import { fuzz } from './fuzz.js';

describe('faults: bad files of the format gzip', () => {
  fuzz('gzip', 200);
});
