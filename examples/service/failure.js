// Errors → HTTP.
import { STATUS_CODES } from 'node:http';
import { BertuneError } from 'bertune';

/** Nobody reads it: the client closed the connection. */
const CLIENT_CLOSED_REQUEST = 499;

const STATUS = {
  INVALID_OPTION: 400,
  INVALID_DATA: 400,
  ABORTED: CLIENT_CLOSED_REQUEST,
  TIMED_OUT: 504,
  QUEUE_FULL: 503,
  DISPOSED: 503,
};

/** Status, code and message of an error, and seconds to wait before another try. */
export function describeFailure(error) {
  if (error instanceof BertuneError || error instanceof Refusal) {
    const status = error.status ?? STATUS[error.code] ?? 500;
    const retryAfter =
      error.retryAfter !== undefined ? Math.max(1, Math.ceil(error.retryAfter / 1000)) : status === 503 ? 1 : undefined;
    return { status, code: error.code, message: error.message, retryAfter };
  }
  // Fastify's own: a body that is too large, is no JSON or does not fit the schema.
  if (error.statusCode >= 400 && error.statusCode < 500) {
    return { status: error.statusCode, code: 'INVALID_REQUEST', message: error.message };
  }
  return { status: 500, code: 'INTERNAL', message: 'The service failed; its log says more' };
}

/** The same for what never became a request: it came too slowly, or is no HTTP. */
export function describeConnectionFailure(error) {
  const describe = (status, code, message) => ({ status, phrase: STATUS_CODES[status], code, message });
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return describe(408, 'TIMED_OUT', 'The request did not come in time');
  if (error.code === 'HPE_HEADER_OVERFLOW') return describe(431, 'INVALID_REQUEST', 'The headers are too large');
  return describe(400, 'INVALID_REQUEST', 'Expected a request in HTTP/1.1');
}

/** What the service itself refuses. */
export class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
