import { Redis } from 'ioredis';

/** The queue that both sides use. */
export const NAME = 'sweep';

/** A connection to Redis, which workers wait for as long as it is away. */
export function connect() {
  return new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { maxRetriesPerRequest: null });
}
