// A classifier over HTTP with Express. ../service is the complete version.
//
//   node express.js model 8080
//   curl localhost:8080/predict --header 'content-type: application/json' --data '{"text": "i am so happy today"}'
import { BertuneError, PredictionService, TextClassifier } from 'bertune';
import express from 'express';

const [directory, port = '8080'] = process.argv.slice(2);
const model = await TextClassifier.load(directory);
const service = new PredictionService(model, { maxQueueTime: 250 });

const app = express();
app.use(express.json({ limit: '1mb' }));
app.post('/predict', async ({ body }, response) => {
  if (typeof body?.text !== 'string') return response.status(400).json({ error: 'Expected { "text": "..." }' });
  response.json(await service.predict(body.text, { timeout: 5000 }));
});
app.use((error, _request, response, next) => {
  if (!(error instanceof BertuneError)) return next(error);
  if (error.code === 'QUEUE_FULL') response.set('retry-after', String(Math.ceil(error.retryAfter / 1000)));
  const status = { QUEUE_FULL: 503, DISPOSED: 503, TIMED_OUT: 504 }[error.code] ?? 500;
  response.status(status).json({ error: error.message, code: error.code });
});

const server = app.listen(Number(port), () => console.log(`listening on ${server.address().port}`));
process.once('SIGTERM', () => {
  server.close(async () => {
    await service.dispose();
    await model.dispose();
  });
});
