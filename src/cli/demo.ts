/**
 * `letterlock demo`: a server with accounts to try it with, from nothing. scripts/run is its other name.
 */
import { join, resolve } from 'node:path';
import { type Config, type ListenerName, loadConfig } from '../config/load.ts';
import { canonicalDomain } from '../directory/address.ts';
import { DEMO_GREETING_MS, DEMO_USERS, PASSWORD_OCTETS } from '../limits.ts';
import { demoCertificate } from '../tls/demo-authority.ts';
import { type CommandTable, type OptionValues, UsageError } from './command.ts';
import { changeDemoPassword, demoAddresses, makeDemoAccounts } from './demo-accounts.ts';
import { DEFAULT_PORT_BASES, demoConfig, freePortBase, MOST_PORT_BASE } from './demo-config.ts';
import { type DemoLogin, readLine, sendLine, writeFirstMessage } from './demo-message.ts';
import { type DemoState, generatePassword, readDemoState, writeDemoState } from './demo-state.ts';
import { awaitGreeting } from './greeting.ts';
import type { Server } from './serve.ts';

const DEFAULT_DOMAIN = 'demo.test';

export const demoCommands: CommandTable = {
  demo: {
    summary: 'run a server on loopback with accounts to try it with',
    operands: [],
    options: {
      data: { value: 'DIR', help: 'where everything is kept; ./data if left out' },
      'port-base': {
        value: 'N',
        help: `the ports begin at N; the first that is free of ${DEFAULT_PORT_BASES.join(', ')} if left out`,
      },
      domain: { value: 'DOMAIN', help: `${DEFAULT_DOMAIN} if left out` },
      users: { value: 'N', help: 'make u0001@, u0002@ ... besides alice@ and bob@' },
      password: { value: 'PASSWORD', help: 'of all users; generated if left out' },
      config: { value: 'FILE', isRepeatable: true, help: "a configuration file, merged over the demo's" },
      json: { help: 'when all is ready, print one line of JSON and nothing else' },
    },
    details: [
      'The ports are mx N+25, lmtp N+24, submission N+587, submissions N+465, imap N+143, imaps N+993, http N+80, and',
      'metrics N+94. All are on loopback.',
      '',
      'The first start makes keys, a certificate, an organization with a domain, users, and a group everyone@ of them',
      'all; later ones keep them. The log is DIR/logs/letterlock.log. SIGTERM or SIGINT ends it.',
    ].join('\n'),
    examples: [
      'demo',
      'demo --data /tmp/letterlock --users 100 --password secret',
      'demo --port-base 3000 --json',
    ],
    async run({ options, terminal: { stdout } }) {
      const wanted = demoOptions(options);
      const before = await demoState(wanted);
      const certificate = await demoCertificate(join(wanted.data, 'tls'));
      const config = await loadConfig({
        files: options.texts('config'),
        base: demoConfig(wanted.data, wanted.portBase ?? (await freePortBase()), certificate),
      });
      const [{ openLog }, { serveUntilSignal }] = await Promise.all([
        import('../log.ts'),
        import('./run-server.ts'),
      ]);
      return await serveUntilSignal(config, await openLog(config.logging), async (server) => {
        const state = await furnish(server, wanted, before);
        await allAnswer(server, config);
        const ready = await describe(server, config, state, wanted.data, certificate.authorityFile);
        stdout.write(options.flag('json') ? `${JSON.stringify(ready.json)}\n` : ready.text);
      });
    },
  },
};

interface DemoOptions {
  readonly data: string;
  /** null for the first default that is free. */
  readonly portBase: number | null;
  readonly domain: string | null;
  readonly users: number;
  readonly password: string | null;
}

/** @throws UsageError. */
function demoOptions(options: OptionValues): DemoOptions {
  const given = options.text('domain');
  const domain = given === null ? null : canonicalDomain(given);
  if (given !== null && domain === null) throw new UsageError('--domain needs a domain name.');
  const password = options.text('password');
  if (password !== null && (password === '' || Buffer.byteLength(password) > PASSWORD_OCTETS)) {
    throw new UsageError(`--password needs 1 to ${PASSWORD_OCTETS} octets.`);
  }
  if (password !== null && /\p{Cc}/u.test(password)) {
    throw new UsageError('--password takes no control characters.');
  }
  return {
    data: resolve(options.text('data') ?? 'data'),
    portBase: wholeNumber(options, 'port-base', MOST_PORT_BASE),
    domain,
    users: wholeNumber(options, 'users', DEMO_USERS) ?? 0,
    password,
  };
}

