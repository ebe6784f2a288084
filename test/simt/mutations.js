// What the mutation run (mutate.js) changes, which tests have to notice, and which changes change nothing.

/** Each makes one mutant of every place its pattern matches. */
export const OPERATORS = [
  // Order between threads.
  { name: 'drop __syncthreads', pattern: /__syncthreads\(\);/, replacement: ';' },
  { name: 'drop __syncwarp', pattern: /__syncwarp\(\);/, replacement: ';' },
  { name: 'drop __threadfence', pattern: /__threadfence\(\);/, replacement: ';' },
  { name: 'drop cp_async_wait', pattern: /simt::cp_async_wait<\d>\(\);/, replacement: ';' },
  { name: 'drop cp_async_commit', pattern: /simt::cp_async_commit\(\);/, replacement: ';' },
  { name: 'wait for one group fewer', pattern: /cp_async_wait<0>/, replacement: 'cp_async_wait<1>' },
  { name: 'next tile over this one', pattern: /\bstage \^ 1/, replacement: 'stage' },
  { name: 'stay at a stage', pattern: /\bstage \^= 1/, replacement: 'stage ^= 0' },
  // Collectives of a warp.
  { name: 'mask loses lane 31', pattern: /(?<=_sync\()(kAllLanes|0xffffffffu)/, replacement: '0x7fffffffu' },
  { name: 'offset of a shuffle', pattern: /(?<=__shfl_\w+sync\(.*, )(\d+|offset)(?=[,)])/, replacement: '2 * $1' },
  { name: 'reduce from half', pattern: /(?<=offset = )16\b/, replacement: '8' },
  { name: 'ldmatrix without trans', pattern: /_trans\(/, replacement: '(' },
  // Bounds and conditions.
  { name: '< to <=', pattern: / < (?!<)/, replacement: ' <= ' },
  { name: '<= to <', pattern: / <= /, replacement: ' < ' },
  { name: '>= to >', pattern: / >= /, replacement: ' > ' },
  { name: '> to >=', pattern: / > (?!0)/, replacement: ' >= ' },
  { name: '== to !=', pattern: / == /, replacement: ' != ' },
  { name: '!= to ==', pattern: / != /, replacement: ' == ' },
  { name: '&& to ||', pattern: / && /, replacement: ' || ' },
  { name: 'live rows to padded rows', pattern: /(?<=\brows|\bsequences|\btokens)\.count\(\)/, replacement: '.padded' },
  {
    name: 'accumulate inverted',
    pattern: /\b(?<!\/.*)(\w*\.?(?:accumulate|add)\b)(?= \?|\) \{| \|\||\) )/,
    replacement: '!$1',
  },
  // Arithmetic.
  { name: '+ to - in an index', pattern: /(?<=\[[^\]]*) \+ /, replacement: ' - ' },
  { name: '- to + in an index', pattern: /(?<=\[[^\]]*) - /, replacement: ' + ' },
  { name: '+ to -', pattern: /(?<!\[[^\]]*) \+ /, replacement: ' - ' },
  { name: '- to +', pattern: /(?<!\[[^\]]*) - /, replacement: ' + ' },
  {
    name: 'drop a factor',
    pattern: / \* (scale|rstd|factor|shrink|gamma|dropout\.scale|kLn2|kLog2e)\b(?![[(])/,
    replacement: '',
  },
  { name: '2 * to 1 *', pattern: /\b2 \* /, replacement: '1 * ' },
  { name: '* 2 to * 1', pattern: / \* 2\b/, replacement: ' * 1' },
  { name: 'narrower mask', pattern: / & (31|15|7|3)\b/, replacement: (_, mask) => ` & ${(Number(mask) - 1) / 2}` },
  { name: 'shift off by one', pattern: / >> (\d+)\b/, replacement: (_, shift) => ` >> ${Number(shift) - 1}` },
  { name: 'remainder off by one', pattern: / % (\d+)\b/, replacement: (_, divisor) => ` % ${Number(divisor) + 1}` },
  { name: 'max to min', pattern: /\bfmaxf\(/, replacement: 'fminf(' },
  { name: 'min to max', pattern: /\bfminf\(/, replacement: 'fmaxf(' },
  { name: 'integer min to max', pattern: /(?<![\w:])min\(/, replacement: 'max(' },
  { name: 'integer max to min', pattern: /(?<![\w:])max\(/, replacement: 'min(' },
  { name: 'drop eps', pattern: / \+ (\w+\.)?eps\b/, replacement: '' },
  { name: 'maximum starts at 0', pattern: /-INFINITY|\bkNoScore\b(?=[;,])/, replacement: '0.f' },
  // Values.
  { name: 'the other half of a word', pattern: /\bword << 16 : word\b/, replacement: 'word : word << 16' },
  { name: '+= to =', pattern: / \+= (?!\d|step|stride|blockDim|gridDim|k[A-Z])/, replacement: ' = ' },
  { name: '0.f to 1.f', pattern: /\b0\.f(?=[,;) }])/, replacement: '1.f' },
  {
    name: 'padding of a row in shared memory',
    pattern: /(k\w*(?:Pitch|Padding) = .*?) \+ (\d+)(?=;)/,
    replacement: '$1',
  },
  { name: 'ticket is not reset', pattern: /\*?ticket\w*(\[[^\]]*\])? = 0u?;/, replacement: ';' },
];

/** Lines that no mutant is made of: comments, directives, checks, launches' declarations and explicit instances. */
export const IGNORED_LINES = /^\s*(\/\/|#|\/\*|template |static_assert|using |namespace )|BERTUNE_CUDA|throw /;

const OPERATIONS = 'test/operations';

/** The tests that a file's mutants have to fail, for its name or (a header, a helper) by the operations that use it. */
export const TESTS = {
  activation: ['activation'],
  adamw: ['optimizer'],
  attention_backward: ['attention', 'padding'],
  attention_first: ['attention', 'padding'],
  attention_forward: ['attention', 'padding'],
  attention_tiles: ['attention', 'padding'],
  cast: ['cast'],
  column_sums: ['layernorm', 'linear', 'embedding', 'row-sums', 'padding'],
  cublaslt_problem: ['linear'],
  columns: ['rows', 'dropout', 'cast', 'embedding', 'layernorm', 'padding'],
  dropout: ['dropout', 'padding'],
  embedding: ['embedding', 'padding'],
  first_rows: ['rows', 'layernorm', 'padding'],
  functions: ['activation', 'linear', 'padding'],
  gather: ['gather', 'padding'],
  gemm: ['linear', 'lora'],
  gemm_cublaslt: ['linear', 'lora'],
  gemm_small: ['linear', 'lora', 'padding'],
  keep: ['keep'],
  kept: ['keep'],
  layernorm: ['layernorm', 'padding'],
  layernorm_row: ['layernorm', 'embedding', 'padding', 'normed-classifier'],
  linear: ['linear', 'padding'],
  lora: ['lora', 'padding'],
  lora_tiles: ['lora', 'mixed', 'padding'],
  loss: ['loss', 'target-loss', 'normed-classifier', 'padding'],
  master: ['optimizer', 'cast'],
  mixed: ['mixed'],
  mma: ['attention', 'lora', 'linear'],
  normed_classifier: ['normed-classifier'],
  normed_linear: ['normed-linear'],
  pick: ['lora', 'row-sums', 'normed-linear'],
  reduce: ['layernorm', 'loss', 'optimizer', 'linear'],
  rows: ['rows', 'padding'],
  scalar: ['cast', 'activation', 'layernorm', 'attention', 'linear', 'lora', 'rows', 'dropout'],
  segments: ['optimizer'],
  step_state: ['optimizer', 'dropout'],
  weights: ['optimizer', 'cast'],
};

/** The test files of a source's mutants. Where there is no entry no mutants are made: host code without arithmetic. */
export function testsOf(name) {
  return (TESTS[name] ?? []).map((test) => `${OPERATIONS}/${test}.test.ts`);
}

/**
 * Mutants that compute the same: file, the operator's name, a part of the line, and why.
 *
 * @type {{ file: string, operator: string, line: string, why: string }[]}
 */
export const EQUIVALENT = [
  {
    file: 'reduce.cuh',
    operator: 'drop __syncthreads',
    line: 'the previous call',
    why: 'guards against a second call with the same memory, which no kernel makes without a barrier of its own',
  },
];
