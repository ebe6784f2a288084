// The oneDNN that is linked into the published addon: only products and reorders, for every instruction set, without threads of
// its own. It is built once, from a distribution's sources, and kept in build/onednn.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { step } from '../build.js';
import { generator, jobs } from '../cmake.js';
import { root, SetupError, say } from '../console.js';
import { fingerprint } from '../files.js';
import { capture, onPath } from '../process.js';

const VERSION = '3.7.2';
const ARCHIVE = 'onednn_3.7.2+ds.orig.tar.xz';
const ADDRESS = `https://deb.debian.org/debian/pool/main/o/onednn/${ARCHIVE}`;
const SHA256 = '0cc51ca26c1af6a2bb1e71e378e7046f3ceb3e71791ee9d4e246d50f904a6ea6';
const FETCH_TIMEOUT_MS = 300_000;

const DEFINITIONS = [
  'CMAKE_BUILD_TYPE=Release',
  // oneDNN generates the code for products; compiling the rest with -O3 takes three times as long.
  'CMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG',
  'DNNL_LIBRARY_TYPE=STATIC',
  'DNNL_CPU_RUNTIME=SEQ',
  'DNNL_ENABLE_PRIMITIVE=MATMUL;REORDER',
  'DNNL_ENABLE_WORKLOAD=INFERENCE',
  // dnnl_sgemm and older products, more than a hundred files: native/cpu/gemm.cpp does without them.
  'ONEDNN_ENABLE_GEMM_KERNELS_ISA=NONE',
  'ONEDNN_BUILD_GRAPH=OFF',
  'DNNL_BUILD_DOC=OFF',
  'DNNL_BUILD_EXAMPLES=OFF',
  'DNNL_BUILD_TESTS=OFF',
  'DNNL_ENABLE_ITT_TASKS=OFF',
  'DNNL_ENABLE_JIT_PROFILING=OFF',
];

/**
 * Parts of the names of sources below src/cpu that contain other primitives. DNNL_ENABLE_PRIMITIVE would keep those out of the
 * addon too, but compiles them all, which takes three times as long.
 */
const OTHER_PRIMITIVES =
  'bnorm brgemm_inner_product conv_ _conv. convolution deconv dw_ gates gru inner_product. inner_product_int8 jit_uni_binary. ' +
  'jit_uni_binary_kernel jit_uni_eltwise. jit_uni_eltwise_int lnorm lrn lstm normalization pool prelu reduction resampling rnn sdpa ' +
  'shuffle simple_concat simple_sum softmax';

const CACHE = path.join(root, 'build/onednn');

/** The folder that oneDNN is installed into, named after sources, settings and compiler. */
function installFolder() {
  const { CC = '', CXX = '', CFLAGS = '', CXXFLAGS = '' } = process.env;
  const key = fingerprint([], SHA256, ...DEFINITIONS, OTHER_PRIMITIVES, CC, CXX, CFLAGS, CXXFLAGS);
  return path.join(CACHE, `${VERSION}-${key.slice(0, 12)}`);
}

/** @returns {string | undefined} the folder of oneDNN, if it was built before */
export function builtOneDnn() {
  return existsSync(installFolder()) ? installFolder() : undefined;
}

/**
 * Builds oneDNN, which takes some minutes, unless it was built before.
 *
 * @param {string} [source] the archive of its sources; fetched by default
 * @returns {Promise<string>} the folder that it is installed into: include, lib/libdnnl.a, licenses in share/doc/dnnl
 */
export async function buildOneDnn(source) {
  const installed = installFolder();
  if (existsSync(installed)) return installed;
  mkdirSync(CACHE, { recursive: true });
  const archive = await findArchive(source);
  const work = path.join(CACHE, 'work');
  rmSync(work, { recursive: true, force: true }); // left by an interrupted build
  mkdirSync(work);
  try {
    const sources = await unpack(archive, work);
    const [build, prefix] = [path.join(work, 'build'), path.join(work, 'installed')];
    const definitions = [
      ...DEFINITIONS,
      `CMAKE_INSTALL_PREFIX=${prefix}`,
      'CMAKE_INSTALL_LIBDIR=lib',
      `CMAKE_CXX_FLAGS=${process.env.CXXFLAGS ?? ''} -ffile-prefix-map=${sources}/=`,
    ];
    const commands = [
      ['-S', sources, '-B', build, '-G', generator(), '--log-level=NOTICE', ...definitions.map((each) => `-D${each}`)],
      ['--build', build, '--parallel', String(jobs)],
      ['--install', build],
    ];
    await step(`building oneDNN ${VERSION} (some minutes, once)`, 'cmake', commands, false);
    renameSync(prefix, installed);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return installed;
}

/**
 * The archive of the sources, checked by its SHA-256.
 *
 * @param {string} [source] the archive's file; fetched by default
 * @param {string} [folder] where to keep what is fetched
 */
export async function findArchive(source, folder = CACHE) {
  return source ? checkedArchive(path.resolve(source)) : fetchedArchive(path.join(folder, ARCHIVE));
}

/** The archive, if its SHA-256 is right. */
function checkedArchive(file) {
  const remedy = `Fetch ${ADDRESS} and name the file: npm run package -- --onednn-source FILE`;
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) throw new SetupError(`There is no file ${file}. ${remedy}`);
  const found = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (found !== SHA256) {
    throw new SetupError(`Expected ${file} to have the SHA-256 ${SHA256} but found ${found}. ${remedy}`);
  }
  return file;
}

async function fetchedArchive(file) {
  if (existsSync(file)) return checkedArchive(file);
  say(`fetching ${ADDRESS}`);
  const part = `${file}.part`;
  try {
    const response = await fetch(ADDRESS, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    writeFileSync(part, Buffer.from(await response.arrayBuffer()));
  } catch (error) {
    const reason = error.cause?.message ?? error.message;
    throw new SetupError(
      `The sources of oneDNN could not be fetched from ${ADDRESS}: ${reason}. Fetch ${ARCHIVE} by other means, e.g. from ` +
        'snapshot.debian.org, and name the file: npm run package -- --onednn-source FILE.',
    );
  }
  checkedArchive(part);
  renameSync(part, file);
  return file;
}

/** Unpacks the sources except those of other primitives. @returns their folder */
async function unpack(archive, folder) {
  for (const program of ['tar', 'xz']) {
    if (!onPath(program)) throw new SetupError(`${program} is needed to unpack the sources of oneDNN`);
  }
  const { status, text } = await capture('tar', ['--extract', '--xz', '--file', archive, '--directory', folder]);
  if (status !== 0) throw new SetupError(`tar could not unpack ${archive}: ${text}`);
  const sources = path.join(folder, `oneDNN-${VERSION}`);
  const cpu = path.join(sources, 'src/cpu');
  const parts = OTHER_PRIMITIVES.split(' ');
  for (const file of readdirSync(cpu, { recursive: true })) {
    // The lists of primitives, cpu_*.cpp, are needed; they end up empty.
    const isOther = file.endsWith('.cpp') && !file.startsWith('cpu_') && parts.some((part) => file.includes(part));
    if (isOther) rmSync(path.join(cpu, file));
  }
  return sources;
}
