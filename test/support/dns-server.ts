/** A DNS server on loopback, for one test: speaks the real protocol over UDP and TCP, and knows what it is told. RFC 1035. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import packet, { type Answer, type Packet } from 'dns-packet';

export interface DnsRecords {
  readonly MX?: readonly (readonly [preference: number, exchange: string])[];
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly TXT?: readonly string[];
}

/** `silent`: asked, it does not answer. */
export type DnsEntry = DnsRecords | 'NXDOMAIN' | 'SERVFAIL' | 'silent';

const RCODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 } as const;
/** RFC 1035 §4.2.1: what is longer is asked for again over TCP. */
const UDP_OCTETS = 512;
const TRUNCATED = 1 << 9;

export class DnsServer {
  /** By name, lower case. What is not here is NXDOMAIN. */
  readonly entries: Record<string, DnsEntry> = {};
  /** Questions so far: `MX example.org`. */
  readonly questions: string[] = [];
  readonly #udp: UdpSocket = createSocket('udp4');
  readonly #tcp: Server = createServer((socket) => {
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (octets: Buffer) => {
      received = Buffer.concat([received, octets]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = this.#answer(received.subarray(2));
      if (answer === null) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.end(Buffer.concat([length, answer]));
    });
  });

  static async start(entries: Record<string, DnsEntry> = {}): Promise<DnsServer> {
    const server = new DnsServer();
    Object.assign(server.entries, entries);
    server.#tcp.listen(0, '127.0.0.1');
    await once(server.#tcp, 'listening');
    server.#udp.on('message', (octets, { port, address }) => {
      const answer = server.#answer(octets);
      if (answer === null) return;
      server.#udp.send(answer.length > UDP_OCTETS ? truncated(octets) : answer, port, address);
    });
    server.#udp.bind(server.port, '127.0.0.1');
    await once(server.#udp, 'listening');
    return server;
  }

  get port(): number {
    return (this.#tcp.address() as { port: number }).port;
  }

  /** As a resolver is told of it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.#udp.close();
    this.#tcp.close();
  }

  #answer(octets: Buffer): Buffer | null {
    const query = packet.decode(octets);
    const [question] = query.questions ?? [];
    if (question === undefined) return null;
    const name = question.name.toLowerCase();
    this.questions.push(`${question.type} ${name}`);
    const entry = this.entries[name] ?? 'NXDOMAIN';
    if (entry === 'silent') return null;
    const rcode = typeof entry === 'string' ? RCODES[entry] : RCODES.NOERROR;
    return packet.encode({
      type: 'response',
      id: query.id!,
      flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode,
      questions: [question],
      answers: typeof entry === 'string' ? [] : answers(question.name, question.type, entry),
    });
  }
}

function answers(name: string, type: string, { MX = [], A = [], AAAA = [], TXT = [] }: DnsRecords): Answer[] {
  const common = { name, ttl: 60, class: 'IN' } as const;
  switch (type) {
    case 'MX':
      return MX.map(([preference, exchange]) => ({ ...common, type: 'MX', data: { preference, exchange } }));
    case 'A':
      return A.map((data) => ({ ...common, type: 'A', data }));
    case 'AAAA':
      return AAAA.map((data) => ({ ...common, type: 'AAAA', data }));
    case 'TXT':
      return TXT.map((data) => ({ ...common, type: 'TXT', data: data.match(/.{1,255}/g) ?? [''] }));
    default:
      return [];
  }
}

function truncated(octets: Buffer): Buffer {
  const query = packet.decode(octets) as Packet;
  const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | TRUNCATED;
  return packet.encode({ type: 'response', id: query.id!, flags, questions: query.questions ?? [] });
}