function wholeNumber(options: OptionValues, name: string, most: number): number | null {
  const given = options.text(name);
  if (given === null) return null;
  const number = Number(given);
  if (!/^\d+$/.test(given) || number > most) {
    throw new UsageError(`--${name} needs a whole number from 0 to ${most}.`);
  }
  return number;
}

/** What an earlier start left, or what the first one begins with. The password is kept before it is used. */
async function demoState({ data, domain, password }: DemoOptions): Promise<DemoState> {
  const kept = await readDemoState(data);
  if (kept === null) {
    const state = { domain: domain ?? DEFAULT_DOMAIN, password: password ?? generatePassword(), users: null };
    await writeDemoState(data, state);
    return state;
  }
  if (domain !== null && domain !== kept.domain) {
    throw new UsageError(
      `The demo in ${data} has the domain ${kept.domain}; choose another --data for a demo with ${domain}.`,
    );
  }
  return kept;
}

/** Makes the accounts that are missing, and remembers them. @returns The state from now on. */
async function furnish({ accounts }: Server, wanted: DemoOptions, before: DemoState): Promise<DemoState> {
  const password = wanted.password ?? before.password;
  if (password !== before.password) await changeDemoPassword(accounts, before, password);
  await makeDemoAccounts(accounts, { ...before, password }, wanted.users);
  const state = { ...before, password, users: Math.max(before.users ?? 0, wanted.users) };
  await writeDemoState(wanted.data, state);
  return state;
}

async function allAnswer({ ports }: Server, { listeners }: Config): Promise<void> {
  const deadline = AbortSignal.timeout(DEMO_GREETING_MS);
  await Promise.all(
    (Object.entries(ports) as [ListenerName, number][]).map(async ([name, port]) => {
      const listener = listeners[name];
      if (listener !== false) await awaitGreeting(name, { host: listener.host, port }, deadline);
    }),
  );
}

/** The same for programs and for people. Users that an administrator removed are not shown. */
async function describe(
  { ports, directory }: Server,
  { dataDirectory, logging }: Config,
  { domain, password, users }: DemoState,
  data: string,
  ca: string,
): Promise<{ readonly json: object; readonly text: string }> {
  const known = new Set(directory.users({ domain }).map(({ address }) => address));
  const { users: made, group } = demoAddresses(domain, users ?? 0);
  const addresses = made.filter((address) => known.has(address));
  const logs = logging.file === null ? [] : [logging.file];
  const json = {
    ready: true,
    pid: process.pid,
    host: 'localhost',
    ports,
    ca,
    domain,
    users: addresses.map((address) => ({ address, password })),
    group,
    data: dataDirectory,
    logs,
  };
  const [first, second, third] = addresses;
  const more = third === undefined ? '' : ` and ${addresses.length - 2} more, up to ${addresses.at(-1)}`;
  const text = [
    'Letterlock is ready.',
    '',
    `  ports      ${Object.entries(ports)
      .map(([name, port]) => `${name} ${port}`)
      .join(', ')}; host localhost`,
    `  users      ${addresses.slice(0, 2).join(', ')}${more}`,
    `  password   ${password}`,
    `  group      ${group}`,
    `  authority  ${ca}`,
    `  data       ${dataDirectory}`,
    ...logs.map((file) => `  log        ${file}`),
    '',
    ...(first === undefined || second === undefined
      ? []
      : await trial(ports, ca, data, { address: first, password }, { address: second, password })),
    'Ctrl-C ends the server and keeps the data.',
    '',
  ].join('\n');
  return { json, text };
}

/** The lines to try it with, as far as the listeners are there. */
async function trial(
  { submissions, imaps }: Server['ports'],
  ca: string,
  data: string,
  from: DemoLogin,
  to: DemoLogin,
): Promise<string[]> {
  const message = join(data, 'first-message.eml');
  await writeFirstMessage(message, from.address, to.address, new Date());
  return [
    `In another terminal, send a message from ${from.address} to ${to.address}, and read it there:`,
    '',
    ...(submissions === undefined ? [] : [sendLine(ca, submissions, from, to.address, message)]),
    ...(imaps === undefined ? [] : [readLine(ca, imaps, to)]),
    '',
  ];
}
