/**
 * AWS KMS on a port of this machine, for tests: its wire protocol (AWS JSON 1.1 over HTTP, X-Amz-Target TrentService.*,
 * SigV4) and what its documentation says of keys, encryption context, key states, key policies and errors.
 *
 * Signatures are not verified; who signed (access key) and for which region decides who asks and which keys there are.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, Faults } from './faults.ts';
import { type Caller, KeyTable, TEST_ACCOUNT } from './key-table.ts';
import { KmsError } from './kms-error.ts';
import { type Context, type Input, OPERATIONS } from './operations.ts';

/** As CloudTrail would have it: never plaintext or ciphertext. */
export interface CallRecord {
  readonly operation: string;
  readonly requestId: string;
  readonly principal: string | null;
  readonly region: string | null;
  /** As requested; of ReEncrypt the source's. */
  readonly keyId: string | null;
  readonly context: Context;
  /** Of ReEncrypt. */
  readonly destination?: { readonly keyId: string; readonly context: Context };
  /** `ok`, the type of the error, or the kind of the fault. */
  readonly outcome: string;
}

export interface KmsEndpointOptions {
  readonly keys?: KeyTable;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any. */
  readonly port?: number;
  /** Access key id to the ARN of who has it. Default: TEST_ACCESS_KEY of TEST_PRINCIPAL. */
  readonly principals?: Readonly<Record<string, string>>;
}

export const TEST_ACCESS_KEY = 'AKIAIOSFODNN7EXAMPLE';
export const TEST_PRINCIPAL = `arn:aws:iam::${TEST_ACCOUNT}:user/letterlock`;
const BODY_OCTETS = 64 * 1024;
const RECORDS = 100_000;

interface Answer {
  readonly status: number;
  readonly body: string;
}

export class KmsEndpoint {
  readonly keys: KeyTable;
  readonly faults = new Faults();
  readonly calls: CallRecord[] = [];
  /** Requests being answered now, and the most there ever were. */
  active = 0;
  mostActive = 0;
  readonly #options: KmsEndpointOptions;
  #server: ReturnType<typeof createServer> | null = null;
  #port: number;

  static async start(options: KmsEndpointOptions = {}): Promise<KmsEndpoint> {
    const endpoint = new KmsEndpoint(options);
    await endpoint.up();
    return endpoint;
  }

  private constructor(options: KmsEndpointOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
    this.keys = options.keys ?? new KeyTable();
  }

  get url(): string {
    return `http://${this.#options.host ?? '127.0.0.1'}:${this.#port}`;
  }

  /** Listens, on the same port as before. */
  async up(): Promise<void> {
    const server = createServer((request, response) => {
      this.active += 1;
      this.mostActive = Math.max(this.mostActive, this.active);
      response.once('close', () => {
        this.active -= 1;
      });
      this.#serve(request, response).catch((error) => response.destroy(error));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, this.#options.host ?? '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Connections are refused and open ones cut. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_OCTETS) throw new Error('The request is too long.');
      chunks.push(chunk);
    }
    const requestId = randomUUID();
    const operation = /^TrentService\.(\w+)$/.exec(String(request.headers['x-amz-target']))?.[1] ?? '';
    const fault = this.faults.take();
    const isAnswered =
      fault === null || fault.kind === 'slow' || fault.kind === 'stall' || fault.kind === 'cut';
    const answer = isAnswered
      ? this.#answer(request, operation, Buffer.concat(chunks), requestId)
      : this.#failed(operation, requestId, fault);
    if (fault?.kind === 'slow') await sleep(fault.ms);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, { 'content-type': 'text/html' });
      response.end('<html><body>Bad gateway</body></html>');
      return;
    }
    response.writeHead(answer.status, {
      'content-type': 'application/x-amz-json-1.1',
      'x-amzn-requestid': requestId,
      ...(fault?.kind === 'stall' ? { 'content-length': answer.body.length } : {}),
    });
    const half = answer.body.slice(0, answer.body.length / 2);
    if (fault?.kind === 'stall') response.write(half);
    else response.end(fault?.kind === 'cut' ? half : answer.body);
  }

  #failed(operation: string, requestId: string, fault: Fault): Answer {
    const outcome = fault.kind === 'error' ? fault.type : fault.kind;
    this.#record({ operation, requestId, principal: null, region: null, keyId: null, context: {}, outcome });
    return fault.kind === 'error'
      ? errorAnswer(new KmsError(fault.type, 'A fault.'))
      : { status: 0, body: '' };
  }

  #answer(request: IncomingMessage, operation: string, body: Buffer, requestId: string): Answer {
    let caller: Caller | null = null;
    let input: Input = {};
    let answer: Answer;
    let outcome = 'ok';
    try {
      if (request.method !== 'POST' || request.headers['content-type'] !== 'application/x-amz-json-1.1') {
        throw new KmsError('UnknownOperationException');
      }
      const perform = OPERATIONS[operation];
      if (perform === undefined) throw new KmsError('UnknownOperationException');
      caller = this.#caller(request);
      input = parse(body);
      const result = perform({ keys: this.keys, caller, input });
      answer = { status: 200, body: result === null ? '' : JSON.stringify(result) };
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      answer = errorAnswer(error);
      outcome = error.type;
    }
    const { principal = null, region = null } = caller ?? {};
    this.#record({ operation, requestId, principal, region, ...keyFields(input), outcome });
    return answer;
  }

  /** Signature Version 4: `AWS4-HMAC-SHA256 Credential=<access key>/<date>/<region>/kms/aws4_request, ...`. */
  #caller({ headers }: IncomingMessage): Caller {
    const { authorization } = headers;
    if (authorization === undefined) {
      throw new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token');
    }
    const form =
      /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d{8})\/([\w-]+)\/kms\/aws4_request, SignedHeaders=([\w;-]+), Signature=[0-9a-f]{64}$/;
    const [, accessKey, date, region, signed] = form.exec(authorization) ?? [];
    const isWhole =
      ['host', 'x-amz-date', 'x-amz-target'].every((name) => signed?.split(';').includes(name)) &&
      String(headers['x-amz-date']).startsWith(`${date}T`);
    if (!isWhole) throw new KmsError('IncompleteSignature', 'The request signature is incomplete.');
    const principal = (this.#options.principals ?? { [TEST_ACCESS_KEY]: TEST_PRINCIPAL })[accessKey!];
    if (principal === undefined) {
      const words = 'The security token included in the request is invalid.';
      throw new KmsError('UnrecognizedClientException', words);
    }
    return { principal, region: region! };
  }

  #record(record: CallRecord): void {
    if (this.calls.length < RECORDS) this.calls.push(record);
  }
}

function parse(body: Buffer): Input {
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Input;
  } catch {}
  throw new KmsError('SerializationException');
}

const errorAnswer = ({ type, status, message }: KmsError): Answer => ({
  status,
  body: JSON.stringify({ __type: type, ...(message === '' ? {} : { message }) }),
});

function keyFields(input: Input): Pick<CallRecord, 'keyId' | 'context' | 'destination'> {
  const keyId = (input['SourceKeyId'] ?? input['KeyId'] ?? null) as string | null;
  const context = (input['SourceEncryptionContext'] ?? input['EncryptionContext'] ?? {}) as Context;
  const target = input['DestinationKeyId'] as string | undefined;
  if (target === undefined) return { keyId, context };
  const destination = { keyId: target, context: (input['DestinationEncryptionContext'] ?? {}) as Context };
  return { keyId, context, destination };
}
