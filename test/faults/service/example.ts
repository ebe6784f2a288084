import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, symlink } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PRELOAD = fileURLToPath(new URL('./memory-preload.mjs', import.meta.url));

/** An answer as it came over a socket. */
export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** examples/service, running as a process of its own, as a user has it. */
export class Example {
  readonly child: ChildProcess;
  readonly address: string;
  readonly #output: string[];

  private constructor(child: ChildProcess, address: string, output: string[]) {
    this.child = child;
    this.address = address;
    this.#output = output;
  }

  /** @param folder is made */
  static async start(folder: string, model: string, ...args: string[]): Promise<Example> {
    await cp(join(ROOT, 'examples/service'), folder, { recursive: true });
    await mkdir(join(folder, 'node_modules'));
    await symlink(ROOT, join(folder, 'node_modules/bertune'));
    for (const name of ['fastify', 'prom-client']) {
      await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
    }
    const own = ['main.js', '--model', model, '--port', '0', '--device', 'cpu'];
    const child = spawn(process.execPath, ['--expose-gc', '--import', PRELOAD, ...own, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const output: string[] = [];
    const ready = new Promise<void>((resolve, reject) => {
      const onText = (text: string) => {
        output.push(text);
        if (output.join('').includes('ready\n')) resolve();
      };
      child.stdout!.setEncoding('utf8').on('data', onText);
      child.stderr!.setEncoding('utf8').on('data', onText);
      child.once('exit', () => reject(new Error(output.join(''))));
    });
    await ready;
    return new Example(child, /listening on (\S+)/.exec(output.join(''))![1]!, output);
  }

  /** What it printed. */
  get output(): string {
    return this.#output.join('');
  }

  /** Bytes that it holds once its garbage is collected. */
  async memory(): Promise<NodeJS.MemoryUsage> {
    const message = once(this.child, 'message');
    this.child.send('memory');
    return (await message)[0] as NodeJS.MemoryUsage;
  }

  /** A figure of /metrics, over a connection of its own. */
  async metric(name: string): Promise<number> {
    const connection = await this.connect();
    connection.send('GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n');
    const { body } = await connection.answer();
    await connection.closed;
    const line = body.split('\n').find((row) => row.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }

  /** A connection to it; what is sent back is collected. */
  async connect(): Promise<Connection> {
    const { hostname, port } = new URL(this.address);
    const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Ends it and resolves to its exit status. */
  async stop(): Promise<number> {
    const exit = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    return (await exit)[0] as number;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** A connection on which a client sends what it likes. */
export class Connection {
  readonly socket: net.Socket;
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => resolve());
    });
  }

  send(data: string | Buffer): this {
    this.socket.write(data);
    return this;
  }

  /** The next answer. Rejects where the connection closes first. */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const answer = this.#next();
      if (answer) return answer;
      if (this.socket.destroyed) throw new Error(`closed after ${JSON.stringify(this.#received.toString())}`);
      await Promise.race([once(this.socket, 'data').catch(() => {}), this.closed]);
    }
  }

  #next(): RawAnswer | undefined {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const [line, ...rows] = this.#received.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      rows.map((row) => [row.slice(0, row.indexOf(':')).toLowerCase(), row.slice(row.indexOf(':') + 1).trim()]),
    );
    const after = end + 4 + Number(headers['content-length'] ?? 0);
    if (this.#received.length < after) return undefined;
    const body = this.#received.subarray(end + 4, after).toString('utf8');
    this.#received = this.#received.subarray(after);
    return { status: Number(line!.split(' ')[1]), headers, body };
  }
}

/** The bytes of a request to /predict. */
export function requestBytes(body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const bytes = Buffer.from(body as string);
  const all = { host: 'test', 'content-type': 'application/json', 'content-length': String(bytes.length), ...headers };
  const rows = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST /predict HTTP/1.1\r\n${rows.join('')}\r\n`), bytes]);
}
