/** What the tests of stores share: a store on real keys, mailboxes in it, sealed messages for it. */

import { once } from 'node:events';
import { createWriteStream, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type MailboxId,
  newMailboxId,
  newMessageId,
  newOrganizationId,
  type OrganizationId,
  type Uid,
} from '../../src/ids.ts';
import { DEFAULT_CONTEXT_OPTIONS } from '../../src/keys/context.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { LocalKeyService } from '../../src/keys/local-service.ts';
import { INLINE_BODY_OCTETS, MIB } from '../../src/limits.ts';
import { encodeDigest } from '../../src/message/digest.ts';
import { DigestBuilder } from '../../src/message/digest-builder.ts';
import { MessageSealer, type SealedMessage } from '../../src/seal/sealed-message.ts';
import { EmbeddedStore, type EmbeddedStoreOptions } from '../../src/store/embedded/embedded-store.ts';
import { spoolDirectory } from '../../src/store/embedded/layout.ts';
import type { OwnerHandle } from '../../src/store/handles.ts';
import type { Mailbox, StoredMessage } from '../../src/store/types.ts';

/** A data directory with keys and a store; everything goes with `remove`. */
export class StoreFixture {
  readonly directory: string;
  readonly keyring: Keyring;
  readonly organization: OrganizationId;
  readonly fatal: unknown[] = [];
  /** Whatever is delivered is absorbed before `deliver` resolves. */
  absorbsAtOnce = false;
  store: EmbeddedStore;

  private constructor(directory: string, keyring: Keyring, organization: OrganizationId) {
    this.directory = directory;
    this.keyring = keyring;
    this.organization = organization;
    this.store = undefined as unknown as EmbeddedStore;
  }

  static async open(options: Partial<EmbeddedStoreOptions> = {}): Promise<StoreFixture> {
    const directory = mkdtempSync(join(tmpdir(), 'letterlock-store-'));
    const service = await LocalKeyService.open({ path: join(directory, 'root.key'), mayCreate: true });
    const keyring = await Keyring.open({
      directory: join(directory, 'keys'),
      service,
      context: DEFAULT_CONTEXT_OPTIONS,
      recipientType: 'x25519',
      bootId: 'test',
    });
    const organization = newOrganizationId();
    await keyring.createOrganizationKeys(organization, undefined, 'test');
    const fixture = new StoreFixture(directory, keyring, organization);
    await fixture.openStore(options);
    return fixture;
  }

  async openStore(options: Partial<EmbeddedStoreOptions> = {}): Promise<void> {
    this.store = await EmbeddedStore.open({
      dataDirectory: this.directory,
      fatal: (error) => this.fatal.push(error),
      segmentOctets: 4 * MIB,
      diskReserveOctets: 0,
      absorbs: false, // tests say when
      ...options,
    });
  }

  /** Closes the store and opens it again on the same directory. */
  async reopen(options: Partial<EmbeddedStoreOptions> = {}): Promise<void> {
    await this.store.close();
    await this.openStore(options);
  }

  owner(mailbox: MailboxId, quotaOctets: number | null = null): OwnerHandle {
    const { organization } = this;
    const who = { principal: 'test', protocol: 'test', address: '127.0.0.1', reason: 'test' };
    return this.keyring.ownerHandle({ organization, mailbox, quotaOctets, ...who });
  }

  /** The mailbox of a queue, and its owner. */
  async newQueue(): Promise<OwnerHandle> {
    const { organization } = this;
    const mailbox = newMailboxId();
    await this.keyring.createManyMailboxKeys([
      { organization, mailbox, principal: 'test', purpose: 'queue' },
    ]);
    const owner = this.queueOwner(mailbox);
    await this.store.createMailbox(owner, 'queue');
    return owner;
  }

  queueOwner(mailbox: MailboxId): OwnerHandle {
    const { organization } = this;
    const who = { principal: 'queue', protocol: 'test', address: '', reason: 'test' };
    return this.keyring.ownerHandle({ organization, mailbox, quotaOctets: null, purpose: 'queue', ...who });
  }

  async newMailbox(): Promise<MailboxId> {
    const mailbox = newMailboxId();
    await this.keyring.createMailboxKeys({ organization: this.organization, mailbox, principal: 'test' });
    await this.store.createMailbox(this.owner(mailbox));
    return mailbox;
  }

  open(mailbox: MailboxId, quotaOctets: number | null = null): Promise<Mailbox> {
    return this.store.openMailbox(this.owner(mailbox, quotaOctets));
  }

  /** Delivers to INBOX of each. @returns the error of each that refused. */
  async deliver(
    message: SealedMessage,
    mailboxes: readonly MailboxId[],
    quotaOctets: number | null = null,
  ): Promise<(Error | undefined)[]> {
    const placements = mailboxes.map((mailbox) => ({
      handle: this.keyring.deliverHandle(this.organization, mailbox, quotaOctets),
      folder: 'inbox' as const,
    }));
    const outcomes = await this.store.deliver(message, placements);
    const taken = outcomes.filter(({ error }) => error === undefined).map(({ mailbox }) => mailbox);
    if (this.absorbsAtOnce) await this.absorb(...taken);
    return outcomes.map(({ error }) => error);
  }

  /** Carries over what the accept journal holds, and folds all of these mailboxes into pages. */
  async absorb(...mailboxes: readonly MailboxId[]): Promise<void> {
    await this.store.checkpoint();
    for (const mailbox of mailboxes) await this.store.absorb(this.owner(mailbox));
  }

  sealed(octets: string | Buffer): Promise<SealedMessage> {
    return sealedMessage(this.directory, Buffer.from(octets as string));
  }

  async remove(): Promise<void> {
    await this.store.close();
    await this.keyring.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export async function sealedMessage(data: string, octets: Buffer): Promise<SealedMessage> {
  const id = newMessageId();
  const path = join(spoolDirectory(data), id);
  const file = octets.length > INLINE_BODY_OCTETS / 2 ? createWriteStream(path) : null;
  const sealer = new MessageSealer({
    id,
    spool: { path, write: async (part) => void (file!.write(part) || (await once(file!, 'drain'))) },
  });
  const digest = new DigestBuilder();
  for (let at = 0; at < octets.length; at += 100_000) {
    digest.push(octets.subarray(at, at + 100_000));
    await sealer.push(octets.subarray(at, at + 100_000));
  }
  const frames = await sealer.end();
  if (file !== null) {
    file.end();
    await once(file, 'finish');
  }
  return sealer.finish(encodeDigest(digest.end(frames)));
}

export const message = (subject: string, body = 'Hello.'): string =>
  `From: a@example.org\r\nTo: b@example.org\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;

/** Every message of a folder, opened: UID and octets. */
export async function contents(
  mailbox: Mailbox,
  path: readonly string[] = ['INBOX'],
): Promise<[Uid, string][]> {
  const { id } = await mailbox.findFolder(path);
  const view = await mailbox.openFolder(id, () => undefined);
  const opened: [Uid, string][] = [];
  for await (const stored of mailbox.messages(id, [...view.uids()] as Uid[], 'octets')) {
    opened.push([stored.uid, await octetsOf(stored)]);
  }
  view.close();
  return opened;
}

export const octetsOf = async (stored: StoredMessage): Promise<string> =>
  (await stored.read()).toString('latin1');
