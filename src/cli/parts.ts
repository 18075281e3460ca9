/**
 * The parts below the listeners: opened in order for the server, and for commands that work alone, and closed in reverse.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config, ListenerName } from '../config/load.ts';
import { Accounts } from '../directory/accounts.ts';
import { Directory } from '../directory/directory.ts';
import { Keyring } from '../keys/keyring.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { SendingLimits } from '../outbound/sending-limits.ts';
import { type DataLock, lockDataDirectory } from '../store/embedded/data-lock.ts';
import { EmbeddedStore } from '../store/embedded/embedded-store.ts';
import type { PublishedServer } from './dns-records.ts';
import { openKeyService } from './key-service.ts';
import { openLeaseRedis } from './lease-redis.ts';
import { openOutbound } from './outbound-parts.ts';

export interface PartsOptions {
  readonly log: Logger;
  /** Ends the process at once: what the disk holds is not known any more. */
  readonly fatal: (error: unknown) => void;
}

/** The parts below the listeners. */
export interface Parts {
  readonly keyring: Keyring;
  readonly directory: Directory;
  readonly accounts: Accounts;
  readonly store: EmbeddedStore;
  /** Mail for other servers; sends nothing until it is started. */
  readonly outbound: Outbound;
  readonly sendingLimits: SendingLimits;
  readonly published: PublishedServer;
  /** Of the listeners, as far as they listen. */
  readonly ports: Partial<Record<ListenerName, number>>;
  close(): Promise<void>;
}

/** What was opened, closed in reverse order; each once. */
export class Closing {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step();
  }
}

/**
 * Opens everything but the listeners, and holds the data directory's lock: for the server, and for commands that work
 * alone.
 * @throws UnavailableError 'locked-data-directory' when another process has the directory.
 */
export async function openParts(config: Config, { log, fatal }: PartsOptions): Promise<Parts> {
  const closing = new Closing();
  try {
    const lock: DataLock = lockDataDirectory(config.dataDirectory);
    closing.add(() => lock.release());
    const directory = Directory.open(join(config.dataDirectory, 'directory.db'));
    closing.add(() => directory.close());
    const keyring = await openKeyring(config, directory, log);
    closing.add(() => keyring.close());
    const store = await EmbeddedStore.open({
      dataDirectory: config.dataDirectory,
      fatal,
      snapshotIntervalMs: config.store.snapshotSeconds * 1000,
      diskReserveOctets: config.store.diskReserveOctets,
      onBackgroundError: (error) => log.error({ err: error }, 'absorbing mail failed'),
      onPageDamage: (mailbox, times) =>
        log.warn({ mailbox, times }, 'pages of a mailbox do not open; they are made anew from its packs'),
    });
    closing.add(() => store.close());
    const accounts = new Accounts({
      directory,
      keyring,
      store,
      defaultQuotaOctets: config.quota.defaultOctets,
    });
    closing.add(() => accounts.idle());
    const ports: Parts['ports'] = {};
    const sendingLimits = new SendingLimits(config.outbound.recipients);
    const outbound = openOutbound(config, {
      ...{ directory, keyring, store, sendingLimits, log },
      mxPort: () => ports.mx,
    });
    closing.add(() => outbound.close(0));
    const published = publishedServer(config);
    return {
      ...{ keyring, directory, accounts, store, outbound, sendingLimits, published, ports },
      close: () => closing.run(),
    };
  } catch (error) {
    await closing.run();
    throw error;
  }
}

async function openKeyring(config: Config, directory: Directory, log: Logger): Promise<Keyring> {
  const { keys, keysDirectory, audit } = config;
  const service = await openKeyService(config, log);
  const redis = await openLeaseRedis(config, log.child({ part: 'lease-cache' }));
  return Keyring.open({
    directory: keysDirectory,
    service,
    ...(redis === null ? {} : { redis }),
    context: keys.context,
    recipientType: keys.recipientType,
    bootId: `${Date.now().toString(36)}-${randomBytes(4).toString('hex')}`,
    secondPin: (organization) => directory.directoryKey(organization),
    checkpoints: { intervalMs: audit.checkpointSeconds * 1000, copyFile: audit.checkpointFile },
    leaseTimes: { idleMs: keys.leaseIdleSeconds * 1000, absoluteMs: keys.leaseAbsoluteSeconds * 1000 },
    log,
  });
}

/** Where the DNS should say that we are: by the configuration, whether or not we listen now. */
function publishedServer(config: Config): PublishedServer {
  const { imapHost, imapPort, smtpHost, smtpPort } = config.autoconfig;
  const { imaps, submissions } = config.listeners;
  const at = (host: string | null, port: number | null, listener: typeof imaps) =>
    listener === false ? null : { host: host ?? config.hostname, port: port ?? listener.port };
  return {
    hostname: config.hostname,
    imaps: at(imapHost, imapPort, imaps),
    submissions: at(smtpHost, smtpPort, submissions),
  };
}
