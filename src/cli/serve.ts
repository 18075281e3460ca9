/**
 * Puts a server together from its configuration, and takes it apart again in reverse order. Contains no decisions of its
 * own: what listens is the configuration's, what happens is the parts'.
 */
import type { Logger } from 'pino';
import { type Config, type ListenerName, roleOf } from '../config/load.ts';
import { Deliverer } from '../delivery/deliver.ts';
import { discardSealed, sealMessage } from '../delivery/seal-message.ts';
import { MemoryBudget } from '../delivery/spool.ts';
import type { Accounts } from '../directory/accounts.ts';
import { Authenticator } from '../directory/authenticator.ts';
import type { Directory } from '../directory/directory.ts';
import { Logins } from '../directory/logins.ts';
import { type Probe, readiness, workingParts } from '../http/readiness.ts';
import { type ClientSettings, startHttp, startMetricsHttp } from '../http/server.ts';
import { LoopLoad, type ServerLoad } from '../imap/load.ts';
import { ImapServer } from '../imap/server.ts';
import { ACCOUNT_RETRY_MS, HTTP_PROBE_MS } from '../limits.ts';
import { Exposition } from '../metrics/exposition.ts';
import { serverMetrics } from '../metrics/server-metrics.ts';
import { inNetworks } from '../networks.ts';
import type { SmtpCounts } from '../smtp/counts.ts';
import type { SmtpListener } from '../smtp/edge.ts';
import { startLmtp } from '../smtp/lmtp.ts';
import { startMx } from '../smtp/mx.ts';
import { type Submitter, startSubmission } from '../smtp/submission.ts';
import { spoolDirectory } from '../store/embedded/layout.ts';
import { Certificate } from '../tls/certificate.ts';
import { adminSocketPath, startAdminSocket } from './admin-socket.ts';
import { administer } from './administer.ts';
import { queueHandles } from './outbound-parts.ts';
import { Closing, openParts, type Parts, type PartsOptions } from './parts.ts';
import { probesOf } from './probes.ts';

export interface Server {
  readonly ports: Readonly<Partial<Record<ListenerName, number>>>;
  readonly directory: Directory;
  readonly accounts: Accounts;
  /** Reads the certificate anew. */
  reload(): Promise<void>;
  /** Refuses what is new, ends what is under way, makes a checkpoint. */
  close(): Promise<void>;
}

/** @throws as openParts does; the system's error when a port is taken. */
export async function serve(config: Config, options: PartsOptions): Promise<Server> {
  const { log } = options;
  const closing = new Closing();
  try {
    const parts = await openParts(config, options);
    closing.add(() => parts.close());
    const certificate = await openCertificate(config, log);
    closing.add(() => certificate?.close());
    const finishing = finishAccounts(parts.accounts, log);
    closing.add(() => finishing.stop());
    const probes = probesOf(config, parts, certificate);
    const admin = await startAdminSocket(
      adminSocketPath(config.dataDirectory),
      (request) =>
        administer(parts.accounts, request, { ...parts, readiness: () => readiness(probes, HTTP_PROBE_MS) }),
      { onBug: (error) => log.error({ err: error }, 'an administrative request failed') },
    );
    closing.add(() => admin.close());
    const ports = await listen(config, parts, certificate, probes, log, closing);
    log.info({ ports, roles: config.roles }, 'serving');
    return {
      ports,
      directory: parts.directory,
      accounts: parts.accounts,
      reload: async () => {
        await certificate?.reload();
      },
      close: async () => {
        log.info('closing');
        await closing.run();
        log.info('closed');
      },
    };
  } catch (error) {
    await closing.run();
    throw error;
  }
}

