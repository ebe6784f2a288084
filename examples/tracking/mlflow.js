import { settingsOf, valuesOf } from './values.js';

/**
 * Logs a run to an MLflow server through its REST API (https://mlflow.org/docs/latest/rest-api.html), row by row as they come.
 * What cannot be sent does not end the training; `finish` tells of it.
 *
 * @param trainer before its `train`
 * @param experiment its name; made where there is none
 * @param server where MLflow listens. Defaults to MLFLOW_TRACKING_URI
 */
export async function trackWithMlflow(trainer, { experiment, name, server = process.env.MLFLOW_TRACKING_URI }) {
  const { run } = await post(server, 'runs/create', {
    experiment_id: await experimentId(server, experiment),
    run_name: name,
    start_time: Date.now(),
  });
  const { run_id } = run.info;
  // One request after the other, so that rows arrive in their order.
  let sent = Promise.resolve();
  let failure;
  const send = (call, fields) => {
    sent = sent
      .then(() => post(server, call, { run_id, ...fields }))
      .catch((error) => {
        failure ??= error;
      });
  };
  const log = (row) => {
    const metrics = Object.entries(valuesOf(row)).map(([key, value]) => {
      return { key, value, timestamp: Date.now(), step: row.step };
    });
    send('runs/log-batch', { metrics });
  };
  trainer.once('start', () => {
    const params = Object.entries(settingsOf(trainer)).map(([key, value]) => ({ key, value: String(value) }));
    send('runs/log-batch', { params });
  });
  trainer.on('log', log).on('evaluate', log);
  return {
    /** @param error why the run failed; undefined: it is done */
    async finish(error) {
      trainer.off('log', log).off('evaluate', log);
      send('runs/update', { status: error === undefined ? 'FINISHED' : 'FAILED', end_time: Date.now() });
      await sent;
      if (failure !== undefined) throw failure;
    },
  };
}

async function experimentId(server, name) {
  const found = await call(server, `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`);
  if (found.status === 404) return (await post(server, 'experiments/create', { name })).experiment_id;
  return (await answerOf(found)).experiment.experiment_id;
}

async function post(server, name, fields) {
  return answerOf(await call(server, name, { method: 'POST', body: JSON.stringify(fields) }));
}

function call(server, name, request = {}) {
  if (!server) throw new Error('Set MLFLOW_TRACKING_URI to the address of an MLflow server, such as http://localhost:5000');
  const { MLFLOW_TRACKING_TOKEN: token } = process.env;
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  return fetch(`${server.replace(/\/$/, '')}/api/2.0/mlflow/${name}`, { ...request, headers });
}

async function answerOf(response) {
  if (response.ok) return response.json();
  throw new Error(`MLflow answered ${response.status} to ${response.url}: ${(await response.text()).slice(0, 500)}`);
}
