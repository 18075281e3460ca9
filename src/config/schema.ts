/**
 * Every key of the configuration: its type, its default and, where one is absent, what stands for it. How the values
 * get here is load.ts's; config/letterlock.yaml explains each key to operators, and a test holds the two together.
 *
 * Only what JSON Schema can say is used (no transforms), because outline.ts reads the keys and types from it.
 */
import { z } from 'zod';
import { DEFAULT_CONTEXT_OPTIONS } from '../keys/context.ts';
import {
  CERTIFICATE_POLL_MS,
  CHECKPOINT_INTERVAL_MS,
  DISK_RESERVE_OCTETS,
  DNS_TIMEOUT_MS,
  IMAP_APPEND_OCTETS,
  IMAP_AUTOLOGOUT_MS,
  IMAP_CONNECTIONS,
  IMAP_CONNECTIONS_PER_ADDRESS,
  IMAP_CONNECTIONS_PER_USER,
  IMAP_HANDSHAKE_MS,
  IMAP_KEEPALIVE_MS,
  IMAP_PREAUTH_MS,
  IMAP_STALL_MS,
  KIB,
  LEASE_ABSOLUTE_MS,
  LEASE_IDLE_MS,
  MIB,
  OUTBOUND_CONNECTIONS,
  OUTBOUND_CONNECTIONS_PER_DOMAIN,
  OUTBOUND_DELAY_REPORT_MS,
  OUTBOUND_EXPIRY_MS,
  OUTBOUND_QUEUE_OCTETS,
  OUTBOUND_RETRY_MS,
  REDIS_NODES,
  SENDING_ORGANIZATION_DAY,
  SENDING_ORGANIZATION_HOUR,
  SENDING_USER_DAY,
  SENDING_USER_HOUR,
  SHUTDOWN_MS,
  SMTP_CONNECTIONS,
  SMTP_CONNECTIONS_PER_ADDRESS,
  SMTP_IDLE_MS,
  SMTP_MESSAGE_OCTETS,
  SMTP_RECIPIENTS,
  SNAPSHOT_INTERVAL_MS,
} from '../limits.ts';

export const ROLES = ['mx', 'lmtp', 'submission', 'imap', 'http', 'queue'] as const;
export const LISTENER_NAMES = [
  'mx',
  'lmtp',
  'submission',
  'submissions',
  'imap',
  'imaps',
  'http',
  'metrics',
] as const;
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Both protocols where the system has both: a listener on `::` takes IPv4 too. */
const ANYWHERE = '::';
const LOOPBACK = '127.0.0.1';
/** Where exporters of no port of their own listen. */
const METRICS_PORT = 9464;
const NETWORK = 'expected a network such as 10.1.0.0/16 or fd00::/8';
const LARGEST_MESSAGE_OCTETS = 1024 * MIB;

const text = z.string().min(1);
const path = text;
const count = z.int().min(1).max(1_000_000);
/** A name in the DNS, as it goes into banners, Received and EHLO. */
const hostname = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'expected a host name');
const port = z.int().min(0).max(65_535);
const HOST_AND_PORT = String.raw`([^\s/@:[\]]+|\[[0-9A-Fa-f:.]+\])`;
const redisNodes = z
  .array(z.string().regex(new RegExp(`^${HOST_AND_PORT}(:\\d{1,5})?$`), 'expected host:port'))
  .max(REDIS_NODES)
  .default([]);

const seconds = (defaultMs: number, least = 1, most = 24 * 3600) =>
  z
    .int()
    .min(least)
    .max(most)
    .default(defaultMs / 1000);

const listener = (host: string, standardPort: number) =>
  z
    .union([z.literal(false), z.strictObject({ host: text.default(host), port: port.default(standardPort) })])
    .default({ host, port: standardPort });

/** Where mail is handed to, whatever the DNS says. Defaults are given by whoever uses it. */
const relay = {
  port: z.int().min(1).max(65_535).default(587),
  security: z.enum(['starttls', 'tls', 'opportunistic', 'none']).default('starttls'),
  user: text.nullable().default(null),
  passwordFile: path.nullable().default(null),
  caFile: path.nullable().default(null),
};
const relayHost = z.union([hostname, z.ipv4(), z.ipv6()]);
/** `example.org`, `.example.org` for what is below it, `*` for all. */
const routeDomain = z
  .string()
  .regex(/^(\*|\.?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)$/, 'expected a domain');
/** An address, with a port where it is not 53. */
const dnsServer = z
  .string()
  .regex(
    /^(\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?|[0-9A-Fa-f:]+)$/,
    'expected an address such as 192.0.2.53 or [2001:db8::53]:53',
  );

/** A section whose keys all have defaults. */
const section = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape).prefault({} as never);

