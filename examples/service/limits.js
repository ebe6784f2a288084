// What a client may ask for and how long it may take, each with its reason. Milliseconds, bytes.

/** @typedef {typeof DEFAULT_LIMITS} Limits */

export const DEFAULT_LIMITS = {
  /** Of a request's body: parsing it holds up all others, and the longest texts in the number allowed are not sent in earnest. */
  bodyBytes: 1 << 20,
  /** A request: more are sent in several, so that an answer stays small and comes soon. */
  texts: 256,
  /** A text: the model reads its first 512 tokens, some 2,500 characters, whatever follows. */
  characters: 10_000,
  /** Of a prediction: nobody waits longer, so that computing it would be for nothing. */
  timeout: 10_000,
  /** Until a request's headers are there: they are one packet; who sends them byte by byte only holds the connection. */
  headersTimeout: 5_000,
  /** Until a request is there, body included: 1 MiB in 10 s is a slow mobile phone. */
  requestTimeout: 10_000,
  /** A connection without a request. Longer than a load balancer keeps it (60 s), so that the balancer closes first. */
  keepAliveTimeout: 65_000,
  /** A connection on which nothing moves although there is a request or an answer: longer than a prediction may take. */
  idleTimeout: 15_000,
  /** At once, each some 20 KiB; what comes beyond is closed, so that neither memory nor file descriptors run out. */
  connections: 2_048,
  /** Of a request, together: no client of this service needs more than a few hundred. */
  headerBytes: 8_192,
  /** A path's parameter: no route has one. */
  paramCharacters: 16,
};

/** How often Node looks for requests that are late; its own default, 30 s, is longer than the limits. */
const CHECK_INTERVAL = 1_000;

/** The limits as Fastify and Node know them. @param {Limits} limits */
export function serverOptions(limits) {
  return {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    connectionTimeout: limits.idleTimeout,
    routerOptions: { maxParamLength: limits.paramCharacters },
    http: {
      headersTimeout: limits.headersTimeout,
      // Fastify sets it as well, but only after Node has compared the two.
      requestTimeout: limits.requestTimeout,
      connectionsCheckingInterval: CHECK_INTERVAL,
      maxHeaderSize: limits.headerBytes,
      // Refused by `expectSound`, with a code: Node would answer with the status alone.
      requireHostHeader: false,
    },
  };
}

/** What a request to /predict looks like. @param {Limits} limits */
export function bodySchema({ texts, characters }) {
  const text = { type: 'string', maxLength: characters };
  const adapter = { type: ['string', 'null'], maxLength: 200 };
  return {
    type: 'object',
    properties: {
      text,
      texts: { type: 'array', items: text, minItems: 1, maxItems: texts },
      // One for all texts, or one a text; null is the model itself.
      adapter: { anyOf: [adapter, { type: 'array', items: adapter, maxItems: texts }] },
    },
    oneOf: [{ required: ['text'] }, { required: ['texts'] }],
    additionalProperties: false,
  };
}