async function listen(
  config: Config,
  parts: Parts,
  certificate: Certificate | null,
  probes: readonly Probe[],
  log: Logger,
  closing: Closing,
): Promise<Server['ports']> {
  const { ports, outbound } = parts;
  const authenticator = new Authenticator({ directory: parts.directory });
  const logins = new Logins(authenticator);
  const deliverer = new Deliverer({
    store: parts.store,
    spoolDirectory: spoolDirectory(config.dataDirectory),
  });
  const graceMs = config.shutdownSeconds * 1000;

  // All stop at once: one that drains must not let another go on accepting.
  const listeners: (() => Promise<void>)[] = [];
  closing.add(() => Promise.all(listeners.map((close) => close())));

  if (config.roles.includes('queue')) {
    listeners.push(() => outbound.close(graceMs));
  }
  const smtpCounts = new Map<string, SmtpCounts>();
  const smtp = smtpParts(config, parts, certificate, deliverer, logins, log);
  for (const [name, start] of Object.entries(smtp)) {
    const at = listenerOf(config, name as ListenerName);
    if (at === null) continue;
    const listener = await start({ address: at.host, port: at.port });
    listeners.push(() => listener.close(graceMs));
    certificate?.onChange((options) => listener.updateTls(options));
    smtpCounts.set(name, listener.counts);
    ports[name as ListenerName] = listener.port;
  }

  const imapNames = (['imap', 'imaps'] as const).filter((name) => listenerOf(config, name) !== null);
  const load = new LoopLoad();
  const imap = imapServer(config, parts, certificate, logins, load, log, imapNames);
  const imapPorts = await imap.listen();
  listeners.push(() => imap.close(graceMs).finally(() => load.stop()));
  for (const [index, name] of imapNames.entries()) ports[name] = imapPorts[index]!;

  const http = listenerOf(config, 'http');
  if (http !== null) {
    const listener = await startHttp({ ...http, clients: clientSettings(config, ports) }, { probes, log });
    listeners.push(() => listener.close());
    ports.http = listener.port;
  }

  const metricsAt = listenerOf(config, 'metrics');
  if (metricsAt !== null) {
    const metrics = serverMetrics({
      smtp: smtpCounts,
      imap: imap.counts,
      logins: logins.outcomes,
      hashing: () => authenticator.hashing,
      deliveries: () => deliverer.mailboxes,
      keyring: parts.keyring,
      store: () => parts.store.vitals,
      certificateExpiresAt: () => certificate?.expiresAt ?? null,
      parts: () => workingParts(probes, HTTP_PROBE_MS),
    });
    closing.add(() => metrics.close());
    const { contentType } = Exposition;
    const listener = await startMetricsHttp(metricsAt, { text: () => metrics.text(), contentType, log });
    listeners.push(() => listener.close());
    ports.metrics = listener.port;
  }
  // Last: mail that was waiting may already be answered.
  if (config.roles.includes('queue')) await outbound.start();
  return ports;
}

/** What autoconfig and autodiscover tell; null where clients have nothing to connect to. */
function clientSettings(config: Config, ports: Server['ports']): ClientSettings | null {
  const { imapHost, imapPort, smtpHost, smtpPort } = config.autoconfig;
  const imap = imapPort ?? ports.imaps;
  const smtp = smtpPort ?? ports.submissions;
  if (imap === undefined || smtp === undefined) return null;
  return {
    imap: { host: imapHost ?? config.hostname, port: imap },
    smtp: { host: smtpHost ?? config.hostname, port: smtp },
  };
}

async function openCertificate(config: Config, log: Logger): Promise<Certificate | null> {
  const { certificateFile, keyFile, reloadSeconds } = config.tls;
  if (certificateFile === null || keyFile === null) return null;
  return Certificate.open({ certificateFile, keyFile, pollMs: reloadSeconds * 1000, log });
}

function listenerOf(config: Config, name: ListenerName): { host: string; port: number } | null {
  const listener = config.listeners[name];
  return listener === false || !config.roles.includes(roleOf(name)) ? null : listener;
}

type StartSmtp = (at: { address: string; port: number }) => Promise<SmtpListener>;

