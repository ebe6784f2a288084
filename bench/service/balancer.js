// HAProxy in front of services on this machine, set up as examples/service/haproxy.cfg is for containers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const CONFIG = fileURLToPath(new URL('../../examples/service/haproxy.cfg', import.meta.url));

/** A port that nobody listens on. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** The example's configuration for replicas at these ports. */
function configOf(ports, port) {
  const replace = (text, part, by) => {
    if (!part.test(text)) throw new Error(`Expected ${part} in ${CONFIG}`);
    return text.replace(part, by);
  };
  const servers = ports.map((each, i) => `  server replica${i} 127.0.0.1:${each}`).join('\n');
  let text = readFileSync(CONFIG, 'utf8');
  text = replace(text, /^resolvers [\s\S]*?\n\n/m, '');
  text = replace(text, / resolvers docker init-addr none/, '');
  text = replace(text, / {2}server-template .*/, servers);
  return replace(text, /bind :8080/, `bind 127.0.0.1:${port}`);
}

/**
 * @param {string} folder where its configuration goes
 * @param {number[]} ports of the replicas
 */
export async function startBalancer(folder, ports) {
  const port = await freePort();
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(file, configOf(ports, port));
  const child = spawn('haproxy', ['-f', file], { stdio: 'ignore' });
  const address = `http://127.0.0.1:${port}`;
  const body = JSON.stringify({ text: 'hello' });
  const headers = { 'content-type': 'application/json' };
  // It listens, and has found that a replica is ready.
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${address}/predict`, { method: 'POST', headers, body }).catch(() => undefined);
    if (answer?.ok) return { child, address };
    if (child.exitCode !== null || tries === 100) throw new Error('Expected haproxy to reach a replica');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
