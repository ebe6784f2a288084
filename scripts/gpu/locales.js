// Strips languages other than English from Node.js, for when every byte has to be carried: a third of its executable is ICU's data.

/** The parts of ICU's data that no English program reads. A program that asks for one ends without a message. */
const LEFT_OUT = [
  /\.dict$/,
  /\/(lang|curr|unit|region|zone|translit|rbnf)\//,
  /\/coll\/(?!root|en|ucadata|res_index|pool)/,
  /\/(?!en|root)[a-z]{2,3}(_\w+)?\.res$/,
];
const KEPT = /\/(pool|root|en|res_index)\.res$/;

/** Where ICU's data begins: a header whose third and fourth bytes are da 27 and whose format is CmnD (ICU, ucmndata.h). */
function findData(program) {
  for (let at = program.indexOf('da27', 0, 'hex'); at >= 0; at = program.indexOf('da27', at + 1, 'hex')) {
    if (program.toString('latin1', at + 10, at + 14) === 'CmnD') return at - 2;
  }
  return -1;
}

/**
 * Zeroes the languages in an executable that contains ICU's data, so that it packs well; it still runs, in English (LC_ALL=C).
 *
 * @param {Buffer} program changed in place
 * @returns {number} how many bytes were zeroed; 0 if there is no such data
 */
export function zeroLocales(program) {
  const data = findData(program);
  if (data < 0) return 0;
  // After the header: the number of items, then for each the offsets of its name and bytes, counted from here.
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
