import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { addAbortSignal } from 'node:stream';

/** Packed although nobody asked for that. */
const COMPRESSED = /\b(gzip|deflate|compress|br|zstd)\b/i;

/** An answer that would have to be unpacked. */
export class CompressedAnswer extends Error {}

/**
 * Asks for what is at an address. Node's fetch is not used: it unpacks answers whether they are wanted packed or not, and
 * an error on the way of its body may reach nobody but the process.
 *
 * @param signal ends the question and the answer
 * @returns the answer as its headers come; its body is read, or destroyed, by the caller
 * @throws CompressedAnswer; what the network says
 */
export async function ask(
  target: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = target.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(target, { headers: { ...headers, 'accept-encoding': 'identity' }, signal });
    request.once('response', (response) => {
      // What goes wrong later is told to whoever reads the body.
      response.on('error', () => {});
      resolve(addAbortSignal(signal, response));
    });
    request.on('error', reject);
    // An answer that changes the protocol is neither a response nor an error.
    request.once('close', () => reject(new Error('the connection was closed before an answer came')));
    request.end();
  });
  const encoding = answer.headers['content-encoding'] ?? '';
  if (!COMPRESSED.test(encoding)) return answer;
  answer.destroy();
  throw new CompressedAnswer(`an answer compressed as ${encoding.slice(0, 100)}, which nobody asked for`);
}
