/** Token ids of several texts, packed end to end. */
export interface EncodedTexts {
  /** The ids of all texts, one after the other (T). */
  ids: Int32Array;
  /** Where each text starts in `ids` (N+1): text i is `ids[offsets[i]]` up to `ids[offsets[i + 1]]`. */
  offsets: Int32Array;
  /** Segment of each token (T). Absent where all are 0, which is so for single texts under BERT's template. */
  typeIds?: Int32Array;
  /** How many texts were longer than allowed and were cut. */
  truncated: number;
}
