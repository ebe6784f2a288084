// HTTP with little work, so that the load leaves the processor to the service: requests are bytes, connections are kept and
// have one request at a time.
import net from 'node:net';

export class RawClient {
  #target;
  #most;
  #idle = [];
  #waiting = [];
  #sockets = new Set();
  /** Connections that were opened. */
  opened = 0;
  /** Answers that nobody had asked for. */
  surplus = 0;

  constructor({ host, port, connections }) {
    this.#target = { host, port, noDelay: true };
    this.#most = connections;
  }

  /** Sends a request. `done` is called once, with an error or with { status, headers, body }. */
  send(request, done) {
    const socket = this.#idle.pop() ?? (this.#sockets.size < this.#most ? this.#open() : undefined);
    if (socket === undefined) this.#waiting.push([request, done]);
    else this.#use(socket, request, done);
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #use(socket, request, done) {
    socket.done = done;
    socket.write(request);
  }

  #open() {
    const socket = net.connect(this.#target);
    this.opened += 1;
    this.#sockets.add(socket);
    socket.received = '';
    socket.setEncoding('latin1').on('data', (text) => this.#read(socket, text));
    socket.on('error', (error) => this.#settle(socket, error));
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#idle = this.#idle.filter((idle) => idle !== socket);
      this.#settle(socket, new Error('closed before the answer'));
      const next = this.#waiting.shift();
      if (next) this.send(...next);
    });
    return socket;
  }

  #settle(socket, error, answer) {
    const { done } = socket;
    socket.done = undefined;
    done?.(error, answer);
    return done !== undefined;
  }

  /** Answers have a content-length; the service sends no other. */
  #read(socket, text) {
    socket.received += text;
    for (;;) {
      const end = socket.received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const [line, ...rows] = socket.received.slice(0, end).split('\r\n');
      const headers = Object.fromEntries(
        rows.map((row) => [row.slice(0, row.indexOf(':')).toLowerCase(), row.slice(row.indexOf(':') + 1).trim()]),
      );
      const length = end + 4 + Number(headers['content-length']);
      if (socket.received.length < length) return;
      const body = Buffer.from(socket.received.slice(end + 4, length), 'latin1').toString('utf8');
      socket.received = socket.received.slice(length);
      if (!this.#settle(socket, undefined, { status: Number(line.split(' ')[1]), headers, body })) this.surplus += 1;
      if (headers.connection === 'close') socket.destroy();
      else if (this.#waiting.length > 0) this.#use(socket, ...this.#waiting.shift());
      else this.#idle.push(socket);
    }
  }
}
