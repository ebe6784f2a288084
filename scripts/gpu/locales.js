// Node.js without other people's languages, for where each byte of it has to be carried: a third of its program is ICU's data.

/** Of ICU's data: what no English program reads. Programs that ask for it end without a word. */
const LEFT_OUT = [
  /\.dict$/,
  /\/(lang|curr|unit|region|zone|translit|rbnf)\//,
  /\/coll\/(?!root|en|ucadata|res_index|pool)/,
  /\/(?!en|root)[a-z]{2,3}(_\w+)?\.res$/,
];
const KEPT = /\/(pool|root|en|res_index)\.res$/;

/** Where ICU's data begins: a header whose third and fourth byte are da 27, and whose format is CmnD (ICU, ucmndata.h). */
function findData(program) {
  for (let at = program.indexOf('da27', 0, 'hex'); at >= 0; at = program.indexOf('da27', at + 1, 'hex')) {
    if (program.toString('latin1', at + 10, at + 14) === 'CmnD') return at - 2;
  }
  return -1;
}

/**
 * Zeroes the languages in a program that holds ICU's data, so that it packs well; it runs as before, in English (LC_ALL=C).
 *
 * @param {Buffer} program changed in place
 * @returns {number} bytes that were zeroed; 0 where there is no such data
 */
export function zeroLocales(program) {
  const data = findData(program);
  if (data < 0) return 0;
  // Behind the header: the number of items, then the places of each one's name and bytes, from here.
  const table = data + program.readUInt16LE(data);
  const place = (i, field) => table + program.readUInt32LE(table + 4 + 8 * i + 4 * field);
  let zeroed = 0;
  for (let i = 0; i + 1 < program.readUInt32LE(table); i++) {
    const name = program.toString('latin1', place(i, 0), program.indexOf(0, place(i, 0)));
    if (KEPT.test(name) || !LEFT_OUT.some((pattern) => pattern.test(name))) continue;
    program.fill(0, place(i, 1), place(i + 1, 1));
    zeroed += place(i + 1, 1) - place(i, 1);
  }
  return zeroed;
}
