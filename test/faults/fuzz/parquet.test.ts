import { fuzz } from './fuzz.js';

describe('faults: bad files of the format parquet', () => {
  fuzz('parquet', 200);
});
