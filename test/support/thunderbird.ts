/**
 * Thunderbird itself, without a window, driven through Marionette (its remote control: length-prefixed JSON over TCP) by
 * scripts that run inside it with all its own objects at hand.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-ports.ts';
import type { Letterlock, LetterlockUser } from './letterlock.ts';

const START_DEADLINE_MS = 60_000;
const SCRIPT_DEADLINE_MS = 30_000;
const POLL_MS = 100;

/** Nothing of Thunderbird's own: no updates, no start page, no questions. */
const PREFERENCES: Readonly<Record<string, string | number | boolean>> = {
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'mail.provider.suppress_dialog_on_startup': true,
  'mail.spotlight.firstRunDone': true,
  'mailnews.start_page.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

/** At the beginning of each script: what the scripts below call by these names. */
const PRELUDE = `
  const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
  const account = MailServices.accounts.accounts.find(({ incomingServer }) => incomingServer?.type === 'imap');
  const root = account?.incomingServer.rootFolder;
  const folderAt = (path) => path.split('/').reduce((folder, name) => folder.getChildNamed(name), root);
  const headers = (path, subjects) => [...folderAt(path).messages].filter(({ subject }) => subjects.includes(subject));
  const finished = (start) => new Promise((resolve, reject) => start({
    QueryInterface: ChromeUtils.generateQI(['nsIUrlListener', 'nsIMsgCopyServiceListener']),
    onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() {}, onStartRunningUrl() {},
    onStopCopy: (status) => Components.isSuccessCode(status) ? resolve() : reject(new Error('copy ' + status)),
    onStopRunningUrl: (url, status) => Components.isSuccessCode(status) ? resolve() : reject(new Error('url ' + status)),
  }));
`;

export class Thunderbird {
  readonly #process: ChildProcess;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #received: Buffer = Buffer.alloc(0);
  #lastId = 0;

  /**
   * Starts it with an account for this user, as the account wizard makes it.
   * @param directory An empty one for its profile, which the caller removes.
   */
  static async start(server: Letterlock, user: LetterlockUser, directory: string): Promise<Thunderbird> {
    const port = await freePort();
    const preferences = Object.entries({ ...PREFERENCES, 'marionette.port': port });
    await mkdir(directory, { recursive: true });
    await writeFile(
      join(directory, 'user.js'),
      preferences.map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`).join(''),
    );
    const remote = ['--marionette', '--remote-allow-system-access'];
    const child = spawn('thunderbird', ['--headless', ...remote, '--no-remote', '--profile', directory], {
      stdio: 'ignore',
      env: { ...process.env, HOME: directory },
    });
    process.once('exit', () => child.kill('SIGKILL'));
    const thunderbird = new Thunderbird(child, await connected(child, port));
    await thunderbird.#command('WebDriver:NewSession', {});
    await thunderbird.#command('Marionette:SetContext', { value: 'chrome' });
    await thunderbird.#command('WebDriver:SetTimeouts', { script: SCRIPT_DEADLINE_MS });
    const ca = (await readFile(server.ca, 'utf8')).replace(/-----.*-----|\s/g, '');
    await thunderbird.run(MAKE_ACCOUNT, ca, server.host, server.ports, user);
    return thunderbird;
  }

  private constructor(child: ChildProcess, socket: Socket) {
    this.#process = child;
    this.#socket = socket;
    socket.on('data', (octets: Buffer) => this.#receive(octets));
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values())
        reject(new Error('Thunderbird closed the connection.'));
    });
    // 'close' follows.
    socket.on('error', () => {});
  }

  /**
   * Runs the body of an async function inside Thunderbird. `args` are what was given; PRELUDE has the other names.
   * @returns what it returns, as JSON has it. @throws Error with its words.
   */
  async run(body: string, ...args: readonly unknown[]): Promise<unknown> {
    const script = `
      const args = [...arguments];
      const done = args.pop();
      (async () => { ${PRELUDE} ${body} })().then(
        (value) => done({ value: value ?? null }),
        (error) => done({ error: String(error) }),
      );`;
    const answer = (await this.#command('WebDriver:ExecuteAsyncScript', {
      script,
      args,
      sandbox: 'system',
    })) as {
      value: { value: unknown; error?: string };
    };
    if (answer.value.error !== undefined) throw new Error(`In Thunderbird: ${answer.value.error}`);
    return answer.value.value;
  }

  /** Begins to ask the server for the folder's news. Path components are joined by `/`. */
  async update(path: string): Promise<void> {
    await this.run('folderAt(args[0]).updateFolder(null);', path);
  }

  /** Subjects of what it shows in a folder, with what it shows of their flags: `read`, `flagged`. */
  async list(path: string): Promise<readonly { subject: string; flags: readonly string[] }[]> {
    const messages = await this.run(
      `
      return [...folderAt(args[0]).messages].map(({ subject, isRead, isFlagged }) => ({
        subject, flags: [...(isRead ? ['read'] : []), ...(isFlagged ? ['flagged'] : [])],
      }));`,
      path,
    );
    return messages as readonly { subject: string; flags: readonly string[] }[];
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  #command(name: string, parameters: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      const text = JSON.stringify([0, id, name, parameters]);
      this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
  }

  #receive(octets: Buffer): void {
    this.#received = Buffer.concat([this.#received, octets]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      const end = colon + 1 + Number(this.#received.toString('latin1', 0, colon));
      if (colon < 0 || this.#received.length < end) return;
      const message: unknown = JSON.parse(this.#received.toString('utf8', colon + 1, end));
      this.#received = this.#received.subarray(end);
      if (!Array.isArray(message)) continue; // its greeting
      const [, id, error, result] = message;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === null) waiting?.resolve(result);
      else waiting?.reject(new Error(`Thunderbird: ${error.message}`));
    }
  }
}

/** Trusts the demo's authority; IMAP and SMTP with TLS from the first octet, and the password that a user would save. */
const MAKE_ACCOUNT = `
  const [ca, host, ports, { address, password }] = args;
  Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, 'C,,');
  const incoming = MailServices.accounts.createIncomingServer(address, host, 'imap');
  incoming.port = ports.imaps;
  incoming.socketType = Ci.nsMsgSocketType.SSL;
  incoming.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  incoming.password = password;
  incoming.valid = true;
  const identity = MailServices.accounts.createIdentity();
  identity.email = address;
  const made = MailServices.accounts.createAccount();
  made.incomingServer = incoming;
  made.addIdentity(identity);
  MailServices.accounts.defaultAccount = made;
  incoming.performExpand(null);
  while (incoming.rootFolder.descendants.length < 6) await new Promise((resolve) => setTimeout(resolve, 50));`;

async function connected(child: ChildProcess, port: number): Promise<Socket> {
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    const socket = await new Promise<Socket | null>((resolve) => {
      const attempt = connect(port, '127.0.0.1', () => resolve(attempt));
      attempt.once('error', () => resolve(null));
    });
    if (socket !== null) return socket;
    if (child.exitCode !== null) throw new Error(`Thunderbird ended with exit code ${child.exitCode}.`);
    if (performance.now() > deadline) throw new Error('Thunderbird does not answer.');
    await sleep(POLL_MS);
  }
}
