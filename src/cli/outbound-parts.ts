/** Puts the outgoing side together from the configuration: where mail goes, how often it is tried, who is told. */
import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '../config/load.ts';
import { Deliverer } from '../delivery/deliver.ts';
import { Reporter } from '../delivery/reporter.ts';
import { MemoryBudget } from '../delivery/spool.ts';
import type { Directory } from '../directory/directory.ts';
import { UnavailableError } from '../errors.ts';
import type { OrganizationId } from '../ids.ts';
import type { Keyring } from '../keys/keyring.ts';
import { inNetworks, isPrivate } from '../networks.ts';
import { Connections } from '../outbound/connections.ts';
import { Outbound } from '../outbound/outbound.ts';
import { MailResolver } from '../outbound/resolver.ts';
import { Router, type Smarthost } from '../outbound/route.ts';
import type { SendingLimits } from '../outbound/sending-limits.ts';
import type { EmbeddedStore } from '../store/embedded/embedded-store.ts';
import { spoolDirectory } from '../store/embedded/layout.ts';
import type { DeliverHandle } from '../store/handles.ts';

export interface OutboundNeeds {
  readonly directory: Directory;
  readonly keyring: Keyring;
  readonly store: EmbeddedStore;
  readonly sendingLimits: SendingLimits;
  readonly log: Logger;
  /** Port of the listener `mx`, once it listens. */
  readonly mxPort: () => number | undefined;
}

/** The queues, at rest: `start` makes them send. */
export function openOutbound(
  config: Config,
  { directory, keyring, store, sendingLimits, log, mxPort }: OutboundNeeds,
): Outbound {
  const { outbound, hostname, dataDirectory } = config;
  const spool = spoolDirectory(dataDirectory);
  const resolver = new MailResolver({
    servers: outbound.dnsServers,
    timeoutMs: outbound.dnsTimeoutSeconds * 1000,
  });
  const queueLog = log.child({ part: 'queue' });
  const queueHandle = queueHandles(config, { directory, keyring });
  const known = new Set(directory.organizations().flatMap(({ id, name }) => [id as string, name]));
  for (const [entry, { organization }] of outbound.organizations.entries()) {
    if (!known.has(organization)) log.warn({ entry }, 'outbound.organizations names one that does not exist');
  }
  const isAllowed = inNetworks(outbound.privateNetworks);
  return new Outbound({
    store,
    keyring,
    directory,
    resolver,
    router: new Router({
      resolver,
      routes: outbound.routes,
      smarthost: (organization) => smarthostOf(config, directory, organization),
      port: outbound.port,
      hostname,
      isOurs: (address, port) => port === mxPort() && isListeningAt(config, address),
      mayReach: (address) => !isPrivate(address) || isAllowed(address),
      isLocal: (domain) => directory.organizationOfDomain(domain) !== null,
    }),
    connections: new Connections({
      hostname,
      total: outbound.maxConnections,
      perDestination: outbound.maxConnectionsPerDomain,
      log: queueLog,
    }),
    reporter: new Reporter({
      deliverer: new Deliverer({ store, spoolDirectory: spool }),
      budget: new MemoryBudget(),
      spoolDirectory: spool,
      host: hostname,
      resolve: (address) => directory.resolve(address),
      deliverHandle: keyring.deliverHandle.bind(keyring),
      store,
      queueHandle,
      countReport: (organization) => sendingLimits.take(organization, null),
    }),
    schedule: {
      retryMs: outbound.retrySeconds.map((seconds) => seconds * 1000),
      expiryMs: outbound.expirySeconds * 1000,
      delayReportMs: outbound.delayReportSeconds * 1000,
    },
    log: queueLog,
  });
}

/** The right to put mail into an organization's queue. */
export const queueHandles =
  (config: Config, { directory, keyring }: Pick<OutboundNeeds, 'directory' | 'keyring'>) =>
  (organization: OrganizationId): DeliverHandle => {
    const mailbox = directory.queueMailbox(organization);
    if (mailbox === null)
      throw new UnavailableError('busy', 'The queue of outgoing mail is being set up, try again later');
    return keyring.deliverHandle(organization, mailbox, config.outbound.maxQueueOctets);
  };

function smarthostOf(config: Config, directory: Directory, organization: OrganizationId): Smarthost | null {
  const { organizations, smarthost } = config.outbound;
  if (organizations.length > 0) {
    const { name } = directory.organization(organization);
    const own = organizations.find((one) => one.organization === organization || one.organization === name);
    if (own !== undefined) return own.smarthost;
  }
  return smarthost.host === null ? null : { ...smarthost, host: smarthost.host };
}

/** Whether our own listener `mx` can be reached at the address. */
function isListeningAt({ listeners }: Config, address: string): boolean {
  if (listeners.mx === false) return false;
  const { host } = listeners.mx;
  if (host !== '::' && host !== '0.0.0.0') return address === host;
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some((known) => known.address === address),
  );
}
