// JSON, and nothing else.
import { isUtf8 } from 'node:buffer';

/** @param {import('fastify').FastifyInstance} app */
export function acceptJsonOnly(app) {
  // Refuses `__proto__` and `constructor.prototype`. Of a key that comes twice the last value counts.
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Fastify would put U+FFFD where bytes are wrong, and the model would read something else than was sent.
    if (isUtf8(body)) parse(request, body.toString(), done);
    else done(Object.assign(new Error('The body is not valid UTF-8'), { statusCode: 400 }));
  });
}