function smtpParts(
  config: Config,
  parts: Parts,
  certificate: Certificate | null,
  deliverer: Deliverer,
  logins: Logins,
  log: Logger,
): Record<'mx' | 'lmtp' | 'submission' | 'submissions', StartSmtp> {
  const { messages, smtp } = config;
  const spool = spoolDirectory(config.dataDirectory);
  const deps = {
    deliverer,
    budget: new MemoryBudget(),
    spoolDirectory: spool,
    log: log.child({ part: 'smtp' }),
    resolve: (address: string) => parts.directory.resolve(address),
    deliverHandle: parts.keyring.deliverHandle.bind(parts.keyring),
    store: parts.store,
    ...(config.roles.includes('queue')
      ? { queueHandle: queueHandles(config, parts), reporter: parts.outbound.reporter }
      : {}),
  };
  const submission = {
    ...deps,
    countRecipients: parts.sendingLimits.take.bind(parts.sendingLimits),
    authenticate: async ({
      username,
      password,
      remoteAddress,
    }: {
      username: string;
      password: string;
      remoteAddress: string;
    }): Promise<Submitter> => {
      const user = await logins.authenticate('smtp', username, password, remoteAddress);
      const refuseLocked = () => parts.keyring.locks.refuse(user.organization, user.mailbox);
      refuseLocked();
      const { organization, mailbox, userId } = user;
      return {
        organization,
        mailbox,
        owns: (address) => {
          refuseLocked();
          return parts.directory.maySendAs(userId, address);
        },
      };
    },
  };
  const options = {
    host: config.hostname,
    tls: certificate?.secureContextOptions ?? null,
    messageOctets: messages.maxOctets,
    recipients: messages.maxRecipients,
    connections: smtp.maxConnections,
    connectionsPerAddress: smtp.maxConnectionsPerAddress,
    idleMs: smtp.idleSeconds * 1000,
    authservId: smtp.authenticationServiceId,
  };
  const inbound = { ...options, newlines: messages.bareNewlines };
  const plaintextNetworks = config.plaintextAuthNetworks;
  return {
    mx: (at) => startMx({ ...inbound, ...at, bannerPauseMs: smtp.bannerDelayMs }, deps),
    lmtp: (at) => startLmtp({ ...inbound, ...at }, deps),
    submission: (at) => startSubmission({ ...options, plaintextNetworks, ...at }, submission),
    submissions: (at) =>
      startSubmission({ ...options, plaintextNetworks, ...at, isTlsImplicit: true }, submission),
  };
}

function imapServer(
  config: Config,
  parts: Parts,
  certificate: Certificate | null,
  logins: Logins,
  load: ServerLoad,
  log: Logger,
  names: readonly ('imap' | 'imaps')[],
): ImapServer {
  const { imap, dataDirectory } = config;
  const spool = { spoolDirectory: spoolDirectory(dataDirectory) };
  const isPlaintextAllowed = inNetworks(config.plaintextAuthNetworks);
  return new ImapServer(
    {
      store: parts.store,
      signIn: async (username, password, remoteAddress) => {
        const user = await logins.authenticate('imap', username, password, remoteAddress);
        const { organization, mailbox, quotaOctets, address, userId } = user;
        const owner = parts.keyring.ownerHandle({
          organization,
          mailbox,
          quotaOctets,
          principal: address,
          protocol: 'imap',
          address: remoteAddress,
          reason: 'login',
        });
        return { owner, userId: String(userId) };
      },
      sealMessage: (source) => sealMessage(source, spool),
      discardSealed,
      load,
      log: log.child({ part: 'imap' }),
    },
    {
      listeners: names.map((name) => ({ ...listenerOf(config, name)!, isImplicitTls: name === 'imaps' })),
      secureContext: () => certificate?.secureContext ?? null,
      isPlaintextAllowed,
      appendLimitOctets: imap.maxAppendOctets,
      isCompressionOffered: imap.compression,
      messageLimit: imap.messageLimit,
      maxConnections: imap.maxConnections,
      maxConnectionsPerAddress: imap.maxConnectionsPerAddress,
      maxConnectionsPerUser: imap.maxConnectionsPerUser,
      times: {
        preauthMs: imap.preauthSeconds * 1000,
        handshakeMs: imap.handshakeSeconds * 1000,
        autologoutMs: imap.autologoutSeconds * 1000,
        stallMs: imap.stallSeconds * 1000,
        keepAliveMs: imap.keepAliveSeconds * 1000,
      },
    },
  );
}

/** Accounts that a crash left half made are finished when the key service lets them. */
function finishAccounts(accounts: Accounts, log: Logger): { stop(): Promise<void> } {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  const attempt = async (): Promise<void> => {
    const failures = await accounts.finish('server', stopping.signal);
    if (failures.length === 0 || stopping.signal.aborted) return;
    const fields = { err: failures[0], failures: failures.length };
    log.warn(fields, 'half-made accounts could not be finished; trying again later');
    timer = setTimeout(start, ACCOUNT_RETRY_MS).unref();
  };
  const start = (): void => {
    running = attempt();
  };
  start();
  return {
    stop: async () => {
      stopping.abort();
      clearTimeout(timer);
      await running;
    },
  };
}
