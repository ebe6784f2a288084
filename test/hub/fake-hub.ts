import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository that the hub has: its files at one commit. */
export interface FakeRepository {
  readonly kind: 'model' | 'dataset';
  readonly name: string;
  readonly commit: string;
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Files that are kept outside git, under their SHA-256, and come from another host. */
  readonly large?: readonly string[];
  /** Branches and tags beside main. */
  readonly refs?: Readonly<Record<string, string>>;
  /** Who may read it. Defaults to everybody. */
  readonly token?: string;
  readonly gated?: boolean;
}

/** A request that came, to the hub or to the host of large files. */
export interface Seen {
  readonly host: 'hub' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/**
 * What goes wrong: called for each request; answers it itself (true), or leaves it to the hub.
 */
export type Fault = (request: Seen, response: ServerResponse, body: Buffer | undefined) => boolean;

/** A server on this machine that answers as the Hugging Face hub does, with a second one for large files. */
export class FakeHub {
  readonly seen: Seen[] = [];
  fault: Fault = () => false;
  /** How redirects name the host of large files. */
  cdnHost = '127.0.0.1';
  #repositories: FakeRepository[] = [];
  #hub: Server;
  #cdn: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#cdn = createServer((request, response) => this.#answer('cdn', request, response));
  }

  static async start(...repositories: FakeRepository[]): Promise<FakeHub> {
    const hub = new FakeHub();
    hub.#repositories = repositories;
    for (const server of [hub.#hub, hub.#cdn]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  /** What HF_ENDPOINT says. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  /** Requests for the contents of a file. */
  transfers(path: string): Seen[] {
    return this.seen.filter((request) => request.method === 'GET' && request.path.endsWith(`/${path}`));
  }

  /** Safe to call twice. */
  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(host: Seen['host'], request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://host');
    const seen: Seen = {
      host,
      method: request.method ?? '',
      path: decodeURIComponent(url.pathname),
      range: request.headers.range,
      authorization: request.headers.authorization,
    };
    this.seen.push(seen);
    if (host === 'cdn') {
      const body = this.#repositories
        .flatMap(({ files }) => Object.entries(files))
        .find(([path, data]) => seen.path === `/${sha256(data)}/${path}`)?.[1];
      if (!this.fault(seen, response, body === undefined ? undefined : Buffer.from(body))) {
        if (body === undefined) response.writeHead(404).end();
        else send(seen, response, Buffer.from(body));
      }
      return;
    }
    this.#asHub(seen, response);
  }

  #asHub(seen: Seen, response: ServerResponse): void {
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/(.+)$/.exec(seen.path);
    const file = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path);
    const [kind, name, revision, path] = api
      ? [api[1], api[2], api[4], undefined]
      : [file?.[1] ? 'dataset' : 'model', file?.[2], file?.[3], file?.[4]];
    const repository = this.#repositories.find((each) => each.kind === kind && each.name === name);
    const data = path === undefined ? undefined : repository?.files[path];
    if (this.fault(seen, response, data === undefined ? undefined : Buffer.from(data))) return;

    const refusal = refusalOf(repository, revision!, path, seen);
    if (repository === undefined || refusal !== undefined) {
      refuse(response, ...(refusal ?? [404, undefined, '']));
      return;
    }
    const commit = repository.refs?.[revision!] ?? repository.commit;
    if (path !== undefined) {
      this.#file(repository, commit, path, seen, response);
      return;
    }
    const value =
      api?.[3] === 'tree'
        ? treeOf(repository)
        : { _id: 'x', id: name, sha: commit, lastModified: '2024-01-01T00:00:00.000Z', siblings: siblings(repository) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  }

  #file(repository: FakeRepository, commit: string, path: string, seen: Seen, response: ServerResponse): void {
    const data = repository.files[path];
    response.setHeader('x-repo-commit', commit);
    if (data === undefined) {
      refuse(response, 404, 'EntryNotFound', 'Entry not found');
      return;
    }
    if (repository.large?.includes(path)) {
      response
        .writeHead(302, {
          location: `http://${this.cdnHost}:${(this.#cdn.address() as AddressInfo).port}/${sha256(data)}/${path}`,
          'x-linked-etag': `"${sha256(data)}"`,
          'x-linked-size': Buffer.byteLength(data),
        })
        .end();
      return;
    }
    response.setHeader('etag', `"${gitHash(data)}"`);
    send(seen, response, Buffer.from(data));
  }
}

/** Answers with a file, or the part of it that was asked for. */
export function send(seen: Seen, response: ServerResponse, body: Buffer): void {
  const start = Number(/^bytes=(\d+)-/.exec(seen.range ?? '')?.[1] ?? -1);
  const part = body.subarray(Math.max(0, start));
  if (start >= 0) response.setHeader('content-range', `bytes ${start}-${body.length - 1}/${body.length}`);
  response.writeHead(start >= 0 ? 206 : 200, { 'content-length': part.length });
  response.end(seen.method === 'HEAD' ? undefined : part);
}

/** Why a request is refused: status, X-Error-Code, message. */
function refusalOf(
  repository: FakeRepository | undefined,
  revision: string,
  path: string | undefined,
  { authorization }: Seen,
): [number, string | undefined, string] | undefined {
  if (repository === undefined) return [404, 'RepoNotFound', 'Repository not found'];
  const { token, gated, commit, refs = {} } = repository;
  if (token !== undefined && authorization !== `Bearer ${token}`) {
    return [401, undefined, 'Invalid username or password.'];
  }
  if (gated && path !== undefined) return [403, 'GatedRepo', `Access to model ${repository.name} is restricted`];
  if (['main', commit, ...Object.keys(refs), ...Object.values(refs)].includes(revision)) return undefined;
  return [404, 'RevisionNotFound', `Invalid rev id: ${revision}`];
}

function refuse(response: ServerResponse, status: number, code: string | undefined, message: string): void {
  if (code !== undefined) response.setHeader('x-error-code', code);
  response.writeHead(status, { 'x-error-message': message, 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: message }));
}

function treeOf({ files, large = [] }: FakeRepository): object[] {
  return Object.entries(files).map(([path, data]) => {
    const size = Buffer.byteLength(data);
    if (!large.includes(path)) return { type: 'file', path, size, oid: gitHash(data) };
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(data)}\nsize ${size}\n`;
    const lfs = { oid: sha256(data), size, pointerSize: pointer.length };
    return { type: 'file', path, size, oid: gitHash(pointer), lfs };
  });
}

function siblings({ files }: FakeRepository): object[] {
  return Object.keys(files).map((rfilename) => ({ rfilename }));
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function gitHash(data: string | Uint8Array): string {
  return createHash('sha1')
    .update(`blob ${Buffer.byteLength(data)}\0`)
    .update(data)
    .digest('hex');
}
