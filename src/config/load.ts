/**
 * Reads the configuration, once, at the start: defaults, then each file, then the environment, then what the command
 * line sets; the later wins, key by key. Lists are replaced whole. Everything that is wrong is reported together.
 */
import { readFile } from 'node:fs/promises';
import { hostname as systemHostname } from 'node:os';
import { join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { ConfigError, type ConfigProblem, problemsOf } from './config-error.ts';
import { readEnvironment } from './environment.ts';
import { type Config, type ListenerName, type Role, type Settings, settingsSchema } from './schema.ts';

export { ConfigError, type ConfigProblem } from './config-error.ts';
export type { Config, ListenerAddress, ListenerName, Role } from './schema.ts';

type Values = Readonly<Record<string, unknown>>;

export interface LoadOptions {
  /** YAML files; later ones win. */
  readonly files?: readonly string[];
  /** Values under the files: a demo's own. */
  readonly base?: Values;
  /** Values over the environment: the command line's. */
  readonly overrides?: Values;
  /** Default: the process's. */
  readonly environment?: NodeJS.ProcessEnv;
  /** What relative paths start from. Default: the process's. */
  readonly workingDirectory?: string;
}

/** Whom to name for a wrong value: for each path that a layer sets, the layer that set it last. */
type Sources = Map<string, string>;

/** @throws ConfigError with all problems. */
export async function loadConfig(options: LoadOptions = {}): Promise<Config> {
  const problems: ConfigProblem[] = [];
  const sources: Sources = new Map();
  let values: unknown = settingsSchema.parse({});
  const add = (layer: unknown, source: string) => {
    values = merge(values, layer);
    noteSources(sources, layer, source, []);
  };
  if (options.base !== undefined) add(options.base, 'defaults');
  for (const file of options.files ?? []) add(await readYaml(file, problems), file);
  const environment = await readEnvironment(options.environment ?? process.env);
  problems.push(...environment.problems);
  for (const { path, variable, value } of environment.settings) add(nest(path, value), variable);
  if (options.overrides !== undefined) add(options.overrides, 'command line');

  const parsed = settingsSchema.safeParse(values);
  const found = parsed.success ? contradictions(parsed.data) : problemsOf(parsed.error.issues);
  problems.push(...found.map((problem) => ({ ...problem, source: sourceOf(sources, problem.path) })));
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  return deepFreeze(complete(parsed.data, options.workingDirectory ?? process.cwd()));
}

/** The role that a listener belongs to. */
export function roleOf(listener: ListenerName): Role {
  switch (listener) {
    case 'submissions':
      return 'submission';
    case 'imaps':
      return 'imap';
    case 'metrics':
      return 'http';
    default:
      return listener;
  }
}

async function readYaml(file: string, problems: ConfigProblem[]): Promise<unknown> {
  const refuse = (expected: string): Values => {
    problems.push({ path: '', source: file, expected });
    return {};
  };
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    return refuse(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const document = parseDocument(content, { prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = content.slice(0, error.pos[0]).split('\n').length;
    return refuse(`line ${line} is not YAML: ${error.code}`);
  }
  const values: unknown = document.toJS();
  if (values === null || isMap(values)) return values;
  return refuse('expected keys and values');
}

/** A section whose keys are all commented out is null in YAML, and changes nothing. */
function merge(under: unknown, over: unknown): unknown {
  if (!isMap(under)) return over;
  if (over === null || over === undefined) return under;
  if (!isMap(over)) return over;
  const entries = Object.entries(over).map(([name, value]) => [
    name,
    Object.hasOwn(under, name) ? merge(under[name], value) : value,
  ]);
  return { ...under, ...Object.fromEntries(entries) };
}

function noteSources(sources: Sources, value: unknown, source: string, path: readonly string[]): void {
  if (path.length > 0) sources.set(path.join('.'), source);
  if (!isMap(value)) return;
  for (const [name, inner] of Object.entries(value)) noteSources(sources, inner, source, [...path, name]);
}

/** Of the path itself, or of the closest key above it: an item of a list is set with its list. */
function sourceOf(sources: Sources, path: string): string | null {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const source = sources.get(at);
    if (source !== undefined) return source;
  }
  return null;
}

/** What no single key shows. */
function contradictions(settings: Settings): { path: string; expected: string }[] {
  const { tls, keys } = settings;
  const problems: { path: string; expected: string }[] = [];
  const needing = listenersThatNeedTls(settings);
  for (const [name, value, other] of [
    ['certificateFile', tls.certificateFile, tls.keyFile],
    ['keyFile', tls.keyFile, tls.certificateFile],
  ] as const) {
    if (value !== null || (needing.length === 0 && other === null)) continue;
    const why = needing.length === 0 ? 'the other of the two is set' : `needed by ${needing.join(', ')}`;
    problems.push({ path: `tls.${name}`, expected: `expected a file: ${why}` });
  }
  if (keys.service === 'aws' && keys.aws.keyId === null) {
    problems.push({
      path: 'keys.aws.keyId',
      expected: 'expected the ARN of a key: needed by keys.service aws',
    });
  }
  const { smarthost, organizations } = settings.outbound;
  const relays = [
    ['outbound.smarthost', smarthost] as const,
    ...organizations.map(
      ({ smarthost: own }, index) => [`outbound.organizations.${index}.smarthost`, own] as const,
    ),
  ];
  for (const [path, { user, passwordFile, security }] of relays) {
    if ((user === null) !== (passwordFile === null))
      problems.push({ path, expected: 'expected user and passwordFile, or neither' });
    if (user !== null && (security === 'none' || security === 'opportunistic'))
      problems.push({ path: `${path}.security`, expected: 'expected starttls or tls: a password is sent' });
  }
  if (keys.leaseIdleSeconds > keys.leaseAbsoluteSeconds) {
    problems.push({
      path: 'keys.leaseIdleSeconds',
      expected: 'expected no more than keys.leaseAbsoluteSeconds',
    });
  }
  return [...problems, ...redisContradictions(settings)];
}

/** A URL, sentinels or a cluster, and each with its own keys only: another's would be silently without effect. */
function redisContradictions({ redis }: Settings): { path: string; expected: string }[] {
  const { url, sentinels, sentinelMaster, sentinelPassword, clusterNodes, username, password, tls, caFile } =
    redis;
  const problems: { path: string; expected: string }[] = [];
  const refuse = (isWrong: boolean, key: keyof Settings['redis'], expected: string): void => {
    if (isWrong) problems.push({ path: `redis.${key}`, expected });
  };
  const hasSentinels = sentinels.length > 0;
  const hasCluster = clusterNodes.length > 0;
  const hasNodes = hasSentinels || hasCluster;
  refuse(hasSentinels && url !== null, 'sentinels', 'expected none: redis.url is set');
  refuse(hasCluster && url !== null, 'clusterNodes', 'expected none: redis.url is set');
  refuse(hasCluster && hasSentinels, 'clusterNodes', 'expected none: redis.sentinels are set');
  refuse(
    hasSentinels && sentinelMaster === null,
    'sentinelMaster',
    'expected a name: needed by redis.sentinels',
  );
  refuse(
    !hasSentinels && sentinelMaster !== null,
    'sentinelMaster',
    'expected null: there are no redis.sentinels',
  );
  refuse(
    !hasSentinels && sentinelPassword !== null,
    'sentinelPassword',
    'expected null: there are no redis.sentinels',
  );
  const others = 'expected null: only for redis.sentinels and redis.clusterNodes; a URL has its own';
  refuse(!hasNodes && username !== null, 'username', others);
  refuse(!hasNodes && password !== null, 'password', others);
  refuse(username !== null && password === null, 'password', 'expected a password: redis.username is set');
  refuse(
    !hasNodes && tls,
    'tls',
    'expected false: only for redis.sentinels and redis.clusterNodes; a URL says rediss:',
  );
  const isTls = tls || url?.startsWith('rediss:') === true;
  refuse(!isTls && caFile !== null, 'caFile', 'expected null: Redis is spoken to without TLS');
  refuse(url !== null && !isUrl(url), 'url', 'expected %-signs in user and password to be written as %25');
  return problems;
}

function isUrl(text: string): boolean {
  try {
    const { username, password } = new URL(text);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

/** Implicit TLS always; STARTTLS where it is the only way to log in. MX and LMTP work without. */
function listenersThatNeedTls({ listeners, roles, plaintextAuthNetworks }: Settings): ListenerName[] {
  const always = ['submissions', 'imaps'] as const;
  const toLogIn = plaintextAuthNetworks.length === 0 ? (['submission', 'imap'] as const) : [];
  return [...always, ...toLogIn].filter((name) => roles.includes(roleOf(name)) && listeners[name] !== false);
}

/** Fills in what follows from other keys and from the machine. */
function complete(settings: Settings, workingDirectory: string): Config {
  const { tls, logging, keys, smtp, audit, outbound } = settings;
  const absolute = (path: string) => resolve(workingDirectory, path);
  const absoluteOrNull = (path: string | null) => (path === null ? null : absolute(path));
  const located = <T extends { passwordFile: string | null; caFile: string | null }>(relay: T): T => ({
    ...relay,
    passwordFile: absoluteOrNull(relay.passwordFile),
    caFile: absoluteOrNull(relay.caFile),
  });
  const dataDirectory = absolute(settings.dataDirectory);
  const keysDirectory = absoluteOrNull(settings.keysDirectory) ?? join(dataDirectory, 'keys');
  const hostname = settings.hostname ?? systemHostname();
  return {
    ...settings,
    dataDirectory,
    keysDirectory,
    hostname,
    tls: {
      ...tls,
      certificateFile: absoluteOrNull(tls.certificateFile),
      keyFile: absoluteOrNull(tls.keyFile),
    },
    smtp: { ...smtp, authenticationServiceId: smtp.authenticationServiceId ?? hostname },
    outbound: {
      ...outbound,
      smarthost: located(outbound.smarthost),
      organizations: outbound.organizations.map((one) => ({ ...one, smarthost: located(one.smarthost) })),
    },
    keys: { ...keys, rootKeyFile: absoluteOrNull(keys.rootKeyFile) ?? join(keysDirectory, 'root.key') },
    audit: { ...audit, checkpointFile: absoluteOrNull(audit.checkpointFile) },
    redis: { ...settings.redis, caFile: absoluteOrNull(settings.redis.caFile) },
    logging: { ...logging, file: absoluteOrNull(logging.file) },
  };
}

function nest(path: readonly string[], value: unknown): unknown {
  return path.reduceRight((inner, name) => ({ [name]: inner }), value);
}

const isMap = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