export const settingsSchema = z.strictObject({
  dataDirectory: path.default('/var/lib/letterlock'),
  /** null: `keys` in the data directory. */
  keysDirectory: path.nullable().default(null),
  /** null: the system's. */
  hostname: hostname.nullable().default(null),
  roles: z
    .array(z.enum(ROLES))
    .min(1)
    .default([...ROLES]),
  shutdownSeconds: seconds(SHUTDOWN_MS, 1, 600),
  listeners: section({
    mx: listener(ANYWHERE, 25),
    lmtp: listener(LOOPBACK, 24),
    submission: listener(ANYWHERE, 587),
    submissions: listener(ANYWHERE, 465),
    imap: listener(ANYWHERE, 143),
    imaps: listener(ANYWHERE, 993),
    http: listener(LOOPBACK, 80),
    metrics: listener(LOOPBACK, METRICS_PORT),
  }),
  tls: section({
    certificateFile: path.nullable().default(null),
    keyFile: path.nullable().default(null),
    reloadSeconds: seconds(CERTIFICATE_POLL_MS),
  }),
  plaintextAuthNetworks: z.array(z.union([z.cidrv4(NETWORK), z.cidrv6(NETWORK)])).default([]),
  messages: section({
    maxOctets: z
      .int()
      .min(64 * KIB)
      .max(LARGEST_MESSAGE_OCTETS)
      .default(SMTP_MESSAGE_OCTETS),
    /** RFC 5321 §4.5.3.1.8: at least 100. */
    maxRecipients: z.int().min(100).max(100_000).default(SMTP_RECIPIENTS),
    bareNewlines: z.enum(['refuse', 'repair']).default('refuse'),
  }),
  smtp: section({
    bannerDelayMs: z.int().min(0).max(60_000).default(0),
    idleSeconds: seconds(SMTP_IDLE_MS),
    maxConnections: count.default(SMTP_CONNECTIONS),
    maxConnectionsPerAddress: count.default(SMTP_CONNECTIONS_PER_ADDRESS),
    /** null: the hostname. */
    authenticationServiceId: hostname.nullable().default(null),
  }),
  outbound: section({
    retrySeconds: z
      .array(
        z
          .int()
          .min(1)
          .max(7 * 24 * 3600),
      )
      .min(1)
      .default(OUTBOUND_RETRY_MS.map((ms) => ms / 1000)),
    expirySeconds: seconds(OUTBOUND_EXPIRY_MS, 1, 30 * 24 * 3600),
    delayReportSeconds: seconds(OUTBOUND_DELAY_REPORT_MS, 1, 30 * 24 * 3600),
    maxConnections: count.max(10_000).default(OUTBOUND_CONNECTIONS),
    maxConnectionsPerDomain: count.max(1_000).default(OUTBOUND_CONNECTIONS_PER_DOMAIN),
    /** Of each organization. */
    maxQueueOctets: z.int().min(MIB).default(OUTBOUND_QUEUE_OCTETS),
    /** RFC 5321 §2.3.4 knows no other. */
    port: z.int().min(1).max(65_535).default(25),
    /** Of what isPrivate refuses. */
    privateNetworks: z.array(z.union([z.cidrv4(NETWORK), z.cidrv6(NETWORK)])).default([]),
    /** Empty: the system's. */
    dnsServers: z.array(dnsServer).default([]),
    dnsTimeoutSeconds: seconds(DNS_TIMEOUT_MS, 1, 60),
    /** Recipients elsewhere; null: no bound. */
    recipients: section({
      userPerHour: count.nullable().default(SENDING_USER_HOUR),
      userPerDay: count.nullable().default(SENDING_USER_DAY),
      organizationPerHour: count.nullable().default(SENDING_ORGANIZATION_HOUR),
      organizationPerDay: count.nullable().default(SENDING_ORGANIZATION_DAY),
    }),
    routes: z
      .array(
        z.strictObject({
          domain: routeDomain,
          host: relayHost,
          port: z.int().min(1).max(65_535).default(25),
        }),
      )
      .default([]),
    smarthost: section({ host: relayHost.nullable().default(null), ...relay }),
    organizations: z
      .array(z.strictObject({ organization: text, smarthost: z.strictObject({ host: relayHost, ...relay }) }))
      .default([]),
  }),
  imap: section({
    maxAppendOctets: z
      .int()
      .min(64 * KIB)
      .max(LARGEST_MESSAGE_OCTETS)
      .default(IMAP_APPEND_OCTETS),
    compression: z.boolean().default(true),
    /** RFC 9738 §4: at least 1,000. null: any number. */
    messageLimit: z.int().min(1_000).nullable().default(null),
    maxConnections: count.default(IMAP_CONNECTIONS),
    maxConnectionsPerAddress: count.default(IMAP_CONNECTIONS_PER_ADDRESS),
    maxConnectionsPerUser: count.default(IMAP_CONNECTIONS_PER_USER),
    preauthSeconds: seconds(IMAP_PREAUTH_MS),
    handshakeSeconds: seconds(IMAP_HANDSHAKE_MS),
    /** RFC 9051 §5.4: at least 30 minutes. */
    autologoutSeconds: seconds(IMAP_AUTOLOGOUT_MS, 30 * 60),
    stallSeconds: seconds(IMAP_STALL_MS),
    keepAliveSeconds: seconds(IMAP_KEEPALIVE_MS),
  }),
  autoconfig: section({
    /** null: the hostname. */
    imapHost: hostname.nullable().default(null),
    /** null: the port of the listener `imaps`. */
    imapPort: port.nullable().default(null),
    smtpHost: hostname.nullable().default(null),
    /** null: the port of the listener `submissions`. */
    smtpPort: port.nullable().default(null),
  }),
  keys: section({
    service: z.enum(['local', 'aws']).default('local'),
    recipientType: z.enum(['mlkem768x25519', 'x25519']).default('mlkem768x25519'),
    /** null: `root.key` in the keys directory. */
    rootKeyFile: path.nullable().default(null),
    aws: section({
      /** null: none, which the service `aws` does not take. */
      keyId: text.max(2048).nullable().default(null),
      /** null: that of the key's ARN, or the AWS SDK's own. */
      region: z
        .string()
        .regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, 'expected a region such as eu-central-1')
        .nullable()
        .default(null),
      /** null: the AWS SDK's own. */
      endpoint: z
        .string()
        .regex(/^https?:\/\/[^\s/@]+\/?$/, 'expected a URL such as https://kms.example.com')
        .nullable()
        .default(null),
    }),
    context: section({
      name: text.default(DEFAULT_CONTEXT_OPTIONS.name),
      arnPrefix: text.default(DEFAULT_CONTEXT_OPTIONS.arnPrefix),
      region: text.default(DEFAULT_CONTEXT_OPTIONS.region),
      account: text.default(DEFAULT_CONTEXT_OPTIONS.account),
    }),
    leaseIdleSeconds: seconds(LEASE_IDLE_MS, 1, LEASE_IDLE_MS / 1000),
    leaseAbsoluteSeconds: seconds(LEASE_ABSOLUTE_MS, 1, LEASE_ABSOLUTE_MS / 1000),
  }),
  audit: section({
    checkpointSeconds: seconds(CHECKPOINT_INTERVAL_MS, 1),
    /** null: none. */
    checkpointFile: path.nullable().default(null),
  }),
  redis: section({
    /** null: no Redis, unless sentinels or nodes of a cluster are named. */
    url: z
      .string()
      .regex(
        new RegExp(`^rediss?://([^\\s/@]*@)?${HOST_AND_PORT}(:\\d{1,5})?(/\\d{0,5})?$`),
        'expected a URL such as rediss://user:password@redis.example.com:6379',
      )
      .nullable()
      .default(null),
    sentinels: redisNodes,
    /** What the sentinels call the master; needed with them. */
    sentinelMaster: text.nullable().default(null),
    sentinelPassword: text.nullable().default(null),
    clusterNodes: redisNodes,
    /** Of sentinels' masters and of clusters; a URL has its own. */
    username: text.nullable().default(null),
    password: text.nullable().default(null),
    tls: z.boolean().default(false),
    /** null: the system's. */
    caFile: path.nullable().default(null),
  }),
  quota: section({ defaultOctets: z.int().min(1).nullable().default(null) }),
  store: section({
    diskReserveOctets: z.int().min(MIB).default(DISK_RESERVE_OCTETS),
    snapshotSeconds: seconds(SNAPSHOT_INTERVAL_MS),
  }),
  logging: section({
    level: z.enum(LOG_LEVELS).default('info'),
    /** null: standard output. */
    file: path.nullable().default(null),
  }),
});

/** What was written, with defaults: null where a value follows from others. */
export type Settings = z.output<typeof settingsSchema>;
export type Role = (typeof ROLES)[number];
export type ListenerName = (typeof LISTENER_NAMES)[number];
export type ListenerAddress = Exclude<Config['listeners'][ListenerName], false>;

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
/** `T` with the keys `K` filled in. */
type Filled<T, K extends keyof T> = Omit<T, K> & { [P in K]: NonNullable<T[P]> };

/** What the server runs by: complete, paths absolute, deeply frozen. */
export type Config = DeepReadonly<
  Filled<Omit<Settings, 'smtp' | 'keys'>, 'keysDirectory' | 'hostname'> & {
    smtp: Filled<Settings['smtp'], 'authenticationServiceId'>;
    keys: Filled<Settings['keys'], 'rootKeyFile'>;
  }
>;
