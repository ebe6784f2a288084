import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from './fake-hub.js';

/** A repository that is pushed to: its files by branch. */
export interface PushedRepository {
  visibility: 'private' | 'public';
  branches: Map<string, Map<string, Buffer>>;
}

/** A request that came. */
export interface PushRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

/** What goes wrong: called for each request with what it brings; answers it itself (true), or leaves it to the hub. */
export type PushFault = (request: PushRequest, response: ServerResponse, incoming: IncomingMessage) => boolean;

const TOKEN = 'hf_that-may-write';

/**
 * A server on this machine that takes pushes as the Hugging Face hub does, with Git LFS for weights: what has arrived is known by its
 * hash and not asked for again.
 */
export class FakeUploadHub {
  readonly token = TOKEN;
  readonly seen: PushRequest[] = [];
  readonly repositories = new Map<string, PushedRepository>();
  /** Large files that have arrived, by their SHA-256. */
  readonly stored = new Map<string, Buffer>();
  fault: PushFault = () => false;
  /** The hub's own, and that of large files. */
  #servers: readonly [Server, Server];

  private constructor() {
    const serve = () =>
      createServer((incoming, response) => {
        this.#answer(incoming, response).catch(() => response.destroy());
      });
    this.#servers = [serve(), serve()];
  }

  static async start(): Promise<FakeUploadHub> {
    const hub = new FakeUploadHub();
    for (const server of hub.#servers) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  get endpoint(): string {
    return addressOf(this.#servers[0]);
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** Requests of a method whose path ends so. */
  count(method: string, ending: RegExp): number {
    return this.seen.filter((request) => request.method === method && ending.test(request.path)).length;
  }

  /** The files of a branch as text. */
  files(name: string, branch = 'main'): Record<string, string> {
    const files = this.repositories.get(name)?.branches.get(branch) ?? new Map<string, Buffer>();
    return Object.fromEntries([...files].map(([path, data]) => [path, data.toString('latin1')]));
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(incoming.url ?? '/', 'http://host').pathname);
    const request = { method: incoming.method ?? '', path, authorization: incoming.headers.authorization };
    this.seen.push(request);
    if (this.fault(request, response, incoming)) return;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const [status, value] = this.#carryOut(request, Buffer.concat(chunks));
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  }

  #carryOut(request: PushRequest, body: Buffer): Answer {
    const { path } = request;
    if (request.method === 'PUT') {
      if (sha256(body) !== path.replace('/lfs/', '')) return refusal(400, 'the hash of another file');
      this.stored.set(sha256(body), body);
      return [200, {}];
    }
    if (request.authorization !== `Bearer ${TOKEN}`) return refusal(401, 'Invalid username or password.');
    if (path === '/api/repos/create') return this.#create(JSON.parse(body.toString()));
    const [, name = '', rest = ''] = /^(?:\/api\/models)?\/([^/]+\/[^/.]+)(?:\.git)?\/(.+)$/.exec(path) ?? [];
    const repository = this.repositories.get(name);
    if (repository === undefined) return refusal(404, 'Repository not found');
    if (rest === 'info/lfs/objects/batch') return this.#batch(JSON.parse(body.toString()));
    const [kind, branch = ''] = rest.split(/\/(.*)/s);
    const files = repository.branches.get(branch === 'HEAD' ? 'main' : branch);
    if (kind === 'branch') {
      if (files) return refusal(409, 'Reference already exists');
      repository.branches.set(branch, new Map(repository.branches.get('main')));
      return [200, {}];
    }
    if (files === undefined) return refusal(404, `Invalid rev id: ${branch}`);
    if (kind === 'revision') return [200, { _id: 'x', id: name, private: repository.visibility === 'private' }];
    if (kind === 'tree') {
      return [200, [...files].map(([each, data]) => ({ type: 'file', path: each, size: data.length, oid: 'x' }))];
    }
    if (kind === 'preupload') {
      const given = JSON.parse(body.toString()) as { files: { path: string }[] };
      const modeOf = (each: string) => (each.endsWith('.safetensors') ? 'lfs' : 'regular');
      return [200, { files: given.files.map((each) => ({ path: each.path, uploadMode: modeOf(each.path) })) }];
    }
    return kind === 'commit' ? this.#commit(files, body.toString()) : refusal(404, 'Not found');
  }

  #create(given: { name: string; organization: string; visibility: 'private' | 'public' }): Answer {
    const name = `${given.organization}/${given.name}`;
    if (this.repositories.has(name)) return refusal(409, 'You already created this model repo');
    this.repositories.set(name, { visibility: given.visibility, branches: new Map([['main', new Map()]]) });
    return [200, { url: `${this.endpoint}/${name}`, id: 'x' }];
  }

  #batch({ objects }: { objects: { oid: string; size: number }[] }): Answer {
    const storage = addressOf(this.#servers[1]);
    const answers = objects.map(({ oid, size }) => ({
      ...{ oid, size },
      ...(!this.stored.has(oid) && { actions: { upload: { href: `${storage}/lfs/${oid}` } } }),
    }));
    return [200, { transfer: 'basic', objects: answers }];
  }

  #commit(files: Map<string, Buffer>, text: string): Answer {
    for (const { key, value } of text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))) {
      if (key === 'file') files.set(value.path, Buffer.from(value.content, 'base64'));
      if (key === 'deletedFile') files.delete(value.path);
      if (key !== 'lfsFile') continue;
      const data = this.stored.get(value.oid);
      if (data === undefined) return refusal(400, `no such object: ${value.oid}`);
      files.set(value.path, data);
    }
    return [200, { commitOid: sha256(text).slice(0, 40), commitUrl: `${this.endpoint}/commit`, success: true }];
  }
}

/** A status and what is sent with it. */
type Answer = readonly [status: number, value: unknown];

function refusal(status: number, error: string): Answer {
  return [status, { error }];
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function refuse(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
}
