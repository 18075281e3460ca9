/**
 * Conversations: plain text files of what clients send and the server answers. Each runs with a fresh mailbox.
 *
 *     === A claim, the name of the test
 *     @deliver Subject        a message arrives in INBOX
 *     @unsigned               clients do not sign in by themselves
 *     @compress               from here on the first client speaks compressed
 *     @skip a1                the first client is answered with a1 (@skip2: the second), whatever comes before
 *     C: a1 SELECT INBOX      the first client sends a line (C2: the second)
 *     S: * 1 EXISTS           it must be answered this, next; `...` stands for anything
 *     S: a1 OK ...
 *
 * USER is the user's name, UIDVALIDITY that of INBOX. A file is run in order, and lines are expected strictly: what is not written must not come.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import type { MailboxId } from '../../../src/ids.ts';
import type { FolderStatus } from '../../../src/store/types.ts';
import { message } from '../../store/support.ts';
import type { Client, ImapFixture } from '../support.ts';

export interface Conversation {
  readonly file: string;
  readonly claim: string;
  readonly steps: readonly Step[];
}

interface Step {
  readonly line: number;
  readonly kind: 'C' | 'S' | '@';
  readonly client: number;
  readonly text: string;
}

export function readConversations(directory: string): Conversation[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .flatMap((file) => parse(file, readFileSync(`${directory}/${file}`, 'utf8')));
}

function parse(file: string, text: string): Conversation[] {
  const conversations: { file: string; claim: string; steps: Step[] }[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.startsWith('=== ')) {
      conversations.push({ file, claim: line.slice(4), steps: [] });
      return;
    }
    const match = /^(?:([CS])(\d?):(?: (.*))?|@(.*))$/.exec(line);
    if (match === null) {
      assert.ok(line === '' || line.startsWith('#'), `${file}:${index + 1}: ${line}`);
      return;
    }
    const [, kind = '@', client = '', said = '', directive] = match;
    conversations.at(-1)!.steps.push({
      line: index + 1,
      kind: kind as Step['kind'],
      client: client === '' ? 1 : Number(client),
      text: directive ?? said,
    });
  });
  return conversations;
}

let users = 0;

export async function converse(conversation: Conversation, fixture: ImapFixture): Promise<void> {
  users += 1;
  const user = `user${users}`;
  const mailbox = await fixture.addUser(user);
  const { uidValidity } = await inboxStatus(fixture, mailbox);
  const clients = new Map<number, Client>();
  let isUnsigned = false;
  const client = async (number: number): Promise<Client> => {
    const known = clients.get(number);
    if (known !== undefined) return known;
    const made = isUnsigned ? await fixture.connect() : await fixture.signIn(user);
    clients.set(number, made);
    return made;
  };
  for (const step of conversation.steps) {
    const where = `${conversation.file}:${step.line}`;
    if (step.kind === '@') {
      const [directive, ...rest] = step.text.split(' ');
      if (directive === 'unsigned') isUnsigned = true;
      else if (directive === 'compress') (await client(1)).compress();
      else if (directive === 'deliver') {
        await fixture.store.deliver(await fixture.store.sealed(message(rest.join(' '))), [mailbox]);
      } else if (directive === 'skip' || directive === 'skip2') {
        await (await client(directive === 'skip' ? 1 : 2)).until(rest[0]!);
      } else assert.fail(`${where}: @${directive}`);
    } else if (step.kind === 'C') {
      const text = step.text.replaceAll('USER', user).replaceAll('UIDVALIDITY', () => String(uidValidity));
      (await client(step.client)).send(onTheWire(text));
    } else {
      const line = await (await client(step.client)).line();
      assert.ok(patternOf(onTheWire(step.text)).test(line), `${where}: expected ${step.text}, got ${line}`);
    }
  }
  for (const open of clients.values()) open.close();
}

/** UTF-8, one character an octet. */
const onTheWire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

async function inboxStatus(fixture: ImapFixture, id: MailboxId): Promise<FolderStatus> {
  const mailbox = await fixture.store.open(id);
  const status = await mailbox.status((await mailbox.findFolder(['INBOX'])).id);
  mailbox.close();
  return status;
}

function patternOf(text: string): RegExp {
  const pieces = text.split('...').map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pieces.join('.*')}$`);
}
