// What becomes of a connection: whose requests end with it, and what is answered to what is no request for a route.
import { setMaxListeners } from 'node:events';
import { STATUS_CODES } from 'node:http';
import { describeConnectionFailure } from './failure.js';

/** @type {WeakMap<import('node:net').Socket, AbortSignal>} */
const signals = new WeakMap();

/**
 * Aborted when the connection closes. One for all its requests: where several are sent ahead (pipelined), Node tells only
 * the first of them that the connection is gone.
 *
 * @param {import('node:net').Socket} socket
 */
export function signalOf(socket) {
  const known = signals.get(socket);
  if (known) return known;
  const controller = new AbortController();
  // As many as requests are sent ahead; each goes when its request is answered.
  setMaxListeners(0, controller.signal);
  const gone = () => controller.abort(new Error('The client closed the connection'));
  if (socket.destroyed) gone();
  else socket.once('close', gone);
  signals.set(socket, controller.signal);
  return controller.signal;
}

/** Answers what Node could not read, or waited for too long, and closes. For Fastify's `clientErrorHandler`. */
export function refuseConnection(error, socket) {
  if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
  answerAndClose(socket, describeConnectionFailure(error));
}

/**
 * Has Node hand over what it would answer without a code, or not at all.
 *
 * @param {import('node:http').Server} server
 */
export function answerEverything(server) {
  // `expectSound` refuses it.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', (_, socket) => {
    socket.on('error', () => {});
    const message = 'Expected another method than CONNECT: this is no proxy';
    answerAndClose(socket, { status: 405, phrase: STATUS_CODES[405], code: 'INVALID_REQUEST', message });
  });
}

/** @param {import('fastify').FastifyRequest} request @throws what HTTP/1.1 asks a server to refuse, with `statusCode` */
export function expectSound({ raw }) {
  const { headers, rawHeaders, httpVersion } = raw;
  const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) throw refusal(400, 'Expected one Host header');
  const { expect = '100-continue', 'content-encoding': content = 'identity' } = headers;
  const { 'transfer-encoding': transfer = 'chunked' } = headers;
  if (expect.toLowerCase() !== '100-continue') throw refusal(417, 'Expected no other Expect header than 100-continue');
  if (content.toLowerCase() !== 'identity') throw refusal(415, 'Expected a body that is not compressed');
  if (transfer.toLowerCase() !== 'chunked') throw refusal(400, 'Expected no other Transfer-Encoding than chunked');
}

function refusal(statusCode, message) {
  return Object.assign(new Error(message), { statusCode });
}

function answerAndClose(socket, { status, phrase, code, message }) {
  const body = JSON.stringify({ error: { code, message } });
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  // Destroyed once it is written: a client that goes on sending is not listened to.
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\n${headers}\r\n\r\n${body}`, () => socket.destroy());
}
