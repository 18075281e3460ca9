/** What the tests of outgoing mail share: queues on a real store, real keys and a real directory; a DNS server; remote servers. */
import assert from 'node:assert/strict';
import { Reporter, type ReporterDeps } from '../../src/delivery/reporter.ts';
import { Connections } from '../../src/outbound/connections.ts';
import type { QueuedItem } from '../../src/outbound/outbound.ts';
import { Outbound } from '../../src/outbound/outbound.ts';
import { MailResolver } from '../../src/outbound/resolver.ts';
import { Router, type RouterOptions } from '../../src/outbound/route.ts';
import type { Schedule } from '../../src/outbound/schedule.ts';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import type { EmbeddedStoreOptions } from '../../src/store/embedded/embedded-store.ts';
import { type Client, SmtpFixture } from '../smtp/support.ts';
import { DnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-ports.ts';
import { type RemoteOptions, RemoteServer } from '../support/remote-server.ts';

export interface OutboundOptions
  extends Partial<Schedule>,
    Partial<Omit<RouterOptions, 'resolver'>>,
    Pick<ReporterDeps, 'countReport'> {
  readonly total?: number;
  readonly perDestination?: number;
}

/** alice@ and bob@demo.test send to the world, which is 127.0.0.2 and its neighbours on one port. */
export class OutboundFixture {
  readonly smtp: SmtpFixture;
  readonly dns: DnsServer;
  readonly port: number;
  outbound!: Outbound;
  submission!: SmtpListener;
  readonly #remotes: RemoteServer[] = [];

  private constructor(smtp: SmtpFixture, dns: DnsServer, port: number) {
    this.smtp = smtp;
    this.dns = dns;
    this.port = port;
  }

  static async open(
    options: OutboundOptions = {},
    store: Partial<EmbeddedStoreOptions> = {},
  ): Promise<OutboundFixture> {
    const fixture = new OutboundFixture(
      await SmtpFixture.open(store),
      await DnsServer.start(),
      await freePort(),
    );
    fixture.smtp.now = () => new Date();
    fixture.smtp.hasQueue = true;
    fixture.outbound = fixture.newOutbound(options);
    await fixture.outbound.start();
    fixture.submission = await fixture.smtp.submission();
    return fixture;
  }

  newOutbound(options: OutboundOptions = {}): Outbound {
    const { store, directory, deps } = this.smtp;
    const { keyring } = store;
    const { countReport } = options;
    const counting = countReport === undefined ? {} : { countReport };
    const reporter = new Reporter({ ...deps, ...counting, host: 'mx.demo.test' });
    this.smtp.reporter = reporter;
    const resolver = new MailResolver({ servers: [this.dns.address], timeoutMs: 300 });
    const at = (level: string) => (fields: object, text: string) =>
      void this.smtp.logged.push({ level, fields, text });
    const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    return new Outbound({
      store: store.store,
      keyring,
      directory,
      resolver,
      router: new Router({
        resolver,
        routes: [],
        smarthost: () => null,
        port: this.port,
        hostname: 'mx.demo.test',
        isOurs: () => false,
        mayReach: () => true,
        isLocal: (domain) => directory.organizationOfDomain(domain) !== null,
        ...options,
      }),
      connections: new Connections({
        hostname: 'mx.demo.test',
        total: options.total ?? 20,
        perDestination: options.perDestination ?? 5,
        log,
      }),
      reporter,
      schedule: { retryMs: [60_000], expiryMs: 5 * 86_400_000, delayReportMs: 4 * 3_600_000, ...options },
      log,
    });
  }

  /** A domain of the world with one server. */
  async remote(domain: string, options: RemoteOptions = {}): Promise<RemoteServer> {
    const address = options.address ?? `127.0.0.${2 + this.#remotes.length}`;
    const remote = await RemoteServer.start({ ...options, address, port: this.port });
    this.#remotes.push(remote);
    const host = `mx${this.#remotes.length}.${domain}`;
    this.dns.entries[domain] ??= { MX: [[10, host]] };
    this.dns.entries[host] = { A: [address] };
    return remote;
  }

  /** Alice submits a message. */
  async submit(
    recipients: readonly string[],
    text = message('hello'),
    from = 'alice@demo.test',
  ): Promise<void> {
    const client = await this.signIn();
    await client.talk(`C: MAIL FROM:<${from}>\nS: 250`);
    for (const recipient of recipients) await client.talk(`C: RCPT TO:<${recipient}>\nS: 250`);
    await client.talk('C: DATA\nS: 354');
    await client.send(`${text.replace(/^\./gm, '..')}.\r\n`);
    const reply = await client.reply();
    assert.match(reply, /^250 /);
    client.close();
  }

  signIn(): Promise<Client> {
    return this.smtp.signIn(this.submission);
  }

  async items(): Promise<QueuedItem[]> {
    const items: QueuedItem[] = [];
    for await (const item of this.outbound.items(null)) items.push(item);
    return items;
  }

  /** Resolves when `is` holds of what is in the queues. */
  async until(is: (items: readonly QueuedItem[]) => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!(await is(await this.items()))) {
      if (Date.now() > deadline) {
        assert.fail(`${JSON.stringify(await this.items())} ${JSON.stringify(this.smtp.logged.slice(-10))}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Nothing is in a queue. */
  empty(): Promise<void> {
    return this.until((items) => items.length === 0);
  }

  /** Everything that is in a queue was tried and waits. */
  waiting(count = 1): Promise<void> {
    const now = Date.now();
    return this.until(
      (items) =>
        items.length === count &&
        items.every(({ state, nextAt }) => state === 'due' && nextAt.getTime() > now),
    );
  }

  /** The messages that a user of ours has, when there are so many. */
  async inbox(user: string, count: number): Promise<string[]> {
    let found: string[] = [];
    await this.until(async () => {
      found = await this.smtp.inbox(user);
      return found.length >= count;
    });
    return found;
  }

  async close(): Promise<void> {
    await this.outbound.close(0);
    await Promise.all(this.#remotes.map((remote) => remote.stop()));
    await this.smtp.close();
    await this.dns.stop();
  }
}

export const message = (subject: string, body = 'Hello.'): string =>
  `From: alice@demo.test\r\nTo: x@example.org\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;
