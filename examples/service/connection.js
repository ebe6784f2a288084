// What becomes of a connection: whose requests end with it, and what is answered to what is no HTTP.
import { setMaxListeners } from 'node:events';
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
  const { status, phrase, code, message } = describeConnectionFailure(error);
  const body = JSON.stringify({ error: { code, message } });
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  // Destroyed once it is written: a client that goes on sending is not listened to.
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\n${headers}\r\n\r\n${body}`, () => socket.destroy());
}
