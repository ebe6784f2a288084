// A handler for AWS Lambda behind a function URL or API Gateway, in a container image with the model in MODEL. The model is loaded
// once per instance, outside of the handler, so that warm calls find it in memory.
import { BertuneError, TextClassifier } from 'bertune';

const model = await TextClassifier.load(process.env.MODEL ?? 'model');

const answer = (statusCode, body) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

export async function handler({ body, isBase64Encoded }) {
  try {
    const { texts } = JSON.parse(isBase64Encoded ? Buffer.from(body, 'base64').toString() : body);
    return answer(200, await model.predict(texts));
  } catch (error) {
    if (error instanceof SyntaxError) return answer(400, { error: 'Expected JSON' });
    if (error instanceof BertuneError && error.code === 'INVALID_OPTION') return answer(400, { error: error.message });
    throw error;
  }
}
